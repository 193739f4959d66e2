"""The lists of records: ``xfworker project|task|run|worker list``."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from xfworker.api.cli.console import print_json, print_table
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.records import Project, Record, Run, Task, Worker
from xfworker.domain.resources import worker_offer, worker_pilot

RecordT = TypeVar("RecordT", bound=Record)


def list_projects(*, server: Server = None, as_json: Json = False) -> int:
    """
    List projects.

    Exit code 0: listed. Example: `xfworker project list`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    return _listed(
        Project,
        {},
        ("project", "name", "note"),
        lambda project: (project.serial, project.name, "obsolete" if project.obsolete else ""),
        server,
        as_json=as_json,
    )


def list_tasks(*, workflow: int | None = None, server: Server = None, as_json: Json = False) -> int:
    """
    List tasks.

    Exit code 0: listed. Example: `xfworker task list --workflow 3`

    Args:
        workflow: Only those of this workflow.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    return _listed(
        Task,
        {"workflow_serial": workflow},
        ("task", "workflow", "type", "state", "name"),
        lambda task: (task.serial, task.workflow_serial, task.task_type_serial, task.state.value, task.name),
        server,
        as_json=as_json,
    )


def list_runs(*, workflow: int | None = None, server: Server = None, as_json: Json = False) -> int:
    """
    List runs.

    Exit code 0: listed. Example: `xfworker run list --workflow 3`

    Args:
        workflow: Only those of this workflow.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    return _listed(
        Run,
        {"workflow_serial": workflow},
        ("run", "workflow", "priority", "begun", "sample", "name", "note"),
        lambda run: (
            run.serial,
            run.workflow_serial,
            run.priority.value,
            _moment(run.created_at),
            (run.entity or {}).get("name"),
            run.name,
            "obsolete" if run.obsolete else "",
        ),
        server,
        as_json=as_json,
    )


def list_workers(*, server: Server = None, as_json: Json = False) -> int:
    """
    List workers, and when each was last seen.

    Exit code 0: listed. Example: `xfworker worker list`

    Args:
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    return _listed(
        Worker,
        {},
        ("worker", "jobs at once", "last seen", "batch job", "name", "has", "packages"),
        lambda worker: (
            worker.serial,
            worker.max_concurrent_jobs,
            _moment(worker.last_seen_at),
            _batch_job(worker),
            worker.name,
            _resources(worker),
            "\n".join(f"{item.get('name')} {item.get('version')}" for item in worker.dependency_packages),
        ),
        server,
        as_json=as_json,
    )


def _listed(
    kind: type[RecordT],
    where: Mapping[str, Any],
    headings: Sequence[str],
    cells: Callable[[RecordT], Sequence[object]],
    server: str | None,
    *,
    as_json: bool,
) -> int:
    with linked(server) as client:
        records = client.server.find(kind, {name: value for name, value in where.items() if value is not None})
    if as_json:
        print_json({kind.collection.replace("-", "_"): [to_json(record) for record in records]})
    else:
        print_table(headings, map(cells, records), text=("name", "sample", "note", "has", "packages"))
    return 0


def _batch_job(worker: Worker) -> str:
    pilot = worker_pilot(worker)
    return "" if pilot is None else f"{pilot.system}:{pilot.job}" + (" (left)" if pilot.left else "")


def _resources(worker: Worker) -> str:
    offer = worker_offer(worker, datetime.now(UTC))
    if offer is None:
        return ""
    return f"{offer.cores} cores, {offer.memory_mib} MiB" + (f", {offer.gpus} GPUs" if offer.gpus else "")


def _moment(time: datetime | None) -> str:
    return "" if time is None else format_time(time)[:19]
