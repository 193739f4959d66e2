"""A task that is appended to a job: chosen by its type, connected from what fits, begun in the job's run."""

import uuid
from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value
from xfworker.adapters.page.editor_sources import choice, inputs_of, sources_in
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.connections import sources_behind
from xfworker.domain.errors import InvalidParameter, UsageError, XFWorkerError
from xfworker.domain.interface import declared_fields
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow
from xfworker.domain.version import parse_version
from xfworker.domain.workflow_graph import Step
from xfworker.services.platform.server import PlatformServer


def appending_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of appended tasks."""

    @get("/jobs/{serial:int}/append")
    async def form(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        kind = request.query_params.get("task_type", "")
        values = await in_thread(lambda: _form(parts.server(request), serial, kind))
        return parts.templates.answer(request, "append.html", **values)

    @post("/jobs/{serial:int}/append", status_code=200)
    async def append(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        entered = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        kind, name = await form_value(request, "task_type", most=18), await form_value(request, "name")
        key = await form_value(request, "key")

        def work() -> Task:
            task_type = parts.server(request).get(TaskType, _type_serial(kind))
            declared = declared_fields(task_type.interface, "inputs")
            sources, violations = sources_in(entered, declared, {})
            if violations:
                raise InvalidParameter("; ".join(f"{name}: {text}" for name, text in violations.items()))
            control = parts.control(request)
            return control.append_task(serial, task_type.serial, inputs=sources, name=name, idempotency_key=key or None)

        try:
            task = await in_thread(work)
        except XFWorkerError as error:
            refusal = error
            values = await in_thread(lambda: _form(parts.server(request), serial, kind, entered=entered))
            return parts.templates.answer(
                request,
                "append.html",
                status=error.status,
                **{**values, "error": str(refusal), "name": name, "key": key},
            )
        page = await in_thread(lambda: _page_of(parts.server(request), task, serial))
        return done(request, strings()["done"]["task_appended"], page=page, go=True)

    return [form, append]


def _type_serial(text: str) -> int:
    serial = read_digits(text, most=18)
    if serial is None:
        raise UsageError("task_type: choose a task type")
    return serial


def _form(
    server: PlatformServer, serial: int, kind: str, *, entered: Mapping[str, str] | None = None
) -> dict[str, Any]:
    job = server.get(Job, serial)
    steps = server.board_steps(job.workflow_serial)
    workflow = server.get(Workflow, job.workflow_serial)
    types = _offered(server)
    chosen = server.get(TaskType, _type_serial(kind)) if kind else None
    return {
        "job": job,
        "task": server.get(Task, job.task_serial),
        "run": None if job.run_serial is None else server.get(Run, job.run_serial),
        "workflow": workflow,
        "project": server.get(Project, workflow.project_serial),
        "task_types": types,
        "chosen": chosen,
        "inputs": [] if chosen is None else _inputs(job, chosen, steps, entered),
        "name": "" if chosen is None else chosen.name.rpartition(".")[2],
        "key": uuid.uuid4().hex,
        "error": "",
    }


def _inputs(
    job: Job, task_type: TaskType, steps: tuple[Step, ...], entered: Mapping[str, str] | None
) -> list[dict[str, Any]]:
    """Give the inputs with the sources that fit; the job's own outputs are chosen where they do, each once."""
    followed = next((step for step in steps if step.serial == job.task_serial), None)
    sources = [] if followed is None else sources_behind(followed, task_type)
    task = Task(workflow_serial=job.workflow_serial, task_type_serial=task_type.serial, inputs=sources)
    own = Step(task, task_type)
    inputs = [choice(own, key, about, steps) for key, about in inputs_of(own)]
    for item in inputs:
        item["value"] = (entered or {}).get(f"source.{item['key']}", item["value"])
        item["fixed"] = (entered or {}).get(f"fixed.{item['key']}", item["fixed"])
    return inputs


def _offered(server: PlatformServer) -> list[TaskType]:
    """Give the newest version of each task type that can follow something."""
    newest: dict[str, TaskType] = {}
    for item in server.find(TaskType):
        before = newest.get(item.name)
        is_newer = before is None or parse_version(item.version) > parse_version(before.version)
        if not item.obsolete and item.kind is not TaskTypeKind.SOURCE and is_newer:
            newest[item.name] = item
    return [newest[name] for name in sorted(newest)]


def _page_of(server: PlatformServer, task: Task, serial: int) -> str:
    run = server.get(Job, serial).run_serial
    begun = [job for job in server.find(Job, {"task_serial": task.serial}) if job.run_serial in {None, run}]
    return f"/jobs/{begun[0].serial}" if begun else f"/workflows/{task.workflow_serial}"
