"""Forms: a new run from what its source task takes, and the work that waits for a person."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value, form_version
from xfworker.adapters.page.form_fields import PREFIX, TEMPLATE_PREFIX, form_fields, read_form
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.person_form import person_form, to_be_defined
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.routes.jobs import job_values
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidContent, RecordConflict, UsageError
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_metadata import WORKED_ON_BY
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, RunPriority, TaskTypeKind, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.platform.server import PlatformServer

_MOST_VALUE = 256 << 10


def form_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of forms."""

    @post("/file-tokens", status_code=200)
    async def file_token(request: AnyRequest) -> Response[bytes]:
        verb, resource = await form_value(request, "verb"), await form_value(request, "resource", most=4000)
        scope = Scope(verb, parse_resource(resource))
        token = await in_thread(lambda: parts.server(request).file_token([scope]))
        return answer_json(request, {"url": token.url, "token": token.token})

    return [file_token, *_run_routes(parts), *_person_routes(parts)]


# --- new run ----------------------------------------------------------------------------------------------------------


def _run_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    @get("/workflows/{serial:int}/new-run")
    async def new_run(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        task = request.query_params.get("task")
        values = await in_thread(lambda: _run_form(parts.server(request), serial, task))
        return parts.templates.answer(request, "new_run.html", **values)

    @post("/workflows/{serial:int}/new-run", status_code=200)
    async def start_run(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        entered = await _entered(request)
        name, sample = await form_value(request, "name"), await form_value(request, "sample")
        task, key = await form_value(request, "task"), await form_value(request, "key")
        priority = await form_value(request, "priority")
        if priority not in set(RunPriority):
            raise UsageError(f"priority: expected one of {', '.join(RunPriority)}")

        def start() -> int:
            source = _source(parts.server(request), serial, task)
            inputs = None if source is None else read_form(source.task_type.interface, "inputs", entered)
            run = parts.control(request).start_run(
                serial,
                inputs=None if inputs is None else {k: v for k, v in inputs.items() if v is not None},
                task_serial=None if source is None else source.serial,
                name=name,
                entity={"uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, key)), "name": sample} if sample else None,
                priority=RunPriority(priority),
                idempotency_key=key or None,
            )
            return run.serial

        try:
            run = await in_thread(start)
        except InvalidContent as error:
            refusal = error
            values = await in_thread(
                lambda: _run_form(parts.server(request), serial, task, entered=entered, error=refusal)
            )
            kept = {"name": name, "sample": sample, "priority": priority, "key": key}
            return parts.templates.answer(request, "new_run.html", status=error.status, **{**values, **kept})
        return done(request, strings()["done"]["started"], page=f"/workflows/{serial}?run={run}", go=True)

    return [new_run, start_run]


def _run_form(
    server: PlatformServer,
    serial: int,
    task: str | None,
    *,
    entered: dict[str, str] | None = None,
    error: InvalidContent | None = None,
) -> dict[str, Any]:
    workflow = server.get(Workflow, serial)
    sources = _sources(server, serial)
    source = _source(server, serial, task)
    violations = list(error.faults) if error is not None else []
    fields = (
        []
        if source is None
        else form_fields(
            source.task_type.interface,
            "inputs",
            entered=entered,
            violations=violations,
            sequences=_sequences(server.board_steps(serial)),
        )
    )
    return {
        "workflow": workflow,
        "project": server.get(Project, workflow.project_serial),
        "sources": sources,
        "source": source,
        "fields": fields,
        "error": "" if error is None or any(field.errors for field in fields) else str(error),
        "name": "",
        "sample": "",
        "priority": RunPriority.NORMAL.value,
        "priorities": [priority.value for priority in RunPriority],
        "key": uuid.uuid4().hex,
        "folder": f"userdata/runs/{uuid.uuid4()}",
    }


def _sequences(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [
        (
            json.dumps({"type": "Sequence", "task_serial": step.serial, "key": key}),
            f"{step.task.name or step.serial}: {key}",
        )
        for step in steps
        for key in declared_fields(step.task_type.interface, "outputs")
    ]


def _sources(server: PlatformServer, serial: int) -> list[Step]:
    steps = server.board_steps(serial)
    return [
        step
        for step in steps
        if step.task_type.kind is TaskTypeKind.SOURCE and not step.upstreams() and step.task.spawn_key is None
    ]


def _source(server: PlatformServer, serial: int, task: str | None) -> Step | None:
    sources = _sources(server, serial)
    named = [step for step in sources if str(step.serial) == task]
    return next(iter(named or sources), None)


# --- what waits for a person ------------------------------------------------------------------------------------------


def _person_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/jobs/{serial:int}/work", status_code=200)
    async def work(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        name = signed_in(request).name
        stops = await form_value(request, "stop") == "true"

        def take() -> None:
            server = parts.server(request)
            job = server.get(Job, serial)
            if job.state is not JobState.READY_FOR_INTERACTIVE:
                raise RecordConflict(f"{job} does not wait for a person any more: it is {job.state}", current={})
            pointer = f"/metadata/{WORKED_ON_BY}"
            since = format_time(parts.platform.clock.now())
            change = Change(removals=(pointer,)) if stops else Change(values={pointer: {"user": name, "since": since}})
            # It is a note for others; who finishes the job is decided by its version.
            server.update(Job, serial, Change(values=change.values, removals=change.removals, bump=False))

        await in_thread(take)
        return done(request, said["stopped_work"] if stops else said["working"], page=f"/jobs/{serial}#form")

    @post("/jobs/{serial:int}/finish", status_code=200)
    async def finish(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        return await _give(parts, request, serial, "outputs", said["finished"])

    @post("/jobs/{serial:int}/inputs", status_code=200)
    async def give_inputs(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        return await _give(parts, request, serial, "inputs", said["went_on"])

    return [work, finish, give_inputs]


async def _give(parts: PageParts, request: AnyRequest, serial: int, part: str, message: str) -> Response[Any]:
    entered, templates = await _entered(request), await _entered(request, prefix=TEMPLATE_PREFIX)
    version = await form_version(request)
    if version is None:
        raise UsageError("the form does not say which version of the job it was made from; load the page again")

    def give() -> None:
        server = parts.server(request)
        values = job_values(server, serial)
        job, interface = values["job"], values["task_type"].interface
        if job.state is not JobState.READY_FOR_INTERACTIVE:
            raise RecordConflict(
                f"{job} does not wait for a person any more: it is {job.state}; somebody else was quicker", current={}
            )
        read = read_form(interface, part, entered)
        state = JobState.DONE if part == "outputs" else JobState.WAITING
        change = {f"/{part}": {**getattr(job, part), **read}, "/state": state.value}
        if part == "outputs":
            keys = [key for key in to_be_defined(values["task"], values["task_type"]) if key in templates]
            defined = read_form(interface, "inputs", templates, keys=keys)
            change |= {"/inputs": {**job.inputs, **defined}} if defined else {}
        server.update(Job, serial, Change(values=change, expected_version=version))

    try:
        await in_thread(give)
    except (InvalidContent, RecordConflict) as error:
        violations = list(getattr(error, "faults", ()))

        def again() -> dict[str, Any]:
            values = job_values(parts.server(request), serial)
            return {
                **values,
                **person_form(values, entered={part: entered, "templates": templates}, violations=violations),
            }

        shown = await in_thread(again)
        if shown["form"] is None:
            raise  # nothing is left to be filled in
        fields = [*shown["form"][part], *shown["form"]["templates"]]
        problem = "" if any(field.errors for field in fields) else str(error)
        shown["form"]["problem"] = problem
        return parts.templates.answer(request, "job.html", status=error.status, **shown)
    return done(request, message, page=f"/jobs/{serial}")


async def _entered(request: AnyRequest, *, prefix: str = PREFIX) -> dict[str, str]:
    entered: dict[str, str] = {}
    for name, value in (await request.form()).items():
        if name.startswith(prefix) and isinstance(value, str):
            if len(value) > _MOST_VALUE:
                raise UsageError(f"{name[:100]}: more than {_MOST_VALUE} characters; store it as a file")
            entered[name.removeprefix(prefix)] = value
    return entered
