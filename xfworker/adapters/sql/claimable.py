"""
What a worker may claim, in time that does not grow with the number of ready jobs.

A worker that fits none of many ready jobs would otherwise have all of them looked at. The tasks that have such jobs are
found by skipping from one to the next in an index that holds nothing else, and of each task only the first job is read.
"""

from collections.abc import Collection
from functools import lru_cache

from sqlalchemy import Connection, select, text

from xfworker.adapters.sql.rows import read_json, to_record, write_json
from xfworker.adapters.sql.tables import CLAIM_RANK, CLAIMABLE_BY_TASK, TABLES
from xfworker.domain.packages_needed import packages_listed
from xfworker.domain.records import Job
from xfworker.ports.record_store import ClaimableTask

_JOBS = TABLES[Job.collection]
_TASK_TYPES_REMEMBERED = 1024

# SQLite would take another index, in which the jobs that have ended stand as well.
_SOURCES = {"sqlite": f"jobs INDEXED BY {CLAIMABLE_BY_TASK}", "postgresql": "jobs"}
_LISTS = {
    "sqlite": "json_each(:tasks) AS listed",
    "postgresql": "unnest(CAST(:tasks AS bigint[])) AS listed(value)",
}


def _tasks_statement(source: str) -> str:
    return f"""
        WITH RECURSIVE claimable(task_serial) AS (
            SELECT (SELECT task_serial FROM {source} WHERE claim_rank IS NOT NULL ORDER BY task_serial LIMIT 1)
            UNION ALL
            SELECT (
                SELECT jobs.task_serial FROM {source}
                WHERE jobs.claim_rank IS NOT NULL AND jobs.task_serial > claimable.task_serial
                ORDER BY jobs.task_serial LIMIT 1
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


def _first_statement(source: str, listed: str) -> str:
    return f"""
        SELECT (
            SELECT jobs.serial FROM {source}
            WHERE jobs.task_serial = listed.value AND jobs.claim_rank IS NOT NULL
            ORDER BY jobs.claim_rank, jobs.sort_order, jobs.serial LIMIT 1
        )
        FROM {listed}
    """  # noqa: S608  made of constants


_TASKS = {dialect: text(_tasks_statement(source)) for dialect, source in _SOURCES.items()}
_FIRST = {
    dialect: select(_JOBS)
    .where(_JOBS.c.serial.in_(text(_first_statement(source, _LISTS[dialect]))))
    .order_by(_JOBS.c[CLAIM_RANK], _JOBS.c.sort_order, _JOBS.c.serial)
    .limit(1)
    for dialect, source in _SOURCES.items()
}


def claimable_tasks(connection: Connection) -> list[ClaimableTask]:
    """List the tasks that have jobs which a worker may claim."""
    return [_task(*row) for row in connection.execute(_TASKS[connection.dialect.name])]


def first_claimable_job(connection: Connection, tasks: Collection[int]) -> Job | None:
    """Give, of the jobs of some tasks, the one that is handed out first."""
    dialect = connection.dialect.name
    listed = list(tasks)
    parameters = {"tasks": write_json(listed) if dialect == "sqlite" else listed}
    for row in connection.execute(_FIRST[dialect], parameters):
        return to_record(Job, row._mapping)  # type: ignore[arg-type]  # noqa: SLF001  public by its documentation
    return None


def _task(serial: int, project_serial: int | None, metadata: str | None) -> ClaimableTask:
    needed = None if metadata is None else _needed(metadata)
    if project_serial is None or needed is None:
        return ClaimableTask(serial=serial, project_serial=0, needed=())
    return ClaimableTask(serial=serial, project_serial=project_serial, needed=needed)


@lru_cache(_TASK_TYPES_REMEMBERED)
def _needed(metadata: str) -> tuple[tuple[str, str | None], ...] | None:
    # Cached by the metadata themselves, so that a changed task type is another one.
    try:
        return tuple(packages_listed(read_json(metadata)))
    except (ValueError, AttributeError):
        return None
