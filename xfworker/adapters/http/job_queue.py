"""The job queue over HTTP."""

from collections.abc import Sequence
from typing import Any, TypeVar

from attrs import evolve

from xfworker.adapters.http.transport import HttpTransport, new_idempotency_key
from xfworker.adapters.http.xf_server import BASE
from xfworker.adapters.wire.codec import read_answer, write
from xfworker.adapters.wire.queue import Claim, Claimed, End, Heartbeat, HeldLease, LeaseStatuses
from xfworker.domain.job_outcome import Outcome
from xfworker.domain.json_value import clean_string
from xfworker.domain.records import Job, Worker
from xfworker.domain.resources import Offer
from xfworker.ports.job_queue import Lease, LeaseStatus

AnswerT = TypeVar("AnswerT")


class HttpJobQueue:
    """The job queue over HTTP, as the worker whose token the transport carries. It does not close the transport."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"HttpJobQueue({self._transport.url!r})"

    def register(self, worker: Worker) -> Worker:
        doing = f"register worker {worker.name!r}"
        return self._ask(Worker, "workers", worker, doing)

    def claim(self, worker_serial: int, *, job_serial: int | None = None, offer: Offer | None = None) -> Lease | None:
        doing = "claim a job" if job_serial is None else f"claim job {job_serial}"
        claim = Claim(worker_serial=worker_serial, job_serial=job_serial, offer=offer)
        # The key lets a claim be repeated whose answer was lost, without a second job being taken.
        return self._ask(Claimed, "claims", claim, doing, {"Idempotency-Key": new_idempotency_key()}).lease

    def heartbeat(self, leases: Sequence[Lease]) -> Sequence[LeaseStatus]:
        doing = f"renew the lease on job {', '.join(str(lease.job.serial) for lease in leases)}"
        beat = Heartbeat(
            worker_serial=leases[0].job.worker_serial or 0,
            leases=[
                HeldLease(job_serial=lease.job.serial, attempt=lease.attempt, started_at=lease.job.started_at)
                for lease in leases
            ],
        )
        return self._ask(LeaseStatuses, "heartbeats", beat, doing).leases

    def end(self, lease: Lease, outcome: Outcome) -> Job:
        doing = f"report the end of job {lease.job.serial}"
        # The message may quote what a script wrote, and that may be anything; the end must be reported all the same.
        sendable = evolve(outcome, message=clean_string(outcome.message))
        job = lease.job
        end = End(job_serial=job.serial, attempt=lease.attempt, started_at=job.started_at, outcome=sendable)
        return self._ask(Job, "ends", end, doing)

    def _ask(
        self, kind: type[AnswerT], what: str, message: Any, doing: str, headers: dict[str, str] | None = None
    ) -> AnswerT:
        path, body = f"{BASE}/queue/{what}", write(message)
        # Each of these can be sent twice: registering, renewing and ending say the same again, claiming has its key.
        answer = self._transport.request("POST", path, doing=doing, json_body=body, headers=headers, repeat=True)
        return read_answer(kind, answer.json(), doing)
