"""Two jobs' results side by side; the address names both, so that it can be sent to a colleague."""

from typing import Any

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.compared_values import ComparedFiles, ComparedValue, compared_tables, compared_values
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.routes.files import open_file
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.page.values import FileLink, shown_values
from xfworker.adapters.wire.digits import read_digits
from xfworker.domain.errors import UsageError, XFWorkerError
from xfworker.domain.files import FileStat
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType, Workflow
from xfworker.services.comparison.outputs import neutral_outputs
from xfworker.services.platform.server import PlatformServer

_MOST_OFFERED = 200
_MOST_TABLE_BYTES = 4 << 20
_MOST_PLACES = 5


def comparison_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of the comparison."""

    @get("/compare")
    async def compare(request: AnyRequest) -> Response[bytes]:
        first, second = _serial(request, "a"), _serial(request, "b")
        if first is None:
            raise UsageError("a: expected the number of the first job: /compare?a=17&b=18")
        if second is None:
            values = await in_thread(lambda: _offered(parts.server(request), first))
            return parts.templates.answer(request, "compare_choose.html", **values)
        values = await in_thread(lambda: _side_by_side(parts, request, first, second))
        return parts.templates.answer(request, "compare.html", **values)

    return [compare]


def _serial(request: AnyRequest, name: str) -> int | None:
    text = request.query_params.get(name, "")
    serial = read_digits(text.strip(), most=18)
    if serial is None and text.strip():
        raise UsageError(f"{name}: expected the number of a job")
    return serial


def _offered(server: PlatformServer, serial: int) -> dict[str, Any]:
    """Give what a job is most likely to be compared with: what the same task gave in other runs, the newest first."""
    job = server.get(Job, serial)
    board = server.board(job.workflow_serial)
    runs = {run.serial: run for run in board.runs}
    cells = [
        cell
        for cell in board.cells
        if cell.task_serial == job.task_serial and cell.serial != serial and cell.state is JobState.DONE
    ]
    newest = sorted(cells, key=lambda cell: -cell.serial)
    return {
        "first": _side(server, job),
        "offered": [(cell.serial, runs.get(cell.run_serial or 0)) for cell in newest[:_MOST_OFFERED]],
        "left_out": max(len(newest) - _MOST_OFFERED, 0),
    }


def _side_by_side(parts: PageParts, request: AnyRequest, first: int, second: int) -> dict[str, Any]:
    server = parts.server(request)
    jobs = [server.get(Job, serial) for serial in (first, second)]
    sides = [_side(server, job) for job in jobs]
    shown = [
        shown_values(side["task_type"].interface, "outputs", job.outputs, job.metadata.get("output_units"))
        for side, job in zip(sides, jobs, strict=True)
    ]
    neutral = [neutral_outputs(job.outputs, job.serial) for job in jobs]
    compared = compared_values((shown[0], shown[1]), (neutral[0], neutral[1]))
    shared = {item.left.label for item in compared}
    return {
        "sides": sides,
        "numbers": [item for item in compared if item.is_number],
        "others": [(item, _of_files(parts, request, item)) for item in compared if not item.is_number],
        "alone": [[value.label for value in values if value.label not in shared] for values in shown],
        "needs": {
            kind for kind in ("image", "table") if any(item.left.has(kind) or item.right.has(kind) for item in compared)
        },
    }


def _side(server: PlatformServer, job: Job) -> dict[str, Any]:
    task = server.get(Task, job.task_serial)
    return {
        "job": job,
        "task": task,
        "task_type": server.get(TaskType, task.task_type_serial),
        "workflow": server.get(Workflow, job.workflow_serial),
        "run": None if job.run_serial is None else server.get(Run, job.run_serial),
    }


def _of_files(parts: PageParts, request: AnyRequest, item: ComparedValue) -> ComparedFiles:
    one, other = item.left.file, item.right.file
    # Images differ in more than their bytes: the viewers show it.
    if one is None or other is None or "image" in (item.left.kind, item.right.kind):
        return ComparedFiles()
    try:
        if item.left.kind == item.right.kind == "table":
            left, right = (_table_text(parts, request, link) for link in (one, other))
            is_small = left is not None and right is not None
            return compared_tables(left or "", right or "", most=_MOST_PLACES) if is_small else ComparedFiles()
        return ComparedFiles(is_same=_is_same(*(_stat(parts, request, link) for link in (one, other))))
    except XFWorkerError as error:
        return ComparedFiles(problem=str(error))


def _is_same(one: FileStat, other: FileStat) -> bool | None:
    if one.size != other.size:
        return False
    pairs = ((one.xxh3, other.xxh3), (one.sha256, other.sha256))
    known = [pair for pair in pairs if None not in pair]
    return all(left == right for left, right in known) if known else None


def _stat(parts: PageParts, request: AnyRequest, link: FileLink) -> FileStat:
    stat, opened = open_file(parts, request, link.resource)
    opened.close()
    return stat


def _table_text(parts: PageParts, request: AnyRequest, link: FileLink) -> str | None:
    stat, opened = open_file(parts, request, link.resource)
    try:
        if stat.size > _MOST_TABLE_BYTES:
            return None
        content = b"".join(opened.blocks(offset=0, length=stat.size))
    finally:
        opened.close()
    return content.decode("utf-8-sig", "replace")
