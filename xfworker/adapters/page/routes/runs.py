"""Runs: what each is, and what can be done with it."""

import uuid
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value, form_version
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.domain.change import Change
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Job, Project, Run, RunPriority, Task, Workflow
from xfworker.services.platform.server import PlatformServer


def run_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of runs."""

    @get("/runs/{serial:int}")
    async def run(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: _run_values(parts.server(request), serial))
        return parts.templates.answer(request, "run.html", **values)

    @get("/runs/{serial:int}/panel")
    async def panel(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: _run_values(parts.server(request), serial))
        return parts.templates.answer(request, "run_panel.html", **values)

    return [run, panel, *_action_routes(parts)]


def _action_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    async def change(request: AnyRequest, serial: int, values: dict[str, Any], message: str) -> Response[Any]:
        wanted = Change(values=values, expected_version=await form_version(request))
        await in_thread(lambda: parts.server(request).update(Run, serial, wanted))
        return done(request, message, page=f"/runs/{serial}")

    @post("/runs/{serial:int}/rename", status_code=200)
    async def rename(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        return await change(request, serial, {"/name": await form_value(request, "name")}, said["renamed"])

    @post("/runs/{serial:int}/priority", status_code=200)
    async def priority(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        text = await form_value(request, "priority")
        if text not in set(RunPriority):
            raise UsageError(f"priority: expected one of {', '.join(RunPriority)}")
        return await change(request, serial, {"/priority": text}, said["priority"])

    @post("/runs/{serial:int}/obsolete", status_code=200)
    async def obsolete(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        is_obsolete = await form_value(request, "obsolete") == "true"
        message = said["obsolete"] if is_obsolete else said["taken_back"]
        return await change(request, serial, {"/obsolete": is_obsolete}, message)

    @post("/runs/{serial:int}/copy", status_code=200)
    async def copy(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        name, key = await form_value(request, "name"), await form_value(request, "key")
        made = await in_thread(lambda: parts.control(request).copy_run(serial, name=name, idempotency_key=key or None))
        return done(request, said["copied"], page=f"/workflows/{made.workflow_serial}?run={made.serial}", go=True)

    return [rename, priority, obsolete, copy]


def _run_values(server: PlatformServer, serial: int) -> dict[str, Any]:
    run = server.get(Run, serial)
    workflow = server.get(Workflow, run.workflow_serial)
    tasks = {task.serial: task for task in server.find(Task, {"workflow_serial": workflow.serial})}
    jobs = server.find(Job, {"run_serial": serial})
    return {
        "run": run,
        "workflow": workflow,
        "project": server.get(Project, workflow.project_serial),
        "jobs": [(job, tasks.get(job.task_serial)) for job in sorted(jobs, key=lambda job: job.serial)],
        "priorities": [priority.value for priority in RunPriority],
        "key": uuid.uuid4().hex,
    }
