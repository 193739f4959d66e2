"""A workflow's board: the page, its document, its events, and the job behind a cell."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.board_document import ALL_RUNS, board_document
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import answer_json
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread, visitor_of
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.errors import RecordNotFound, UsageError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Workflow
from xfworker.services.platform.server import PlatformServer

_STREAM_HEADERS = {**PAGE_HEADERS, "X-Accel-Buffering": "no"}


def board_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of boards."""

    @get("/workflows/{serial:int}")
    async def workflow(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            record = server.get(Workflow, serial)
            return {"workflow": record, "project": server.get(Project, record.project_serial)}

        values = await in_thread(read)
        return parts.templates.answer(request, "workflow.html", states=[state.value for state in JobState], **values)

    @get("/workflows/{serial:int}/board")
    async def board(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            return board_document(parts.server(request).board(serial))

        return answer_json(request, await in_thread(read))

    @get("/workflows/{serial:int}/events")
    async def events(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        await in_thread(lambda: parts.server(request).get(Workflow, serial))
        visitor = visitor_of(request)
        assert visitor is not None  # the route is for who is signed in
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        stream: AsyncIterator[str] = parts.live.events(serial, visitor.token, after)
        return Stream(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)

    @get("/workflows/{serial:int}/cell")
    async def cell(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        run, task = (_serial(name, request.query_params.get(name)) for name in ("run", "task"))
        newest = await in_thread(lambda: _newest(parts.server(request), serial, run, task))
        part = "/panel" if "panel" in request.query_params else ""
        return Redirect(f"/jobs/{newest}{part}", status_code=303, headers=PAGE_HEADERS)

    @get("/workflows/{serial:int}/compare")
    async def compare(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        cells = [request.query_params.get(side, "").split(".") for side in ("a", "b")]
        if any(len(cell) != 2 for cell in cells):  # noqa: PLR2004 - a run and a task
            raise UsageError("a, b: expected the serials of a run and a task with a dot between them: ?a=3.7&b=4.7")
        pairs = [(_serial("run", run), _serial("task", task)) for run, task in cells]
        first, second = await in_thread(lambda: [_newest(parts.server(request), serial, *pair) for pair in pairs])
        return Redirect(f"/compare?a={first}&b={second}", status_code=303, headers=PAGE_HEADERS)

    return [workflow, board, events, cell, compare]


def _newest(server: PlatformServer, workflow: int, run: int, task: int) -> int:
    """Give the job of a cell: the newest one."""
    where = {"workflow_serial": workflow, "task_serial": task, "run_serial": None if run == ALL_RUNS else run}
    jobs = server.find(Job, where)
    if not jobs:
        raise RecordNotFound(f"task {task} has no job in run {run}")
    return max(job.serial for job in jobs)


def _serial(name: str, text: str | None) -> int:
    serial = read_digits(text, most=18)
    if serial is None:
        raise UsageError(f"{name}: expected the serial of a {name}")
    return serial
