"""The workflow editor: tasks and where their inputs come from, each connection chosen from what fits."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value, form_version
from xfworker.adapters.page.editor_sources import OF_TASK, choice, inputs_of, read_sources
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.domain.change import Change
from xfworker.domain.connections import first_source
from xfworker.domain.errors import InvalidRecord, UsageError, XFWorkerError
from xfworker.domain.interface import declared_fields
from xfworker.domain.records import Project, Task, TaskState, TaskType, Workflow, WorkflowState
from xfworker.domain.version import parse_version
from xfworker.services.packages.workflow_export import package_identity
from xfworker.services.platform.server import PlatformServer


def editor_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of projects, workflows and tasks that are made and changed."""

    @get("/workflows/{serial:int}/edit")
    async def edit(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: _editor(parts.server(request), serial))
        return parts.templates.answer(request, "editor.html", **values)

    return [edit, *_shelf_routes(parts), *_task_routes(parts), *_form_routes(parts)]


def _shelf_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/projects", status_code=200)
    async def add_project(request: AnyRequest) -> Response[Any]:
        name = await form_value(request, "name")
        if not name:
            raise UsageError("name: a project needs one")
        made = await in_thread(lambda: parts.server(request).create(Project(name=name)))
        return done(request, said["project_made"], page=f"/projects/{made.serial}", go=True)

    @post("/projects/{serial:int}/workflows", status_code=200)
    async def add_workflow(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        name = await form_value(request, "name")
        if not name:
            raise UsageError("name: a workflow needs one")
        made = await in_thread(lambda: parts.server(request).create(Workflow(project_serial=serial, name=name)))
        return done(request, said["workflow_made"], page=f"/workflows/{made.serial}/edit", go=True)

    @post("/workflows/{serial:int}", status_code=200)
    async def change_workflow(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        what, value = await form_value(request, "what"), await form_value(request, "value")
        if what == "state" and value in set(WorkflowState):
            values: dict[str, Any] = {"/state": value}
        elif what == "obsolete" and value in {"true", "false"}:
            values = {"/obsolete": value == "true"}
        elif what == "name" and value:
            values = {"/name": value}
        else:
            raise UsageError("a workflow is given a name, a state, or made obsolete")
        change = Change(values=values, expected_version=await form_version(request))
        await in_thread(lambda: parts.server(request).update(Workflow, serial, change))
        return done(request, said["workflow_changed"], page=f"/workflows/{serial}/edit")

    return [add_project, add_workflow, change_workflow]


def _task_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/workflows/{serial:int}/tasks", status_code=200)
    async def add_task(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        kind, name = await form_value(request, "task_type", most=18), await form_value(request, "name")
        if not kind.isascii() or not kind.isdigit():
            raise UsageError("task_type: choose a task type")

        def add() -> None:
            server = parts.server(request)
            task_type = server.get(TaskType, int(kind))
            inputs = [first_source(key, about) for key, about in declared_fields(task_type.interface, "inputs").items()]
            label = name or task_type.name.rpartition(".")[2]
            server.create(Task(workflow_serial=serial, task_type_serial=task_type.serial, name=label, inputs=inputs))

        await in_thread(add)
        return done(request, said["task_added"], page=f"/workflows/{serial}/edit")

    @post("/tasks/{serial:int}/{action:str}", status_code=200)
    async def act(request: AnyRequest, serial: FromPath[int], action: FromPath[str]) -> Response[Any]:
        version = await form_version(request)

        workflow = await in_thread(lambda: _act(parts.server(request), serial, action, version))
        return done(request, said["task_changed"], page=f"/workflows/{workflow}/edit")

    return [add_task, act]


def _form_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/tasks/{serial:int}", status_code=200)
    async def change_task(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        entered, version = await _entered(request), await form_version(request)

        def change() -> int:
            server = parts.server(request)
            task, read = read_sources(server, serial, entered)
            if read.violations:
                raise InvalidRecord(f"{task}: " + "; ".join(read.listed()), read.listed())
            server.update(Task, serial, Change(values=read.values, expected_version=version))
            return task.workflow_serial

        workflow = await in_thread(change)
        return done(request, said["task_changed"], page=f"/workflows/{workflow}/edit")

    @post("/tasks/{serial:int}/check", status_code=200)
    async def check_task(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        entered, version = await _entered(request), await form_version(request)

        def check() -> dict[str, str]:
            server = parts.server(request)
            _, read = read_sources(server, serial, entered)
            try:
                server.check_update(Task, serial, Change(values=read.values, expected_version=version))
            except InvalidRecord as error:
                return read.by_input(error.faults) | read.violations
            except XFWorkerError as error:
                return {OF_TASK: str(error), **read.violations}
            return dict(read.violations)

        return answer_json(request, {"violations": await in_thread(check)})

    return [change_task, check_task]


async def _entered(request: AnyRequest) -> dict[str, str]:
    entered = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    await form_value(request, "name")  # which refuses one that is too long
    return entered


def _act(server: PlatformServer, serial: int, action: str, version: int | None) -> int:
    """Remove, upgrade or clone a task, and give its workflow; for a thread."""
    task = server.get(Task, serial)
    values: dict[str, Any]
    match action:
        case "remove":
            values = {"/state": TaskState.OBSOLETE.value}
        case "upgrade":
            task_type = server.get(TaskType, task.task_type_serial)
            values = {"/task_type_serial": _newest(server.find(TaskType, {"name": task_type.name}))[0].serial}
        case "clone":
            name = strings()["run"]["copy_of"].format(name=task.name or task.serial)
            copy = Task(
                workflow_serial=task.workflow_serial,
                task_type_serial=task.task_type_serial,
                name=name,
                inputs=task.inputs,
            )
            return server.create(copy).workflow_serial
        case _:
            raise UsageError("a task is removed, upgraded or cloned")
    return server.update(Task, serial, Change(values=values, expected_version=version)).workflow_serial


def _editor(server: PlatformServer, serial: int) -> dict[str, Any]:
    workflow = server.get(Workflow, serial)
    steps = server.board_steps(serial)
    types = [item for item in server.find(TaskType) if not item.obsolete]
    newest = {item.name: item.serial for item in _newest(types)}
    return {
        "workflow": workflow,
        "project": server.get(Project, workflow.project_serial),
        "tasks": [
            {
                "step": step,
                "inputs": [choice(step, key, about, steps) for key, about in inputs_of(step)],
                "can_upgrade": newest.get(step.task_type.name, step.task_type.serial) != step.task_type.serial,
            }
            for step in steps
        ],
        "task_types": _newest(types),
        "package": package_identity(workflow),
    }


def _newest(types: Sequence[TaskType]) -> list[TaskType]:
    by_name: dict[str, list[TaskType]] = defaultdict(list)
    for item in types:
        by_name[item.name].append(item)
    return [max(items, key=lambda item: parse_version(item.version)) for _, items in sorted(by_name.items())]
