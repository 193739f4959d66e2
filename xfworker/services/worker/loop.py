"""A worker's loop: register, claim jobs, run several at once, clean up behind them."""

import math
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from attrs import define, field

from xfworker.domain.errors import RecordNotFound, ServerError, XFWorkerError
from xfworker.domain.job_logs import LOG_FILENAME
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Worker
from xfworker.domain.resources import Needs, Offer, declared_needs
from xfworker.ports.clock import Clock
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.job_queue import HeldAttempt, JobQueue, Lease
from xfworker.ports.job_runner import RunningScript
from xfworker.services.worker.capacity import Capacity
from xfworker.services.worker.job_executor import EndedJob, ExecutionEvents, JobExecutor

_DAY_SECONDS = 24 * 3600.0
_SWEEP_SECONDS = 3600.0
_JITTER = 0.75, 1.25
_STOPPING_SIGNALS = frozenset({"SIGTERM", "SIGINT", "SIGHUP"})
_SIGNALLED_SECONDS = 2.0
"""The signals that stop a worker, and how long one that ended its script takes to reach the worker itself."""
DIRECTORY_PREFIX = "xf-worker-job-"
"""How directories of jobs begin, so that old ones are distinguished from what else lies there."""


def _hold_nothing(_: Path) -> AbstractContextManager[None]:
    return nullcontext()


class WorkerEvents(ExecutionEvents):
    """Receives the events of a worker; this one ignores them."""

    def claimed(self, lease: Lease) -> None:
        """A job was claimed."""

    def ended(self, lease: Lease, ended: EndedJob) -> None:
        """A job ended."""

    def lost(self, lease: Lease, reason: str) -> None:
        """A job was lost to another worker, or that running it went wrong here."""

    def preempted(self, lease: Lease, reason: str) -> None:
        """A job was given back, because the worker stops."""

    def server_away(self, reason: str) -> None:
        """The server could not be asked; it is asked again."""

    def directory_left(self, directory: Path, reason: str) -> None:
        """The directory of an ended job could not be removed; it is tried again when it is old."""


@define(kw_only=True)
class WorkerLoop:
    """
    Claims jobs and runs them until :meth:`stop` is called.

    Attributes:
        worker: How the worker presents itself; asked for each time, since what is installed may change.
        queue: Hands out jobs.
        executor: Runs them.
        filesystem: Makes and removes their directories.
        clock: The time.
        list_old: Lists the directories that no running job of any worker has, and how many seconds ago each was last
            touched.
        hold: Keeps a directory off that list of every worker while the job runs.
        log: Receives what happens.
        concurrency: How many jobs run at once.
        idle_seconds: How long to wait before asking again when there was nothing to do.
        register_seconds: How often the worker registers.
        keep_failed_seconds: How long directories of failed jobs stay, for diagnosis.
        capacity: What the worker has, and its jobs have of it.
        leave_at: When the worker leaves, by the clock's monotonic time; jobs that run then are given back.
        grace_seconds: How long running jobs may go on after :meth:`stop` before they are given back. Jobs that fail
            meanwhile are given back as well: what stops a worker from outside often ends its scripts too. Without it
            they may go on as long as they want.
        idle_limit_seconds: After how long without a job the worker leaves.
        farewell: How a worker that leaves presents itself last.
    """

    worker: Callable[[], Worker]
    queue: JobQueue
    executor: JobExecutor
    filesystem: Filesystem
    clock: Clock
    list_old: Callable[[], list[tuple[Path, float]]]
    hold: Callable[[Path], AbstractContextManager[None]] = _hold_nothing
    log: WorkerEvents = field(factory=WorkerEvents)
    concurrency: int = 1
    idle_seconds: float = 1.0
    register_seconds: float = 30.0
    keep_failed_seconds: float = 7 * _DAY_SECONDS
    capacity: Capacity = field(factory=lambda: Capacity(total=Offer()))
    leave_at: float = math.inf
    grace_seconds: float = math.inf
    idle_limit_seconds: float = math.inf
    farewell: Callable[[], Worker] | None = None
    _stopping: threading.Event = field(factory=threading.Event, init=False)
    _changed: threading.Event = field(factory=threading.Event, init=False)
    _running: dict[HeldAttempt, threading.Thread] = field(factory=dict, init=False)
    _directories: set[Path] = field(factory=set, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _give_back_at: float = field(default=math.inf, init=False)
    _reason: str = field(default="the worker stops", init=False)

    def run(self, *, until_idle: bool = False) -> None:
        """
        Work until :meth:`stop`, or until the worker leaves by itself.

        Args:
            until_idle: Stop as well when there is nothing to do and nothing runs.

        Raises:
            AuthenticationFailed: The server does not take this worker's token.
        """
        serial = 0
        register_at = sweep_at = busy_at = self.clock.monotonic()
        try:
            while not self._stopping.is_set():
                self._changed.clear()
                now = self.clock.monotonic()
                busy_at = now if self._running else busy_at
                if self._is_to_leave(now, busy_at):
                    return
                if now >= sweep_at:
                    sweep_at = now + _SWEEP_SECONDS
                    self._sweep()
                try:
                    if now >= register_at:
                        serial = self.queue.register(self.worker()).serial
                        register_at = now + self.register_seconds
                    lease = self._claim(serial)
                except RecordNotFound as error:
                    # The server's records are those of a backup by now, which knows nothing of this worker.
                    self.log.server_away(str(error))
                    register_at = now
                    self._changed.wait(self.idle_seconds)
                    continue
                except ServerError as error:
                    self.log.server_away(str(error))
                    self._changed.wait(self.idle_seconds)
                    continue
                if lease is not None:
                    self._begin(lease)
                elif until_idle and not self._running:
                    return
                else:
                    # Not in step with all others, which may have been started together.
                    self._changed.wait(self.idle_seconds * random.uniform(*_JITTER))  # noqa: S311  not a secret
        finally:
            self._wait_for_jobs()
            self._say_farewell()

    def stop(self, reason: str = "the worker stops") -> None:
        """
        Take no more jobs; :meth:`run` returns when those that run have ended or been given back.

        Args:
            reason: What people read about jobs that are given back.
        """
        self._reason = reason
        self._give_back_at = min(self._give_back_at, self.clock.monotonic() + self.grace_seconds)
        self._stopping.set()
        self._changed.set()

    def drop(self) -> None:
        """
        Stop, end the scripts that run, and give their jobs back: they are ready again at once.

        Such an attempt is not counted. Where the server is away the leases lapse, and the jobs are ready after that.
        """
        # Each job's own thread sees this and ends its script; ended from here, it would be reported as aborted.
        self._give_back_at = -math.inf
        self.stop(self._reason)

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return len(self._running)

    @property
    def gives_back(self) -> bool:
        """Whether jobs that run are to be given back now."""
        return self.clock.monotonic() >= min(self._give_back_at, self.leave_at)

    def is_taken(self, outcome: Outcome) -> bool:
        """Return whether a script failed because the worker is being stopped, or may have."""
        if self.grace_seconds == math.inf:
            return False
        # A batch system signals all processes of a job; the script may have ended before this process was woken up.
        return self._stopping.wait(_SIGNALLED_SECONDS if outcome.signal in _STOPPING_SIGNALS else 0.0)

    def _is_to_leave(self, now: float, busy_at: float) -> bool:
        if now >= self.leave_at:
            self._reason = "the worker's time is over"
        return now >= self.leave_at or now - busy_at >= self.idle_limit_seconds

    def _claim(self, serial: int) -> Lease | None:
        if len(self._running) >= self.concurrency:
            return None
        return self.queue.claim(serial, offer=self.capacity.free())

    def _say_farewell(self) -> None:
        if self.farewell is not None:
            with suppress(XFWorkerError):
                self.queue.register(self.farewell())

    def _begin(self, lease: Lease) -> None:
        self.log.claimed(lease)
        # By the attempt: a job whose lease was lost may be handed out here again before its script has ended.
        attempt = HeldAttempt(lease.job.serial, lease.attempt, lease.job.started_at)
        # Here and not in the job's own thread: what is free is stated with the next claim, which comes at once.
        variables = self.capacity.take(attempt, _needs(lease))
        thread = threading.Thread(target=self._work, args=(lease, attempt, variables), name=f"job-{lease.job.serial}")
        self._running[attempt] = thread
        thread.start()

    def _work(self, lease: Lease, attempt: HeldAttempt, variables: Mapping[str, str]) -> None:
        try:
            directory = self.filesystem.make_working_directory(f"{DIRECTORY_PREFIX}{lease.job.serial}-")
            self._work_in(directory, lease, variables)
        except (XFWorkerError, OSError) as error:
            self.log.lost(lease, str(error))
        finally:
            self.capacity.give_back(attempt)
            with self._lock:
                self._running.pop(attempt, None)
            self._changed.set()

    def _work_in(self, directory: Path, lease: Lease, variables: Mapping[str, str]) -> None:
        with self._lock:
            self._directories.add(directory)
        try:
            with self.hold(directory):
                ended = self.executor.run(lease, directory, _LoopEvents(self, self.log), variables)
        except _DroppedError:
            given_back = self.executor.hand_back(lease, self._reason, directory / LOG_FILENAME)
            when = "" if given_back else ", once its lease has run out"
            self.log.preempted(lease, f"{self._reason}; the job runs again elsewhere{when}")
            self._remove(directory)
        else:
            self.log.ended(lease, ended)
            if ended.outcome.ending in {Ending.FINISHED, Ending.HANDED_OVER}:
                self._remove(directory)
        finally:
            with self._lock:
                self._directories.discard(directory)

    def _remove(self, directory: Path) -> None:
        try:
            self.filesystem.remove_tree(directory)
        except XFWorkerError as error:
            self.log.directory_left(directory, str(error))

    def _sweep(self) -> None:
        with self._lock:
            used = set(self._directories)
        for directory, age in self.list_old():
            if directory not in used and age > self.keep_failed_seconds:
                self._remove(directory)

    def _wait_for_jobs(self) -> None:
        for thread in list(self._running.values()):
            thread.join()


def _needs(lease: Lease) -> Needs:
    try:
        return declared_needs(lease.task_type.metadata)
    except (TypeError, ValueError, AttributeError):
        return Needs()  # what cannot be read is reported by the job itself


class _DroppedError(Exception):
    """The worker stops and leaves its jobs to others."""


class _LoopEvents(ExecutionEvents):
    """Passes on what happens, and stops following the script when the worker drops its jobs."""

    def __init__(self, loop: WorkerLoop, log: WorkerEvents) -> None:
        self._loop = loop
        self._log = log

    def started(self, lease: Lease, script: RunningScript) -> None:
        self._log.started(lease, script)

    def output(self, lease: Lease, piece: bytes) -> None:
        self._log.output(lease, piece)

    def failed(self, lease: Lease, outcome: Outcome) -> None:
        if self._loop.is_taken(outcome):
            raise _DroppedError
        self._log.failed(lease, outcome)

    def waiting(self, lease: Lease) -> None:
        if self._loop.gives_back:
            raise _DroppedError
        self._log.waiting(lease)
