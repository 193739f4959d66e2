"""``xfworker run delete``: the files of runs, deleted for good."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from xfworker.adapters.http.xf_server import BASE
from xfworker.api.cli.console import messages, print_json, print_table
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.disk_space import FreedFiles
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Run, Workflow

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

_WAIT_SECONDS = 3600.0

Flag = Annotated[bool, Parameter(negative="")]


def delete(
    runs: tuple[int, ...] = (),
    *,
    obsolete: Flag = False,
    workflow: int | None = None,
    older_than_days: float | None = None,
    yes: Flag = False,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Delete the result files and logs of runs for good, and make the runs obsolete. Their records and values stay.

    Files of a job that anything else uses (a job of another run, a task, metadata) stay, and it is said what uses them.
    Runs with a job that runs are refused. Without --yes it only shows what would be deleted. With --workflow and
    --older-than-days it is a rule for what is kept, to be called every night.

    Exit code 0: done, or shown; 1: one run is not deleted. Example: `xfworker run delete 12 13 --yes`

    Args:
        runs: The runs' serials.
        obsolete: All runs that are obsolete already, and what belongs to no run of obsolete workflows.
        workflow: Only of this workflow; with --obsolete, or with --older-than-days.
        older_than_days: Only runs that began so many days ago.
        yes: Delete.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if (runs and (obsolete or workflow is not None)) or not (runs or obsolete or workflow is not None):
        raise UsageError("name runs, or --obsolete, or a --workflow with --older-than-days")
    if workflow is not None and not obsolete and (older_than_days is None or older_than_days < 0):
        raise UsageError("--workflow needs --older-than-days, at least 0: every run that is older is deleted")
    with linked(server) as client:
        chosen = _chosen(client, runs, workflow, older_than_days, obsolete=obsolete)
        workflows = _obsolete_workflows(client, workflow) if obsolete and older_than_days is None else []
        freed = _freed(client, chosen, workflows, dry_run=not yes, make_obsolete=not obsolete)
    items = [_item(one) for one in freed]
    _show(items, yes=yes, as_json=as_json)
    return 1 if any(item["error"] for item in items) else 0


def _chosen(
    client: "Client", runs: tuple[int, ...], workflow: int | None, days: float | None, *, obsolete: bool
) -> list[int]:
    if runs:
        chosen = [client.server.get(Run, serial) for serial in dict.fromkeys(runs)]
    else:
        where = {"obsolete": obsolete, **({} if workflow is None else {"workflow_serial": workflow})}
        chosen = client.server.find(Run, where)
        if obsolete:
            others = tuple(_obsolete_workflows(client, workflow))
            chosen += client.server.find(Run, {"workflow_serial": others, "obsolete": False}) if others else []
    if days is not None:
        before = datetime.now(UTC) - timedelta(days=days)
        chosen = [run for run in chosen if run.created_at is not None and run.created_at < before]
    return [run.serial for run in chosen]


def _obsolete_workflows(client: "Client", workflow: int | None) -> list[int]:
    found = client.server.find(Workflow, {"obsolete": True})
    return [one.serial for one in found if workflow in (None, one.serial)]


def _freed(
    client: "Client", runs: list[int], workflows: list[int], *, dry_run: bool, make_obsolete: bool
) -> list[FreedFiles]:
    from xfworker.adapters.wire.codec import read_answer, write
    from xfworker.adapters.wire.disk_space import FileDeletionRequest
    from xfworker.adapters.wire.records import Items

    if not runs and not workflows:
        return []
    body = FileDeletionRequest(runs=runs, workflows=workflows, dry_run=dry_run, make_obsolete=make_obsolete)
    doing = "delete files of runs"
    # Sent again it goes on where it was.
    answer = client.transport.request(
        "POST", f"{BASE}/file-deletions", doing=doing, json_body=write(body), repeat=True, read_seconds=_WAIT_SECONDS
    )
    return read_answer(Items[FreedFiles], answer.json(), doing).items


def _item(freed: FreedFiles) -> dict[str, Any]:
    is_refused = bool(freed.reason) and not freed.files and not freed.deleted
    return {
        "run_serial": freed.run_serial,
        "workflow_serial": freed.workflow_serial,
        "files": freed.files,
        "bytes": freed.bytes,
        "deleted": freed.deleted,
        "kept_jobs": freed.kept_jobs,
        "error": freed.reason if is_refused else None,
        "note": "" if is_refused else freed.reason,
    }


def _show(items: list[dict[str, Any]], *, yes: bool, as_json: bool) -> None:
    for item in items:
        named = f"workflow {item['workflow_serial']}" if item["run_serial"] is None else f"run {item['run_serial']}"
        if item["error"] or item["note"]:
            messages().print(f"xfworker: {named}: {item['error'] or 'some files stay: ' + item['note']}")
    if as_json:
        print_json({"runs": items})
        return
    rows = [
        (item["run_serial"], item["workflow_serial"], item["files"], f"{item['bytes']:,}", _word(item))
        for item in items
        if not item["error"]
    ]
    total = sum(item["bytes"] for item in items)
    print_table(("run", "workflow", "files", "bytes", "note"), rows)
    if not yes and rows:
        messages().print(f"nothing is deleted yet; say --yes to delete {total:,} bytes for good")


def _word(item: dict[str, Any]) -> str:
    return "deleted" if item["deleted"] else ""
