"""Many clients that work on a few jobs at once, and what each of them saw."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from attrs import define, field

from tests.model.linearizability import UNANSWERED, Operation
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, LeaseLost, ServerError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Job, Worker
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform
from xfworker.testing.contracts.worlds import Setting, World

LEASE_SECONDS = 0.3
_REFUSED = (IllegalTransition, LeaseLost)
_JOBS = 3
_SILENT = 0.04
"""How often a client is silent for so long that it may lose its leases."""


@define
class Client:
    """A worker with its scripts, and a person; it forgets and mixes up what a good one would not."""

    platform: Platform
    name: str
    jobs: list
    random: random.Random
    operations: dict = field(factory=dict)
    _leases: list = field(factory=list)
    _queue: object = None
    _control: object = None
    _admin: object = None
    _worker: int = 0

    def run(self, count):
        admin = self.platform.authenticate(self.platform.admin_token())
        self._queue = self.platform.queue_for(admin)
        self._control = self.platform.control_for(admin)
        self._admin = self.platform.server_for(admin)
        self._worker = self._queue.register(Worker(name=self.name)).serial
        for _ in range(count):
            if self.random.random() < _SILENT:
                time.sleep(LEASE_SECONDS * self.random.uniform(0.5, 1.5))
            self._one()

    def _one(self):
        kind = self.random.choice(("claim", "claim", "work", "work", "work", "end", "restart", "read"))
        job = self.random.choice(self.jobs)
        match kind:
            case "claim":
                self._claim(job)
            case "restart":
                self._ask(job, "restart", lambda: self._control.restart_job(job) and True)
            case "read":
                self._ask(job, "read", lambda: _seen(self._admin.get(Job, job)))
            case _ if not self._leases:
                self._claim(job)
            case "work":
                self._work(self.random.choice(self._leases[-3:]))
            case _:
                ending = self.random.choice(("handed_back", "crashed", "finished"))
                lease = self.random.choice(self._leases[-3:])
                outcome = Outcome(ending=Ending(ending))
                self._ask_of(lease, "end", lambda: self._queue.end(lease, outcome) and True, ending)

    def _claim(self, job):
        lease = self._ask(
            job, "claim", lambda: self._queue.claim(self._worker, job_serial=job), lambda lease: lease.attempt
        )
        if lease is not None:
            self._leases.append(lease)

    def _work(self, lease):
        kind = self.random.choice(("renew", "write", "write", "finish"))
        if kind == "renew":
            self._ask_of(lease, "renew", lambda: self._queue.heartbeat([lease])[0].require_held() is None)
            return
        value = self.random.randrange(1_000_000)
        values = {"/outputs": {"v": value}, **({"/state": "Done"} if kind == "finish" else {})}

        def write():
            script = self.platform.server_for(self.platform.authenticate(lease.server_auth))
            return script.update(Job, lease.job.serial, Change(values=values)) and True

        self._ask_of(lease, kind, write, value)

    def _ask_of(self, lease, kind, ask, value=None):
        self._ask(lease.job.serial, kind, ask, attempt=lease.attempt, value=value)

    def _ask(self, job, kind, ask, seen=lambda answer: answer, *, attempt=0, value=None):
        asked_at, answered_at, answer = time.monotonic(), UNANSWERED, None
        with suppress(ServerError):
            with suppress(*_REFUSED):
                answer = ask()
            answered_at = time.monotonic()
        shown = None if answer is None else seen(answer)
        operation = Operation(asked_at, answered_at, kind, attempt, value, shown, self.name)
        self.operations.setdefault(job, []).append(operation)
        return answer


def _seen(job):
    return job.state.value, job.attempt, job.outputs.get("v")


def record_histories(stores, *, clients, operations, seed):
    """
    Let clients work, and give what all of them asked of each job.

    Args:
        stores: The record stores, each a server's, which keep the same records.
        clients: How many clients.
        operations: How often each asks.
        seed: Of what they choose.
    """
    clock = SystemClock()
    signer = MemoryTokenSigner(clock)
    options = PlatformOptions(lease_seconds=LEASE_SECONDS, max_attempts=1_000_000)
    platforms = [Platform(store, clock, signer, options) for store in stores]
    admin = platforms[0].authenticate(platforms[0].admin_token())
    world = World(admin=platforms[0].server_for(admin), queue=platforms[0].queue_for(admin))
    setting = Setting.make(world)
    jobs = [setting.job().serial for _ in range(_JOBS)]
    many = [
        Client(platforms[number % len(platforms)], f"client {number}", jobs, random.Random(f"{seed} {number}"))
        for number in range(clients)
    ]
    ended = threading.Event()

    def maintain():
        while not ended.wait(LEASE_SECONDS / 6):
            for platform in platforms:
                with suppress(ServerError):
                    platform.maintain()

    maintenance = threading.Thread(target=maintain)
    maintenance.start()
    try:
        with ThreadPoolExecutor(clients) as threads:
            for running in [threads.submit(client.run, operations) for client in many]:
                running.result()
    finally:
        ended.set()
        maintenance.join()
    return {job: [one for client in many for one in client.operations.get(job, ())] for job in jobs}
