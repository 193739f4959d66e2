"""
Whether there is a job of some tasks in some states, in time that grows with neither jobs nor runs.

The first such job of each task and state is looked for in an index, until there is one. Left to itself a database may
go through all jobs, or all runs, to find the one that it takes to be somewhere near.
"""

from collections.abc import Collection

from sqlalchemy import text

from xfworker.adapters.sql.prepared import Prepared, Runner
from xfworker.adapters.sql.rows import write_json
from xfworker.domain.job_state import JobState

# As lists in JSON, because a statement of its own for each number of tasks would be planned anew.
_LISTS = {
    "sqlite": ("json_each(:tasks)", "json_each(:states)"),
    "postgresql": ("json_array_elements_text(CAST(:tasks AS json))", "json_array_elements_text(CAST(:states AS json))"),
}


def has_live_job(runner: Runner, tasks: Collection[int], states: Collection[JobState]) -> bool:
    """Return whether there is a job of some tasks in some states, of no run or of a run that is not obsolete."""
    values = {"tasks": write_json(list(tasks)), "states": write_json([state.value for state in states])}
    [(found,)] = runner.rows(_LIVE[runner.dialect.name], values)
    return bool(found)


def _live(tasks: str, states: str) -> Prepared:
    # Neither database finds jobs in this order but by that index.
    statement = f"""
        SELECT EXISTS (
            SELECT 1 FROM {tasks} AS task, {states} AS state WHERE (
                SELECT jobs.serial FROM jobs
                WHERE jobs.task_serial = CAST(task.value AS bigint) AND jobs.state = state.value
                    AND (SELECT runs.obsolete FROM runs WHERE runs.serial = jobs.run_serial) IS NOT TRUE
                ORDER BY jobs.sort_order, jobs.serial LIMIT 1
            ) IS NOT NULL
        )
        """  # noqa: S608  made of constants
    return Prepared(text(statement))


_LIVE = {dialect: _live(*lists) for dialect, lists in _LISTS.items()}
