"""What a board asks of the tables: the cells of a workflow's jobs."""

from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import bindparam, case, select

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.adapters.sql.rows import read_json
from xfworker.adapters.sql.tables import TABLES
from xfworker.domain.board import JobCell, running_cell
from xfworker.domain.conversion import parse_time
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job

_STATES = {state.value: state for state in JobState}


def job_cells(runner: Runner, workflow_serial: int) -> list[JobCell]:
    """Give the cells of a workflow's jobs, by serial; metadata are read of those only that run."""
    rows = runner.rows(_cells(), {"of_workflow": workflow_serial})
    # Jobs of a workflow are found by its sort order; to sort them here is quicker than in the database.
    rows = sorted(rows, key=itemgetter(0))
    states, make, of = _STATES, tuple.__new__, JobCell
    # There are tens of thousands, and a named tuple's own constructor takes longer than all the rest.
    return [
        make(of, (row[0], row[1], row[2], states[row[3]], None, None, None)) if row[5] is None else _running(*row)
        for row in rows
    ]


@cache
def _cells() -> Prepared:
    jobs = TABLES[Job.collection]
    is_running = jobs.c.state == JobState.RUNNING.value
    return Prepared(
        select(
            jobs.c.serial,
            jobs.c.task_serial,
            jobs.c.run_serial,
            jobs.c.state,
            case((is_running, jobs.c.started_at)),
            case((is_running, jobs.c.metadata)),
        ).where(jobs.c.workflow_serial == bindparam("of_workflow"))
    )


def _running(serial: int, task: int, run: int | None, _: str, started_at: str | None, metadata: Any) -> JobCell:
    return running_cell(serial, task, run, None if started_at is None else parse_time(started_at), read_json(metadata))
