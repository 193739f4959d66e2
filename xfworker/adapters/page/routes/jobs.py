"""A job's page: its inputs and outputs as what they are, its log, what happened to it, and what can be done with it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value, form_version
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.person_form import person_form
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.strings import strings
from xfworker.adapters.page.values import shown_values
from xfworker.domain.board import job_cell
from xfworker.domain.change import Change
from xfworker.domain.errors import FileNotInStore, RecordNotFound
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Project, Run, Task, TaskType, Worker, Workflow
from xfworker.domain.scheduling import OPEN_STATES
from xfworker.services.platform.server import PlatformServer

LOG = "log.txt"
_LOG_BYTES = 256 << 10
_EVENTS = 200


def job_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of jobs."""

    @get("/jobs/{serial:int}")
    async def job(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: job_values(parts.server(request), serial))
        return parts.templates.answer(request, "job.html", **values, **person_form(values))

    @get(["/jobs/{serial:int}/panel", "/jobs/{serial:int}/live"])
    async def part(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        values = await in_thread(lambda: job_values(parts.server(request), serial))
        name = "job_panel.html" if request.url.path.endswith("/panel") else "job_live.html"
        return parts.templates.answer(request, name, **values)

    @get("/jobs/{serial:int}/log")
    async def log(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        offset = request.query_params.get("offset", "")
        begin = int(offset) if offset.isascii() and offset.isdigit() and len(offset) <= 18 else None  # noqa: PLR2004  64 bits
        content, start, size = await in_thread(lambda: _log_part(parts, request, serial, begin))
        headers = {**PAGE_HEADERS, "X-Log-Start": str(start), "X-Log-Size": str(size)}
        return Response(content=content, media_type="application/octet-stream", headers=headers)

    @get("/jobs/{serial:int}/activity")
    async def activity(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> list[ActivityEvent]:
            server = parts.server(request)
            server.get(Job, serial)
            return sorted(server.find(ActivityEvent, {"job_serial": serial}), key=lambda event: -event.serial)[:_EVENTS]

        return parts.templates.answer(request, "activity.html", events=await in_thread(read))

    return [job, part, log, activity, *_action_routes(parts)]


def _action_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/jobs/{serial:int}/restart", status_code=200)
    async def restart(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        key = await form_value(request, "key") or None
        await in_thread(lambda: parts.control(request).restart_job(serial, idempotency_key=key))
        return done(request, said["restarted"], page=f"/jobs/{serial}")

    @post("/jobs/{serial:int}/abort", status_code=200)
    async def abort(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        key = await form_value(request, "key") or None
        await in_thread(lambda: parts.control(request).abort_job(serial, idempotency_key=key))
        return done(request, said["aborted"], page=f"/jobs/{serial}")

    @post("/jobs/{serial:int}/rename", status_code=200)
    async def rename(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        change = Change(
            values={"/name": await form_value(request, "name")}, expected_version=await form_version(request)
        )
        await in_thread(lambda: parts.server(request).update(Job, serial, change))
        return done(request, said["renamed"], page=f"/jobs/{serial}")

    return [restart, abort, rename]


def job_values(server: PlatformServer, serial: int) -> dict[str, Any]:
    """Give what templates show of a job; for a thread."""
    record = server.get(Job, serial)
    task = server.get(Task, record.task_serial)
    task_type = server.get(TaskType, task.task_type_serial)
    inputs = shown_values(task_type.interface, "inputs", record.inputs)
    outputs = shown_values(task_type.interface, "outputs", record.outputs, record.metadata.get("output_units"))
    return {
        "job": record,
        "cell": job_cell(record),
        "task": task,
        "task_type": task_type,
        "workflow": server.get(Workflow, record.workflow_serial),
        "project": server.get(Project, record.project_serial),
        "run": None if record.run_serial is None else server.get(Run, record.run_serial),
        "worker": _worker(server, record),
        "inputs": inputs,
        "outputs": outputs,
        "needs": {value_kind for value_kind in ("image", "table") if any(v.has(value_kind) for v in inputs + outputs)},
        "can_restart": record.state.is_final,
        "can_abort": record.state in OPEN_STATES,
        "waits_for_person": record.state is JobState.READY_FOR_INTERACTIVE,
        "is_running": record.state is JobState.RUNNING,
    }


def _worker(server: PlatformServer, job: Job) -> Worker | None:
    try:
        return None if job.worker_serial is None else server.get(Worker, job.worker_serial)
    except RecordNotFound:
        return None


def _log_part(parts: PageParts, request: AnyRequest, serial: int, begin: int | None) -> tuple[bytes, int, int]:
    """Give some of a job's log, where it begins and how long the log is; without a beginning, its end."""
    resource = record_resource("job_log", serial, LOG)
    server = parts.server(request)
    server.get(Job, serial)
    try:
        stat, opened = parts.files.open_file(server.file_token([Scope("read", resource)]), resource)
    except FileNotInStore:
        return b"", 0, 0
    try:
        start = max(stat.size - _LOG_BYTES, 0) if begin is None else min(begin, stat.size)
        length = min(stat.size - start, _LOG_BYTES)
        return b"".join(opened.blocks(offset=start, length=length)), start, stat.size
    finally:
        opened.close()
