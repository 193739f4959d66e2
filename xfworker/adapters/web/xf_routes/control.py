"""Workflow control's routes: runs started, jobs restarted and aborted."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, Router, post
from litestar.params import FromPath

from xfworker.adapters.web.exchange import (
    AnyRequest,
    answer,
    caller,
    idempotency_key,
    in_thread,
    json_object,
    serial_in_range,
    whole,
)
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.records import Job, Run, RunPriority
from xfworker.services.platform.platform import Platform

_KEYS = frozenset({"inputs", "outputs", "task_serial", "name", "entity", "priority"})


def control_router(platform: Platform) -> Router:
    """Give workflow control's routes."""

    @post("/workflows/{serial:int}/runs")
    async def start_run(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        wanted = read_run(await json_object(request))
        key = idempotency_key(request)

        def work() -> Run:
            control = platform.control_for(caller(request))
            return control.start_run(serial_in_range(serial), **wanted, idempotency_key=key)

        run = await in_thread(work)
        return answer(to_json(run), 201, {"Location": f"/xf/v1/runs/{run.serial}"})

    @post("/jobs/{serial:int}/restart", status_code=200)
    async def restart_job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def work() -> Job:
            return platform.control_for(caller(request)).restart_job(serial_in_range(serial))

        return answer(to_json(await in_thread(work)))

    @post("/jobs/{serial:int}/abort", status_code=200)
    async def abort_job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def work() -> Job:
            return platform.control_for(caller(request)).abort_job(serial_in_range(serial))

        return answer(to_json(await in_thread(work)))

    return Router(path="/", route_handlers=[start_run, restart_job, abort_job])


def read_run(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Read what a run is to be started with.

    Raises:
        InvalidRecord: A key is unknown or of the wrong type.
    """
    faults = [f"{key}: is no part of a run's start" for key in sorted(set(body) - _KEYS)]
    faults += [
        f"{key}: expected object"
        for key in ("inputs", "outputs", "entity")
        if body.get(key) is not None and not isinstance(body[key], dict)
    ]
    if not isinstance(body.get("name", ""), str):
        faults.append("name: expected string")
    priority = body.get("priority", RunPriority.NORMAL.value)
    if not isinstance(priority, str) or priority not in set(RunPriority):
        faults.append(f"priority: expected one of {', '.join(RunPriority)}")
    if faults:
        raise InvalidRecord("the run cannot start: " + "; ".join(faults), faults)
    task_serial = body.get("task_serial")
    return {
        "inputs": body.get("inputs"),
        "outputs": body.get("outputs"),
        "entity": body.get("entity"),
        "name": body.get("name", ""),
        "priority": RunPriority(priority),
        "task_serial": None if task_serial is None else whole(task_serial, "task_serial"),
    }
