"""Servers, workers and people at work while something befalls the database, and what came of it."""

import contextlib
import random
import threading
import time
from statistics import median

from attrs import define, field

from benchmarks.queue_history import Client, History, make_flows, violations
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import LeaseLost, ServerError
from xfworker.domain.records import Job, Workflow

LEASE_SECONDS = 15
_WORTH_SECONDS = 1.0
"""Over so long a pace is counted."""
_MOST_WAITING = 40
_RECOVERED = 0.95
_DRAIN_SECONDS = 120.0


class Server(EmbeddedServer):
    """
    A server whose leases are short, so that what nobody holds any more is soon run again.

    Attributes:
        own_port: The port that it was given; 0 for any.
    """

    def __init__(self, data, database, *, lease_seconds=LEASE_SECONDS, port=0, **options):
        super().__init__(data, database=database, **options)
        self.own_port = port
        self._command[self._command.index("--port") + 1] = str(port)
        self._command += ["--lease-seconds", str(lease_seconds), "--max-attempts", "1000"]

    @property
    def supervisor(self):
        """The process that was started; of several processes, the one that looks after the others."""
        return self._process.pid


class Worker(Client):
    """A worker that may lose a lease while the database is away; whoever has it then is seen in the history."""

    def _one(self, counter):
        try:
            super()._one(counter)
        except LeaseLost:
            with self.history.lock:
                self.history.unanswered += 1


@define
class Came:
    """
    What came of it.

    Attributes:
        violations: What no queue could have given.
        attempts: How many attempts were ended.
        runs: How many runs were acknowledged.
        pace: Attempts a second before.
        recovered_seconds: After so long the pace was at 95 % of that again, from the end of the disturbance; ``None``
            where it was not while it was looked.
        share: The pace behind that, as a part of the one before.
    """

    violations: list
    attempts: int
    runs: int
    pace: float
    recovered_seconds: float | None
    share: float


@define
class Laboratory:
    """Two servers over one database with their clients."""

    servers: list
    clients: int = 6
    history: History = field(factory=History)
    acknowledged: list = field(factory=list)

    def live(self, disturb, *, before_seconds, after_seconds, seed=1):
        """
        Work for a while, let something happen, work on, and finish all that was begun.

        Args:
            disturb: What happens.
            before_seconds: How long the pace is measured before.
            after_seconds: How long it is looked for after it.
            seed: Of what the clients choose.
        """
        transport = HttpTransport(self.servers[0].url, token=self.servers[0].admin_token)
        server, control = HttpXFServer(transport), HttpWorkflowControl(transport)
        flows = make_flows(server, control, flows=2, runs=1)
        fed, worked = threading.Event(), threading.Event()
        threads = [threading.Thread(target=self._feed, args=(control, flows, fed))]
        threads += [
            threading.Thread(target=client.run, args=(worked.is_set, flows[0].workflow))
            for client in self._clients(seed)
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(2.0 + before_seconds)
            begun = time.monotonic()
            disturb()
            over = time.monotonic()
            time.sleep(after_seconds)
            looked = time.monotonic()
            fed.set()
            left = self._drain(server, flows)
        finally:
            fed.set()
            worked.set()
            for thread in threads:
                thread.join()
        jobs = self._jobs(server, flows)
        counter = server.get(Workflow, flows[0].workflow)
        found = [*left, *violations(self.history, jobs, flows, counter), *self._lost(jobs, flows)]
        transport.close()
        return self._came(found, begun - before_seconds, begun, over, looked)

    def _clients(self, seed):
        urls = [one.url for one in self.servers]
        token = self.servers[0].admin_token
        return [
            Worker(urls, token, f"worker {number}", self.history, random.Random(f"{seed} {number}"), turn=number)
            for number in range(self.clients)
        ]

    def _feed(self, control, flows, fed):
        """Start runs as long as there is room for them; those whose answer came are never lost."""
        while not fed.wait(0.01):
            if 2 * len(self.acknowledged) - len(self.history.held) > _MOST_WAITING:
                continue
            flow = flows[len(self.acknowledged) % 2]
            with contextlib.suppress(ServerError):
                self.acknowledged.append(control.start_run(flow.workflow).serial)

    def _drain(self, server, flows):
        deadline = time.monotonic() + _DRAIN_SECONDS
        waiting = []
        while time.monotonic() < deadline and not self.history.errors:
            with contextlib.suppress(ServerError):
                waiting = [job for job in self._jobs(server, flows) if not job.state.is_final]
                if not waiting:
                    return []
            time.sleep(0.3)
        return [f"{job} is {job.state} after {_DRAIN_SECONDS:g} s" for job in waiting]

    def _jobs(self, server, flows):
        return list(server.find(Job, {"workflow_serial": tuple(flow.workflow for flow in flows)}))

    def _lost(self, jobs, flows):
        sources = {flow.source for flow in flows}
        there = {job.run_serial for job in jobs if job.task_serial in sources}
        return [f"run {run} was acknowledged and is lost" for run in self.acknowledged if run not in there]

    def _came(self, found, began, begun, over, looked):
        ended = sorted(held.ended_at for held in self.history.held)

        def pace(since, until):
            return sum(since <= at < until for at in ended) / max(until - since, 0.001)

        before = pace(began, begun)
        recovered, at = None, over
        while recovered is None and at + _WORTH_SECONDS <= looked:
            if pace(at, at + _WORTH_SECONDS) >= _RECOVERED * before:
                recovered = at - over
            at += 0.1
        behind = [pace(over + second, over + second + 1) for second in range(int(recovered or 0), int(looked - over))]
        share = median(behind) / before if behind and before else 0.0
        return Came(found, len(self.history.held), len(self.acknowledged), before, recovered, share)


@contextlib.contextmanager
def laboratory(folder, database, servers=2):
    """Start servers over a database."""
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(Server(folder / "data", database)) for _ in range(servers)]
        yield Laboratory(many)
