"""Workflow control's routes: runs started, tasks appended, jobs restarted and aborted."""

from attrs import asdict
from litestar import Response, Router, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.web.exchange import (
    AnyRequest,
    answer,
    caller,
    idempotency_key,
    in_thread,
    message,
    serial_in_range,
)
from xfworker.adapters.wire.runs import AppendedTask, RunCopy, RunStart
from xfworker.domain.conversion import to_json
from xfworker.domain.records import Job, Run, Task
from xfworker.services.platform.platform import Platform


def control_router(platform: Platform) -> Router:

    @post("/workflows/{serial:int}/runs")
    async def start_run(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        start = await message(request, RunStart, "the run's start")
        key = idempotency_key(request)

        def work() -> Run:
            control = platform.control_for(caller(request))
            return control.start_run(serial_in_range(serial), **asdict(start, recurse=False), idempotency_key=key)

        run = await in_thread(work)
        return answer(to_json(run), 201, {"Location": f"/xf/v1/runs/{run.serial}"})

    @post("/runs/{serial:int}/copies")
    async def copy_run(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        copy = await message(request, RunCopy, "the copy")
        key = idempotency_key(request)

        def work() -> Run:
            control = platform.control_for(caller(request))
            return control.copy_run(serial_in_range(serial), name=copy.name, idempotency_key=key)

        run = await in_thread(work)
        return answer(to_json(run), 201, {"Location": f"/xf/v1/runs/{run.serial}"})

    @post("/jobs/{serial:int}/restart", status_code=200)
    async def restart_job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        key = idempotency_key(request)

        def work() -> Job:
            return platform.control_for(caller(request)).restart_job(serial_in_range(serial), idempotency_key=key)

        return answer(to_json(await in_thread(work)))

    @post("/jobs/{serial:int}/abort", status_code=200)
    async def abort_job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        key = idempotency_key(request)

        def work() -> Job:
            return platform.control_for(caller(request)).abort_job(serial_in_range(serial), idempotency_key=key)

        return answer(to_json(await in_thread(work)))

    return Router(path="/", route_handlers=[start_run, copy_run, _append_route(platform), restart_job, abort_job])


def _append_route(platform: Platform) -> ControllerRouterHandler:
    @post("/jobs/{serial:int}/tasks")
    async def append_task(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, AppendedTask, "the task")
        key = idempotency_key(request)

        def work() -> Task:
            control = platform.control_for(caller(request))
            return control.append_task(
                serial_in_range(serial), body.task_type_serial, inputs=body.inputs, name=body.name, idempotency_key=key
            )

        task = await in_thread(work)
        return answer(to_json(task), 201, {"Location": f"/xf/v1/tasks/{task.serial}"})

    return append_task
