"""Runs one job that was handed out: calls its script, keeps the lease, keeps the log, reports the end."""

import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from os import SEEK_END
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import define, evolve, field

from xfworker.domain.errors import AccessError, FileError, InvalidContent, JobError, PackageError, ServerError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.job_logs import LOG_FILENAME, earlier_log
from xfworker.domain.job_outcome import Ending, Outcome, ProcessExit
from xfworker.domain.records import Job
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.job_queue import JobQueue, Lease
from xfworker.ports.job_runner import JobRunner, RunningScript, ScriptCall
from xfworker.ports.xf_server import XFServer
from xfworker.services.files_in_use import when_free
from xfworker.services.retry_policy import RetryPolicy
from xfworker.services.worker.capacity import GPUS_VISIBLE
from xfworker.services.worker.kept_lease import Heartbeats, KeptLease
from xfworker.services.worker.outcome import aborted_before_start, decide_outcome, not_started, preempted, server_lost
from xfworker.services.worker.script_environment import script_environment

Answer = TypeVar("Answer")

_AWAY_STEP_SECONDS = 2.0
_ENDING_SECONDS = 30.0
_LAST_WORDS_BYTES = 4096
_LOG_STEP_BYTES = 4 * 1024 * 1024
"""A log is sent whole, so the larger it is, the more rarely."""
_LAST_WORDS_CHARACTERS = 300
_AS_MEANT = frozenset({Ending.FINISHED, Ending.HANDED_OVER, Ending.ABORTED})
"""Endings that are as somebody meant them to be."""


@define(frozen=True, kw_only=True)
class PreparedScript:
    """
    A script that is ready to be called.

    Attributes:
        command: Program and arguments.
        environment: The environment to start from; it may hold secrets of the machine, so it is not shown.
        module_folders: Folders in which it finds modules by bare name.
        settings: Settings for the script, ``XFWORKER_*``.
        time_limit_seconds: After so long it is ended.
        memory_limit_bytes: The most memory that it may take.
        cores: The processor cores that it declares.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    module_folders: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(factory=dict, repr=False)
    time_limit_seconds: float | None = None
    memory_limit_bytes: int | None = None
    cores: int | None = None


Report = Callable[[bytes], None]
"""Gets output, piece by piece."""


class ScriptSource(Protocol):
    """Knows where scripts are and what they need."""

    def prepare(self, lease: Lease, report: Report) -> PreparedScript:
        """
        Make ready what the job's script needs.

        Args:
            lease: The job.
            report: Gets what people may want to read meanwhile; it goes to the job's log. It may raise, to stop this.

        Raises:
            JobError: It cannot be made ready; the message is for the job.
            PackageError: Its package is damaged.
        """
        ...


class ExecutionEvents:
    """Receives the events of one job's execution; this one ignores them."""

    def started(self, lease: Lease, script: RunningScript) -> None:
        """The script runs; ``script`` may be aborted or sent signals."""

    def output(self, lease: Lease, piece: bytes) -> None:
        """The script wrote output. Called from another thread."""

    def waiting(self, lease: Lease) -> None:
        """The script still runs, or is made ready; called some times a second."""

    def failed(self, lease: Lease, outcome: Outcome) -> None:
        """The script ended without success, which is reported next; it may raise, to give the job back instead."""


@define(frozen=True, kw_only=True)
class EndedJob:
    """
    A job that was run.

    Attributes:
        job: The job as the server holds it, or as it was handed out where the server is lost.
        outcome: How its script ended.
        log_path: The log on this computer.
        log_kept: Whether the server has the log.
    """

    job: Job
    outcome: Outcome
    log_path: Path
    log_kept: bool = False


@define(kw_only=True)
class JobExecutor:
    """
    Runs jobs, each by one call of :meth:`run`, which may run in several threads at once.

    Attributes:
        queue: Where leases are renewed and ends are reported.
        server: Where jobs are looked up.
        files: Where logs go.
        runner: Starts the scripts.
        clock: The time.
        source: Makes scripts ready.
        server_host: The server's host, as passed to scripts.
        server_port: The server's port, as passed to scripts.
        heartbeat_seconds: How often a lease is renewed.
        log_seconds: How often the log so far is sent to the server.
        retry_deadline_seconds: How long a server that is away is waited for when a script has ended.
        look_seconds: How often it is looked whether a running script has to be ended.
    """

    queue: JobQueue
    server: XFServer
    files: FileStore
    runner: JobRunner
    clock: Clock
    source: ScriptSource
    server_host: str
    server_port: str
    heartbeat_seconds: float = 10.0
    log_seconds: float = 15.0
    retry_deadline_seconds: float = 300.0
    look_seconds: float = 0.25
    _heartbeats: Heartbeats = field(init=False)

    @_heartbeats.default
    def _of_all_jobs(self) -> Heartbeats:
        return Heartbeats(self.queue, self.clock, seconds=self.heartbeat_seconds)

    def run(
        self,
        lease: Lease,
        directory: Path,
        events: ExecutionEvents | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> EndedJob:
        """
        Run a job to its end and report it.

        Args:
            lease: The job, as it was handed out.
            directory: An empty directory for this attempt: it holds the log and the script's working directory. It is
                left as it is; whoever gave it cleans up.
            events: Receives what happens.
            variables: Environment variables that keep the script to its part of the machine. Those that are set
                already stay as they are, but for the one that names GPUs.

        Raises:
            LeaseLost: The job was given to another worker; its script was ended here and nothing was reported.
        """
        log_path = directory / LOG_FILENAME
        with suppress(OSError):
            log_path.touch(mode=0o644)  # nobody else writes to it, whatever the umask
        with self._heartbeats.keep(lease) as kept:
            return self._run(lease, kept, directory, log_path, events or ExecutionEvents(), variables or {})

    def _run(
        self,
        lease: Lease,
        kept: KeptLease,
        directory: Path,
        log_path: Path,
        events: ExecutionEvents,
        variables: Mapping[str, str],
    ) -> EndedJob:
        if lease.attempt > 1:
            self.set_earlier_log_aside(lease, directory)
        try:
            prepared = _within(self._prepared(lease, kept, log_path, events), variables)
            kept.check()
            if kept.abort_requested:
                return self._report(lease, aborted_before_start(), log_path)
            running = self._start(lease, prepared, directory, log_path, events)
        except (JobError, PackageError, FileError, OSError) as error:
            # A disk that is full or broken is reported; a worker that only goes silent would count as lost.
            reason = f"cannot prepare the script: {error}" if isinstance(error, OSError) else str(error)
            with suppress(OSError), log_path.open("ab") as log:
                log.write(f"{reason}\n".encode())
            outcome = aborted_before_start() if kept.abort_requested else not_started(reason)
            return self._report(lease, outcome, log_path)
        try:
            end = _ScriptRun(self, lease, kept, running, log_path, events).until_end()
        except BaseException:
            # Whatever goes wrong here, a script without a lease must not go on.
            running.abort()
            running.wait(_ENDING_SECONDS)
            raise
        kept.check()
        if kept.server_lost is not None:
            return EndedJob(job=lease.job, outcome=server_lost(end, kept.server_lost), log_path=log_path)
        return self._judge(lease, end, log_path, events)

    def _prepared(self, lease: Lease, kept: KeptLease, log_path: Path, events: ExecutionEvents) -> PreparedScript:
        next_log = self.clock.monotonic() + self.log_seconds

        def report(piece: bytes) -> None:
            nonlocal next_log
            kept.check()
            events.waiting(lease)
            if kept.abort_requested:
                raise JobError("the job was aborted")
            with suppress(OSError), log_path.open("ab") as log:  # the job matters more than its log
                log.write(piece)
            events.output(lease, piece)
            if self.clock.monotonic() >= next_log:
                self.keep_log(lease, log_path)
                next_log = self.clock.monotonic() + self.log_seconds

        try:
            return self.source.prepare(lease, report)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A record of an unexpected shape is its job's trouble, not the worker's.
            raise PackageError(
                f"the records of {lease.task_type} cannot be used, so its script was not started: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _start(
        self, lease: Lease, prepared: PreparedScript, directory: Path, log_path: Path, events: ExecutionEvents
    ) -> RunningScript:
        temporary_folder = directory / "temp"
        temporary_folder.mkdir(exist_ok=True)
        arguments = JobArguments(
            job_serial=lease.job.serial,
            server_host=self.server_host,
            server_port=self.server_port,
            server_auth=lease.server_auth,
        )
        call = ScriptCall(
            command=prepared.command,
            environment=script_environment(
                prepared.environment,
                arguments,
                temporary_folder=temporary_folder,
                module_folders=prepared.module_folders,
                settings=prepared.settings,
                memory_limit_bytes=prepared.memory_limit_bytes,
            ),
            working_directory=directory,
            log_path=log_path,
            time_limit_seconds=prepared.time_limit_seconds,
            memory_limit_bytes=prepared.memory_limit_bytes,
            cores=prepared.cores,
        )
        running = self.runner.start(call, lambda piece: events.output(lease, piece))
        events.started(lease, running)
        return running

    def _judge(self, lease: Lease, end: ProcessExit, log_path: Path, events: ExecutionEvents) -> EndedJob:
        try:
            job = self._with_retries(lambda: self.server.get(Job, lease.job.serial), f"get job {lease.job.serial}")
        except (ServerError, AccessError) as error:
            return EndedJob(job=lease.job, outcome=server_lost(end, str(error)), log_path=log_path)
        outcome = decide_outcome(end, job, last_words=_last_words(log_path))
        if outcome.ending not in _AS_MEANT:
            events.failed(lease, outcome)
        return self._report(lease, outcome, log_path)

    def _report(self, lease: Lease, outcome: Outcome, log_path: Path) -> EndedJob:
        log_kept = self.keep_log(lease, log_path)
        try:
            job = self._with_retries(lambda: self.queue.end(lease, outcome), f"end job {lease.job.serial}")
        except ServerError as error:
            lost = server_lost(None, f"{error}; the script had ended: {outcome.message or outcome.ending.value}")
            return EndedJob(job=lease.job, outcome=lost, log_path=log_path, log_kept=log_kept)
        return EndedJob(job=job, outcome=outcome, log_path=log_path, log_kept=log_kept)

    def hand_back(self, lease: Lease, reason: str, log_path: Path | None = None) -> bool:
        """
        Give a job back whose script was ended here, so that it is ready at once; return whether that worked.

        Args:
            lease: The job.
            reason: Why.
            log_path: The log of the attempt, which is kept beside that of the next one.
        """
        if log_path is not None:
            # A log that takes long must not cost the lease: an attempt that lapses counts as lost.
            with self._heartbeats.keep(lease):
                self.keep_log(lease, log_path)
        outcome = preempted(reason)
        try:
            try:
                self.queue.end(lease, outcome)
            except InvalidContent:
                # An older server has another name for it.
                self.queue.end(lease, evolve(outcome, ending=Ending.HANDED_BACK))
        except (ServerError, AccessError):
            return False  # then the lease lapses, and the job is ready again after that
        return True

    def set_earlier_log_aside(self, lease: Lease, directory: Path) -> None:
        """Copy the log of the attempt before to a name of its own, which this attempt's log would replace."""
        folder = record_resource("job_log", lease.job.serial)
        earlier = directory / "earlier-log.txt"
        try:
            scopes = [Scope(verb, folder) for verb in ("list", "read", "write")]
            token = self.server.file_token(scopes)
            names = {entry.resource.filename for entry in self.files.list(token, folder).files}
            if LOG_FILENAME not in names:
                return
            self.files.download(token, folder.child(LOG_FILENAME), earlier)
            # An attempt that was given back is not counted, so the next one has its number.
            number = next(number for number in count(lease.attempt - 1) if earlier_log(number) not in names)
            self.files.upload(token, earlier, folder.child(earlier_log(number)))
        except (ServerError, AccessError, FileError, OSError):
            return  # as with every log: one that cannot be kept fails no job
        finally:
            when_free(lambda: earlier.unlink(missing_ok=True))

    def keep_log(self, lease: Lease, log_path: Path) -> bool:
        """Send the log as it is to the server; return whether that worked. A log that cannot be kept fails no job."""
        try:
            if not stat.S_ISREG(log_path.lstat().st_mode):
                return False  # a link could lead to what only the worker may read
            resource = record_resource("job_log", lease.job.serial, LOG_FILENAME)
            token = self.server.file_token([Scope("write", resource)])
            self.files.upload(token, log_path, resource)
        except (ServerError, AccessError, FileError, OSError):
            return False
        return True

    def _with_retries(self, ask: Callable[[], Answer], doing: str) -> Answer:
        policy = RetryPolicy(
            on=(ServerError,),
            deadline_seconds=self.retry_deadline_seconds,
            first_wait_seconds=_AWAY_STEP_SECONDS,
            longest_wait_seconds=_AWAY_STEP_SECONDS,
        )
        return policy.with_retries(ask, self.clock, doing)


def _within(prepared: PreparedScript, variables: Mapping[str, str]) -> PreparedScript:
    environment = {**variables, **prepared.environment}
    if GPUS_VISIBLE in variables:
        environment[GPUS_VISIBLE] = variables[GPUS_VISIBLE]
    return evolve(prepared, environment=environment)


def _last_words(log_path: Path) -> str:
    try:
        # The script may have put anything in its log's place, and a pipe would be waited for.
        if not stat.S_ISREG(log_path.lstat().st_mode):
            return ""
        with log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, SEEK_END) - _LAST_WORDS_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:_LAST_WORDS_CHARACTERS] for line in reversed(lines) if line.strip()), "")


@define
class _ScriptRun:
    """Follows one running script, and ends it when it must not go on."""

    executor: JobExecutor
    lease: Lease
    kept: KeptLease
    running: RunningScript
    log_path: Path
    events: ExecutionEvents
    _sent_bytes: int = 0

    def until_end(self) -> ProcessExit:
        """Wait for the script's end; send the log meanwhile, and abort the script where it must not go on."""
        clock = self.executor.clock
        next_log = clock.monotonic() + self.executor.log_seconds
        aborted = False
        while (end := self.running.wait(self.executor.look_seconds)) is None:
            self.events.waiting(self.lease)
            if not aborted and (self.kept.lost or self.kept.server_lost is not None or self.kept.abort_requested):
                aborted = True
                self.running.abort()
            self.kept.raise_error()
            if clock.monotonic() >= next_log:
                next_log = clock.monotonic() + self.executor.log_seconds * (1 + self._send_log() // _LOG_STEP_BYTES)
        return end

    def _send_log(self) -> int:
        size = self.log_path.stat().st_size if self.log_path.exists() else 0
        if size != self._sent_bytes and self.executor.keep_log(self.lease, self.log_path):
            self._sent_bytes = size
        return size
