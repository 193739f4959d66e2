"""The results of a workflow as a table: a row per run, a column per output, with units."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define

from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task
from xfworker.services.script.lifecycle import OUTPUT_UNITS

RUN_COLUMNS = ("run", "name", "sample", "sample_uuid", "created_at", "state")
"""What stands before the outputs in every row."""


@define(frozen=True)
class ResultTable:
    """
    The results of a workflow.

    Attributes:
        columns: The names of the columns; those of outputs are ``task.output`` or ``task.output [unit]``.
        rows: A row per run, then one for the jobs that belong to no run, if there are any. A value that a run does not
            have is ``None``.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def result_table(runs: Iterable[Run], tasks: Iterable[Task], jobs: Iterable[Job]) -> ResultTable:
    """
    Make the table of results; obsolete runs are left out.

    Where a run has several done jobs of a task (spawned ones), each has columns of its own: ``task.output (2)``. Where
    the unit of an output is not the same in all runs, each unit has a column of its own, so that no column mixes units.

    Args:
        runs: The workflow's runs.
        tasks: Its tasks; their order is that of the columns.
        jobs: Its jobs, in sort order.
    """
    tasks = list(tasks)
    names = _task_names(tasks)
    by_run: dict[int | None, list[Job]] = {}
    for job in jobs:
        by_run.setdefault(job.run_serial, []).append(job)
    columns: dict[str, None] = dict.fromkeys(RUN_COLUMNS)
    columns_by_task: dict[int, list[str]] = {task.serial: [] for task in tasks}
    rows = [
        _run_cells(run, by_run.get(run.serial, [])) | _outputs(by_run.get(run.serial, []), names, columns_by_task)
        for run in runs
        if not run.obsolete
    ]
    if without := _outputs(by_run.get(None, []), names, columns_by_task):
        rows.append({**dict.fromkeys(RUN_COLUMNS), "state": _state(by_run[None]), **without})
    for task in tasks:
        columns |= dict.fromkeys(columns_by_task[task.serial])
    return ResultTable(tuple(columns), tuple({name: row.get(name) for name in columns} for row in rows))


def cell(value: Any) -> Any:
    """Give a value as it stands in a cell: numbers, strings and bools as they are, of a composite its file or name."""
    if isinstance(value, Mapping):
        named = next((value[key] for key in ("filename", "name", "virtualpath") if value.get(key)), None)
        return str(value.get("type", "object")) if named is None else str(named)
    if isinstance(value, list):
        return "; ".join(str(cell(item)) for item in value)
    return value


def _outputs(jobs: Iterable[Job], names: Mapping[int, str], columns_by_task: Mapping[int, list[str]]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    counts: dict[int, int] = {}
    for job in jobs:
        if job.state is not JobState.DONE or job.task_serial not in names:
            continue
        counts[job.task_serial] = counts.get(job.task_serial, 0) + 1
        number = counts[job.task_serial]
        units = job.metadata.get(OUTPUT_UNITS)
        for key, value in job.outputs.items():
            unit = units.get(key) if isinstance(units, Mapping) else None
            name = f"{names[job.task_serial]}.{key}" + (f" ({number})" if number > 1 else "")
            column = f"{name} [{unit}]" if unit else name
            if column not in columns_by_task[job.task_serial]:
                columns_by_task[job.task_serial].append(column)
            cells[column] = cell(value)
    return cells


def _run_cells(run: Run, jobs: list[Job]) -> dict[str, Any]:
    entity = run.entity or {}
    return {
        "run": run.serial,
        "name": run.name,
        "sample": entity.get("name"),
        "sample_uuid": entity.get("uuid"),
        "created_at": None if run.created_at is None else run.created_at.isoformat(),
        "state": _state(jobs),
    }


def _state(jobs: list[Job]) -> str:
    """Say how far a run is: what has failed counts most, then what is still to be done."""
    states = {job.state for job in jobs}
    order = (
        JobState.FAILED,
        JobState.ABORTED,
        JobState.RUNNING,
        JobState.READY_FOR_INTERACTIVE,
        JobState.READY,
        JobState.WAITING,
        JobState.DONE,
    )
    return next((state.value for state in order if state in states), "")


def _task_names(tasks: Iterable[Task]) -> dict[int, str]:
    """Give each task a name of its own: its name, with the serial where several have one name."""
    tasks = list(tasks)
    names = [task.name or f"task {task.serial}" for task in tasks]
    return {
        task.serial: name if names.count(name) == 1 else f"{name} {task.serial}"
        for task, name in zip(tasks, names, strict=True)
    }
