"""``xfworker workflow board``: runs and tasks at a glance, as the page shows them."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from xfworker.adapters.http.xf_server import BASE
from xfworker.api.cli.console import messages, print_json, print_table
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.errors import UsageError
from xfworker.domain.job_state import JobState

if TYPE_CHECKING:
    from xfworker.adapters.wire.boards import BoardBody, BoardCell

_WORDS = {
    JobState.WAITING: "waiting",
    JobState.READY: "ready",
    JobState.READY_FOR_INTERACTIVE: "person",
    JobState.RUNNING: "running",
    JobState.DONE: "done",
    JobState.FAILED: "FAILED",
    JobState.ABORTED: "aborted",
}


def board(
    workflow: int,
    *,
    obsolete: Annotated[bool, Parameter(negative="")] = False,
    since: str | None = None,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Show the runs of a workflow as rows and its tasks as columns, with the state of each job.

    Of several jobs in one place the newest is shown. Exit code 0: shown; 1: there is no such workflow.

    Example: `xfworker workflow board 3 --json`

    Args:
        workflow: The workflow's serial.
        obsolete: Show obsolete runs as well.
        since: With --json: only what was changed since then, such as the read_at of the document before.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the board as one JSON document.
    """
    from urllib.parse import quote

    from xfworker.adapters.wire.boards import BoardBody
    from xfworker.adapters.wire.codec import read_answer

    if since is not None and not as_json:
        raise UsageError("--since is for programs: give --json as well")
    doing = f"get the board of workflow {workflow}"
    query = "" if since is None else f"?since={quote(since)}"
    with linked(server) as client:
        answer = client.transport.request("GET", f"{BASE}/workflows/{workflow}/board{query}", doing=doing).json()
    if as_json:
        print_json(answer)
        return 0
    _show(read_answer(BoardBody, answer, doing), obsolete=obsolete)
    return 0


def _show(document: "BoardBody", *, obsolete: bool) -> None:
    cells: dict[tuple[int | None, int], BoardCell] = {}
    for cell in document.cells:
        cells[cell.run_serial, cell.task_serial] = cell  # by serial: the newest stays
    rows: list[tuple[object, ...]] = []
    for run in document.runs:
        if obsolete or not run.obsolete:
            sample = (run.entity or {}).get("name")
            name = f"{run.name} (obsolete)" if run.obsolete else run.name
            rows.append((run.serial, name, sample, *_states(document, cells, run.serial)))
    if any(serial is None for serial, _ in cells):
        rows.append(("", "all runs together", "", *_states(document, cells, None)))
    headings = ("run", "name", "sample", *(task.name or str(task.task_serial) for task in document.tasks))
    workflow = document.workflow
    print_table(
        headings, rows, title=f"workflow {workflow.serial}: {workflow.name} ({workflow.state.value})", text=headings[1:]
    )
    left_out = sum(run.obsolete for run in document.runs)
    if left_out and not obsolete:
        messages().print(f"{left_out} obsolete runs are left out; --obsolete shows them")


def _states(document: "BoardBody", cells: "dict[tuple[int | None, int], BoardCell]", run: int | None) -> list[str]:
    states = []
    for task in document.tasks:
        cell = cells.get((run, task.task_serial))
        done = None if cell is None else cell.progress_percentage
        word = "" if cell is None else _WORDS[cell.state]
        states.append(f"{word} {done:.0f} %" if done is not None else word)
    return states
