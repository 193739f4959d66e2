"""``xfworker run priority|delete``: the runs of a server."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import AccessError, FileNotInStore, RecordError, UsageError
from xfworker.domain.files import FileStat, Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

_BUSY = (JobState.RUNNING,)


def set_priority(
    priority: Literal["Paused", "Normal", "High"],
    runs: tuple[int, ...] = (),
    *,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Say how soon the jobs of runs are handed out: high ones first, paused ones not at all.

    Each is tried. Exit code 0: all are changed; 1: one is not. Example: `xfworker run priority High 12 13`

    Args:
        priority: Paused, Normal or High.
        runs: The runs' serials.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if not runs:
        raise UsageError("name at least one run")
    changed: list[Run] = []
    errors: list[dict[str, Any]] = []
    with linked(server) as client:
        for serial in dict.fromkeys(runs):
            try:
                run = client.server.update(Run, serial, Change(values={"/priority": RunPriority(priority).value}))
            except (RecordError, AccessError) as error:
                errors.append({"run_serial": serial, "error": str(error)})
                messages().print(f"xfworker: {error}")
                continue
            changed.append(run)
            if not as_json:
                results().print(f"run {run.serial}: {run.priority.value}")
    if as_json:
        print_json({"runs": [to_json(run) for run in changed], "errors": errors})
    return 1 if errors else 0


def delete(
    runs: tuple[int, ...] = (),
    *,
    workflow: int | None = None,
    older_than_days: float | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Delete the result files and logs of runs for good, and make the runs obsolete. Their records and values stay.

    Without --yes it only shows what would be deleted. With --workflow and --older-than-days it is a rule for what is
    kept, to be called every night. Runs with a job that runs are refused.

    Exit code 0: done, or shown; 1: one run is not deleted. Example: `xfworker run delete 12 13 --yes`

    Args:
        runs: The runs' serials.
        workflow: The runs of this workflow, with --older-than-days.
        older_than_days: Only runs that began so many days ago.
        yes: Delete.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if bool(runs) == (workflow is not None):
        raise UsageError("name runs, or a --workflow with --older-than-days")
    if workflow is not None and (older_than_days is None or older_than_days < 0):
        raise UsageError("--workflow needs --older-than-days, at least 0: every run that is older is deleted")
    items: list[dict[str, Any]] = []
    with linked(server) as client:
        for run in _chosen(client, runs, workflow, older_than_days):
            item: dict[str, Any] = {"run_serial": run.serial, "files": 0, "bytes": 0, "deleted": False, "error": None}
            items.append(item)
            try:
                jobs = client.server.find(Job, {"run_serial": run.serial})
                busy = [job for job in jobs if job.state in _BUSY]
                if busy:
                    item["error"] = f"job {busy[0].serial} is running; abort it first"
                    continue
                outputs = [stat for job in jobs for stat in _files(client, job)]
                item |= {"files": len(outputs), "bytes": sum(stat.size for stat in outputs)}
                if yes:
                    # Obsolete first: from then on nothing takes a file that is about to go.
                    if not run.obsolete:
                        client.server.update(Run, run.serial, Change(values={"/obsolete": True}))
                    for stat in outputs:
                        _delete(client, stat)
                    item["deleted"] = True
            except (RecordError, AccessError) as error:
                item["error"] = str(error)
    _show(items, yes=yes, as_json=as_json)
    return 1 if any(item["error"] for item in items) else 0


def _chosen(client: "Client", runs: tuple[int, ...], workflow: int | None, days: float | None) -> list[Run]:
    if workflow is None:
        chosen = [client.server.get(Run, serial) for serial in dict.fromkeys(runs)]
    else:
        chosen = client.server.find(Run, {"workflow_serial": workflow, "obsolete": False})
    if days is None:
        return chosen
    before = datetime.now(UTC) - timedelta(days=days)
    return [run for run in chosen if run.created_at is not None and run.created_at < before]


def _files(client: "Client", job: Job) -> list[FileStat]:
    folders = [record_resource(source, job.serial) for source in ("job_result", "job_log")]
    token = client.server.file_token([Scope("list", folder) for folder in folders])
    return [stat for folder in folders for stat in client.files.list(token, folder).files]


def _delete(client: "Client", stat: FileStat) -> None:
    try:
        client.files.delete(client.server.file_token([Scope("delete", stat.resource)]), stat.resource)
    except FileNotInStore:
        return


def _show(items: list[dict[str, Any]], *, yes: bool, as_json: bool) -> None:
    for item in items:
        if item["error"]:
            messages().print(f"xfworker: run {item['run_serial']}: {item['error']}")
    if as_json:
        print_json({"runs": items})
        return
    rows = [
        (item["run_serial"], item["files"], f"{item['bytes']:,}", "deleted" if item["deleted"] else "")
        for item in items
        if not item["error"]
    ]
    print_table(("run", "files", "bytes", "note"), rows)
    if not yes and rows:
        messages().print("nothing is deleted yet; say --yes to delete these files for good")
