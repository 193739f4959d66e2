"""What a board asks of the tables: the cells of a workflow's jobs, and what was changed since some time."""

from typing import Any

from sqlalchemy import Connection, case, select

from xfworker.adapters.sql.rows import read_json
from xfworker.adapters.sql.tables import TABLES
from xfworker.domain.board import JobCell, running_cell
from xfworker.domain.conversion import parse_time
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job

_JOBS = TABLES[Job.collection]
_IS_RUNNING = _JOBS.c.state == JobState.RUNNING.value
_STATES = {state.value: state for state in JobState}


def job_cells(connection: Connection, workflow_serial: int) -> list[JobCell]:
    """Give the cells of a workflow's jobs; metadata are read of those only that run."""
    statement = (
        select(
            _JOBS.c.serial,
            _JOBS.c.task_serial,
            _JOBS.c.run_serial,
            _JOBS.c.state,
            case((_IS_RUNNING, _JOBS.c.started_at)),
            case((_IS_RUNNING, _JOBS.c.metadata)),
        )
        .where(_JOBS.c.workflow_serial == workflow_serial)
        .order_by(_JOBS.c.serial)
    )
    return [_cell(*row) for row in connection.execute(statement)]


def _cell(serial: int, task: int, run: int | None, state: str, started_at: str | None, metadata: Any) -> JobCell:
    if metadata is None:
        return JobCell(serial, task, run, _STATES[state])
    return running_cell(serial, task, run, None if started_at is None else parse_time(started_at), read_json(metadata))
