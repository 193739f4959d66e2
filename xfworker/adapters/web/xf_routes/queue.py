"""The job queue's routes, for workers."""

from litestar import Response, Router, post

from xfworker.adapters.web.exchange import (
    AnyRequest,
    answer,
    answer_message,
    caller,
    idempotency_key,
    in_thread,
    json_object,
    message,
)
from xfworker.adapters.wire.queue import Claim, Claimed, End, Heartbeat, LeaseStatuses
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.records import Job, Worker
from xfworker.ports.job_queue import Lease
from xfworker.services.platform.platform import Platform


def queue_router(platform: Platform) -> Router:

    @post("/workers", status_code=200)
    async def register(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)

        def work() -> Worker:
            return platform.queue_for(caller(request)).register(from_json(Worker, body))

        return answer(to_json(await in_thread(work)))

    @post("/claims", status_code=200)
    async def claim(request: AnyRequest) -> Response[bytes]:
        claimed = await message(request, Claim, "the claim")
        key = idempotency_key(request)

        def work() -> Lease | None:
            queue = platform.queue_for(caller(request))
            return queue.claim(claimed.worker_serial, job_serial=claimed.job_serial, offer=claimed.offer, claim_key=key)

        return answer_message(Claimed(lease=await in_thread(work)), headers={"Cache-Control": "no-store"})

    @post("/heartbeats", status_code=200)
    async def heartbeat(request: AnyRequest) -> Response[bytes]:
        beat = await message(request, Heartbeat, "the heartbeat")

        def work() -> LeaseStatuses:
            attempts = [lease.held() for lease in beat.leases]
            return LeaseStatuses(leases=platform.queue_for(caller(request)).renew(beat.worker_serial, attempts))

        return answer_message(await in_thread(work))

    @post("/ends", status_code=200)
    async def end(request: AnyRequest) -> Response[bytes]:
        ended = await message(request, End, "the end")

        def work() -> Job:
            return platform.queue_for(caller(request)).end_attempt(ended.held(), ended.outcome)

        return answer(to_json(await in_thread(work)))

    return Router(path="/queue", route_handlers=[register, claim, heartbeat, end])
