"""
What a worker may claim, in time that does not grow with the number of ready jobs.

A worker that fits none of many ready jobs would otherwise have all of them looked at. The tasks that have such jobs are
found by skipping from one to the next in an index that holds nothing else, and of each task only the first jobs are
read. On PostgreSQL several processes hand out jobs at once: each takes the first one that no other is handing out.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import text

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.adapters.sql.rows import read_json, write_json
from xfworker.adapters.sql.tables import CLAIM_RANK, CLAIMABLE_BY_TASK, field_forms, table_name
from xfworker.domain.packages_needed import packages_listed
from xfworker.domain.records import Job, Record, Task, TaskType
from xfworker.domain.resources import Needs, declared_needs
from xfworker.ports.record_store import ClaimableTask

_TASK_TYPES_REMEMBERED = 1024
_OF_EACH_TASK = 16
"""So many jobs of a task may be handed out at the same moment before somebody has to wait."""

# SQLite would take another index, in which the jobs that have ended stand as well.
_SOURCES = {"sqlite": f"jobs INDEXED BY {CLAIMABLE_BY_TASK}", "postgresql": "jobs"}
# Not an array: PostgreSQL would plan the statement anew for each, which takes longer than to run it.
_LISTS = {
    "sqlite": "json_each(:tasks) AS listed",
    "postgresql": "json_array_elements_text(CAST(:tasks AS json)) AS listed(value)",
}
_READ = (Job, Task, TaskType)
_BY_TASK = f"jobs.task_serial, jobs.{CLAIM_RANK}"
"""By the task would be enough, but PostgreSQL might then go through an index in which ended jobs stand as well."""
_ORDER = f"jobs.{CLAIM_RANK}, jobs.sort_order, jobs.serial"


def _tasks_statement(source: str) -> str:
    return f"""
        WITH RECURSIVE claimable(task_serial) AS (
            SELECT (SELECT task_serial FROM {source} WHERE claim_rank IS NOT NULL ORDER BY {_BY_TASK} LIMIT 1)
            UNION ALL
            SELECT (
                SELECT jobs.task_serial FROM {source}
                WHERE jobs.claim_rank IS NOT NULL AND jobs.task_serial > claimable.task_serial
                ORDER BY {_BY_TASK} LIMIT 1
            )
            FROM claimable WHERE claimable.task_serial IS NOT NULL
        )
        SELECT claimable.task_serial, workflows.project_serial, task_types.metadata
        FROM claimable
        LEFT JOIN tasks ON tasks.serial = claimable.task_serial
        LEFT JOIN workflows ON workflows.serial = tasks.workflow_serial
        LEFT JOIN task_types ON task_types.serial = tasks.task_type_serial
        WHERE claimable.task_serial IS NOT NULL
        ORDER BY claimable.task_serial
    """  # noqa: S608  made of constants


def _columns() -> str:
    return ", ".join(f'{table_name(kind)}."{name}"' for kind in _READ for name in field_forms(kind))


def _heads(dialect: str) -> str:
    """Give the query of the serials of the first jobs of each task."""
    source, listed = _SOURCES[dialect], _LISTS[dialect]
    if dialect == "sqlite":
        return f"""
            SELECT (
                SELECT jobs.serial FROM {source}
                WHERE jobs.task_serial = listed.value AND jobs.claim_rank IS NOT NULL ORDER BY {_ORDER} LIMIT 1
            )
            FROM {listed}
        """  # noqa: S608  made of constants
    return f"""
        SELECT head.serial FROM {listed} CROSS JOIN LATERAL (
            SELECT jobs.serial, jobs.claim_rank, jobs.sort_order FROM {source}
            WHERE jobs.task_serial = CAST(listed.value AS bigint) AND jobs.claim_rank IS NOT NULL ORDER BY {_ORDER}
            LIMIT {_OF_EACH_TASK}
        ) AS head
        ORDER BY head.claim_rank, head.sort_order, head.serial LIMIT {_OF_EACH_TASK}
    """  # noqa: S608  made of constants


def _first_statement(dialect: str, locked: str = "") -> Prepared:
    # With its task and task type, which whoever is given the job reads next.
    statement = f"""
        SELECT {_columns()} FROM jobs
        LEFT JOIN tasks ON tasks.serial = jobs.task_serial
        LEFT JOIN task_types ON task_types.serial = tasks.task_type_serial
        WHERE jobs.serial IN ({_heads(dialect)}) AND jobs.claim_rank IS NOT NULL
        ORDER BY {_ORDER} LIMIT 1 {locked}
        """  # noqa: S608  made of constants
    return Prepared(text(statement))


_TASKS = {dialect: Prepared(text(_tasks_statement(source))) for dialect, source in _SOURCES.items()}
_FIRST = {dialect: _first_statement(dialect) for dialect in _SOURCES}
_WAITING = _first_statement("postgresql", "FOR UPDATE OF jobs")
_TAKING = (_first_statement("postgresql", "FOR UPDATE OF jobs SKIP LOCKED"), _WAITING, _WAITING)
"""
Only where all that come first are being handed out is one of them waited for: it may become ready again, and "there is
none" would send a worker away that has something to do.
"""


def claimable_tasks(runner: Runner) -> list[ClaimableTask]:
    """List the tasks that have jobs which a worker may claim."""
    return [_task(*row) for row in runner.rows(_TASKS[runner.dialect.name], {})]


def first_claimable(
    runner: Runner, tasks: Collection[int], *, locked: bool
) -> list[tuple[type[Record], Sequence[Any]]]:
    """
    Give, of the jobs of some tasks, the one that is handed out first: its row, and those of its task and task type.

    Args:
        runner: Runs statements on the connection.
        tasks: The tasks.
        locked: Whether nobody else may hand it out or change it before the transaction ends.

    Returns:
        The rows that there are, the job's first; nothing where there is no such job.
    """
    dialect = runner.dialect.name
    values = {"tasks": write_json(list(tasks))}
    for statement in _TAKING if locked and dialect == "postgresql" else (_FIRST[dialect],):
        for row in runner.rows(statement, values):
            return list(_parted(row))
    return []


def _parted(row: Sequence[Any]) -> Iterator[tuple[type[Record], Sequence[Any]]]:
    start = 0
    for kind in _READ:
        names = list(field_forms(kind))
        part = row[start : start + len(names)]
        start += len(names)
        if part[names.index("serial")] is not None:
            yield kind, part


def _task(serial: int, project_serial: int | None, metadata: str | None) -> ClaimableTask:
    declared = None if metadata is None else _declared(metadata)
    if project_serial is None or declared is None:
        return ClaimableTask(serial=serial, project_serial=0, needed=())
    needed, needs = declared
    return ClaimableTask(serial=serial, project_serial=project_serial, needed=needed, needs=needs)


@lru_cache(_TASK_TYPES_REMEMBERED)
def _declared(metadata: str) -> tuple[tuple[tuple[str, str | None], ...], Needs] | None:
    # Cached by the metadata themselves, so that a changed task type is another one.
    try:
        listed = read_json(metadata)
        return tuple(packages_listed(listed)), declared_needs(listed)
    except (ValueError, AttributeError, TypeError):
        return None
