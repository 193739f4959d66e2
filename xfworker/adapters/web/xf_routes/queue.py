"""The job queue's routes, for workers."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, Router, post

from xfworker.adapters.web.exchange import AnyRequest, answer, caller, idempotency_key, in_thread, json_object, whole
from xfworker.domain.conversion import format_time, from_json, to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Job, Worker
from xfworker.ports.job_queue import Lease, LeaseStatus
from xfworker.services.platform.platform import Platform


def queue_router(platform: Platform) -> Router:
    """Give the job queue's routes."""

    @post("/workers", status_code=200)
    async def register(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)

        def work() -> Worker:
            return platform.queue_for(caller(request)).register(from_json(Worker, body))

        return answer(to_json(await in_thread(work)))

    @post("/claims", status_code=200)
    async def claim(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)
        key = idempotency_key(request)
        worker_serial = whole(body.get("worker_serial"), "worker_serial")
        wanted = body.get("job_serial")
        job_serial = None if wanted is None else whole(wanted, "job_serial")

        def work() -> Lease | None:
            queue = platform.queue_for(caller(request))
            return queue.claim(worker_serial, job_serial=job_serial, claim_key=key)

        lease = await in_thread(work)
        return answer({"lease": None if lease is None else lease_json(lease)}, headers={"Cache-Control": "no-store"})

    @post("/heartbeats", status_code=200)
    async def heartbeat(request: AnyRequest) -> Response[bytes]:
        job_serial, attempt = _attempt(await json_object(request))

        def work() -> LeaseStatus:
            return platform.queue_for(caller(request)).renew(job_serial, attempt)

        status = await in_thread(work)
        return answer({"expires_at": format_time(status.expires_at), "abort_requested": status.abort_requested})

    @post("/ends", status_code=200)
    async def end(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)
        job_serial, attempt = _attempt(body)
        outcome = read_outcome(body.get("outcome"))

        def work() -> Job:
            return platform.queue_for(caller(request)).end_attempt(job_serial, attempt, outcome)

        return answer(to_json(await in_thread(work)))

    return Router(path="/queue", route_handlers=[register, claim, heartbeat, end])


def lease_json(lease: Lease) -> dict[str, Any]:
    """Write a lease as it travels."""
    return {
        "job": to_json(lease.job),
        "task": to_json(lease.task),
        "task_type": to_json(lease.task_type),
        "server_auth": lease.server_auth,
        "expires_at": format_time(lease.expires_at),
    }


def read_outcome(value: Any) -> Outcome:
    """
    Read how a script ended.

    Raises:
        InvalidRecord: A key is missing or of the wrong type.
    """
    faults: list[str] = []
    if not isinstance(value, Mapping):
        raise InvalidRecord("outcome: expected an object", ("outcome: expected an object",))
    ending, message = value.get("ending"), value.get("message", "")
    exit_code, signal = value.get("exit_code"), value.get("signal")
    if not isinstance(ending, str) or ending not in set(Ending):
        faults.append(f"outcome.ending: expected one of {', '.join(Ending)}")
    if not isinstance(message, str):
        faults.append("outcome.message: expected string")
    if signal is not None and not isinstance(signal, str):
        faults.append("outcome.signal: expected string or null")
    if faults:
        raise InvalidRecord("; ".join(faults), faults)
    code = None if exit_code is None else whole(exit_code, "outcome.exit_code")
    return Outcome(ending=Ending(str(ending)), message=message, exit_code=code, signal=signal)


def _attempt(body: dict[str, Any]) -> tuple[int, int]:
    return whole(body.get("job_serial"), "job_serial"), whole(body.get("attempt"), "attempt")
