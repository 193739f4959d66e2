"""The workflow editor: tasks and where their inputs come from, each connection chosen from what fits."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value, form_version
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.domain.change import Change
from xfworker.domain.errors import UsageError
from xfworker.domain.interface import PRIMITIVE_TYPES, declared_fields
from xfworker.domain.job_inputs import read_string
from xfworker.domain.records import Project, Task, TaskState, TaskType, Workflow, WorkflowState
from xfworker.domain.version import parse_version
from xfworker.domain.workflow_graph import Step
from xfworker.services.platform.server import PlatformServer

_SOURCE = "source."
_FIXED = "fixed."


def editor_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of projects, workflows and tasks that are made and changed."""

    @get("/workflows/{serial:int}/edit")
    async def edit(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: _editor(parts.server(request), serial))
        return parts.templates.answer(request, "editor.html", **values)

    @get("/workflows/{serial:int}/tasks.json")
    async def export(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> str:
            steps = parts.server(request).board_steps(serial)
            return json.dumps({"tasks": list(_exported(steps))}, ensure_ascii=False, indent=2) + "\n"

        headers = {**PAGE_HEADERS, "Content-Disposition": 'attachment; filename="tasks.json"'}
        return Response(content=(await in_thread(read)).encode(), media_type="application/json", headers=headers)

    return [edit, export, *_shelf_routes(parts), *_task_routes(parts)]


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
            inputs = [
                _first_source(key, about) for key, about in declared_fields(task_type.interface, "inputs").items()
            ]
            label = name or task_type.name.rpartition(".")[2]
            server.create(Task(workflow_serial=serial, task_type_serial=task_type.serial, name=label, inputs=inputs))

        await in_thread(add)
        return done(request, said["task_added"], page=f"/workflows/{serial}/edit")

    @post("/tasks/{serial:int}", status_code=200)
    async def change_task(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        name, version = await form_value(request, "name"), await form_version(request)
        entered = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}

        def change() -> int:
            server = parts.server(request)
            task = server.get(Task, serial)
            task_type = server.get(TaskType, task.task_type_serial)
            inputs = _sources(task, task_type, entered)
            values = {"/name": name, "/inputs": inputs}
            server.update(Task, serial, Change(values=values, expected_version=version))
            return task.workflow_serial

        workflow = await in_thread(change)
        return done(request, said["task_changed"], page=f"/workflows/{workflow}/edit")

    @post("/tasks/{serial:int}/{action:str}", status_code=200)
    async def act(request: AnyRequest, serial: FromPath[int], action: FromPath[str]) -> Response[Any]:
        version = await form_version(request)

        workflow = await in_thread(lambda: _act(parts.server(request), serial, action, version))
        return done(request, said["task_changed"], page=f"/workflows/{workflow}/edit")

    return [add_task, change_task, act]


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
                "inputs": [_choice(step, key, about, steps) for key, about in _inputs(step)],
                "can_upgrade": newest.get(step.task_type.name, step.task_type.serial) != step.task_type.serial,
            }
            for step in steps
        ],
        "task_types": _newest(types),
        "graph": {
            "nodes": [
                [step.serial, step.task.name or step.task_type.name, step.task_type.kind.value] for step in steps
            ],
            "edges": sorted({(up.task_serial, step.serial) for step in steps for up in step.upstreams()}),
        },
    }


def _inputs(step: Step) -> list[tuple[str, Mapping[str, Any]]]:
    declared = declared_fields(step.task_type.interface, "inputs")
    listed: dict[str, Mapping[str, Any]] = {str(item.get("key")): {} for item in step.task.inputs if item.get("key")}
    return list({**listed, **declared}.items())


def _choice(step: Step, key: str, about: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Give an input with the sources that fit it, and the one that it has."""
    now = next((item for item in step.task.inputs if item.get("key") == key), {"mode": "none"})
    modes = about.get("supported_modes") or ["none", "output", "fixed", "define_on_first", "ui"]
    type_name = str(about.get("type", ""))
    said = strings()["modes"]
    choices = [(mode, said[mode]) for mode in ("ui", "none", "define_on_first", "fixed") if mode in modes]
    if "fixed" in modes and type_name and type_name not in PRIMITIVE_TYPES:
        choices.remove(("fixed", said["fixed"]))
    if "output" in modes:
        choices += [
            (f"output:{other.serial}:{output}", f"{other.task.name or other.serial}: {output}")
            for other in steps
            if other.serial != step.serial
            for output, made in declared_fields(other.task_type.interface, "outputs").items()
            if not type_name or type_name in {"Sequence", made.get("type")}
        ]
    value = now["mode"] if now["mode"] != "output" else f"output:{now.get('task_serial')}:{now.get('output_key')}"
    if value not in dict(choices):
        choices.append((value, said.get(now["mode"], value) if now["mode"] != "output" else value.partition(":")[2]))
    fixed = now.get("fixed_value")
    written = ("true" if fixed else "false") if isinstance(fixed, bool) else "" if fixed is None else str(fixed)
    return {"key": key, "type": type_name, "choices": choices, "value": value, "fixed": written, "about": about}


def _sources(task: Task, task_type: TaskType, entered: Mapping[str, str]) -> list[dict[str, Any]]:
    declared = declared_fields(task_type.interface, "inputs")
    kept = {str(item.get("key")): item for item in task.inputs}
    sources = []
    for key in dict.fromkeys((*kept, *declared)):
        text = entered.get(f"{_SOURCE}{key}")
        if text is None:
            sources += [kept[key]] if key in kept else []
            continue
        mode, _, rest = text.partition(":")
        source: dict[str, Any] = {"key": key, "mode": mode}
        if mode == "output":
            serial, _, output = rest.partition(":")
            if not serial.isascii() or not serial.isdigit():
                raise UsageError(f"{key}: choose an output")
            source |= {"task_serial": int(serial), "output_key": output}
        elif mode == "fixed":
            source["fixed_value"] = read_string(
                declared.get(key, {"type": "String"}), entered.get(f"{_FIXED}{key}", "")
            )
        elif mode == "define_on_first":
            source["template"] = kept.get(key, {}).get("template")
        sources.append(source)
    return sources


def _first_source(key: str, about: Mapping[str, Any]) -> dict[str, Any]:
    modes = about.get("supported_modes") or ["ui"]
    for mode in ("ui", "none", "define_on_first"):
        if mode in modes:
            return {"key": key, "mode": mode} | ({"template": None} if mode == "define_on_first" else {})
    # What comes from another task is connected next; until then a person would be asked.
    return {"key": key, "mode": "ui"}


def _newest(types: Sequence[TaskType]) -> list[TaskType]:
    by_name: dict[str, list[TaskType]] = defaultdict(list)
    for item in types:
        by_name[item.name].append(item)
    return [max(items, key=lambda item: parse_version(item.version)) for _, items in sorted(by_name.items())]


def _exported(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """Give the tasks as ``tasks.json`` of a workflow package has them: tasks are named by their place."""
    places = {step.serial: place for place, step in enumerate(steps)}
    for step in steps:
        inputs: dict[str, Any] = {}
        for key, item in step.sources():
            mode = item["mode"]
            inputs[key] = {"mode": mode}
            if mode == "output":
                inputs[key] |= {"task": places.get(item["task_serial"]), "key": item["output_key"]}
            elif mode == "fixed":
                inputs[key]["fixed_value"] = item.get("fixed_value")
            elif mode == "define_on_first":
                inputs[key]["template"] = None
        reference = {"name": step.task_type.name, "version": step.task_type.version}
        yield {"name": step.task.name or step.task_type.name, "task_type": reference, "inputs": inputs}
