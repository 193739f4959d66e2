"""A workflow's jobs as a board of runs and tasks shows them: the little of each that a cell needs."""

from datetime import datetime
from typing import Any, NamedTuple

from attrs import define

from xfworker.domain.job import Job
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Run, Workflow
from xfworker.domain.workflow_graph import Step

PROGRESS = "progress_percentage"
ESTIMATE = "estimated_duration_seconds"


class JobCell(NamedTuple):
    """
    A job as a cell of a board shows it.

    Attributes:
        serial: The job.
        task_serial: Its column.
        run_serial: Its row; ``None`` for jobs of all runs together.
        state: Where it stands.
        started_at: When its script began (UTC); this and the following only while it runs.
        progress: What its script says is done, 0 to 100, or ``None``.
        estimate_seconds: How long its script says all of it takes, or ``None``.
    """

    serial: int
    task_serial: int
    run_serial: int | None
    state: JobState
    started_at: datetime | None = None
    progress: float | None = None
    estimate_seconds: float | None = None


def job_cell(job: Job) -> JobCell:
    """Give what a cell shows of a job."""
    if job.state is not JobState.RUNNING:
        return JobCell(job.serial, job.task_serial, job.run_serial, job.state)
    return running_cell(job.serial, job.task_serial, job.run_serial, job.started_at, job.metadata)


def running_cell(
    serial: int, task_serial: int, run_serial: int | None, started_at: datetime | None, metadata: dict[str, Any]
) -> JobCell:
    """Give what a cell shows of a job that runs; what a script wrote that is not a number is left out."""
    progress, estimate = (_number(metadata.get(key)) for key in (PROGRESS, ESTIMATE))
    return JobCell(serial, task_serial, run_serial, JobState.RUNNING, started_at, progress, estimate)


@define(frozen=True, kw_only=True)
class Board:
    """
    A workflow with its runs and the cells of all its jobs.

    Attributes:
        workflow: The workflow.
        steps: Its active tasks with their types, each behind those whose outputs it uses: the columns.
        runs: Its runs by serial: the rows.
        cells: The cells, by serial of the job.
        read_at: When they were read (UTC); what changes later is in :class:`BoardChanges` since then.
    """

    workflow: Workflow
    steps: tuple[Step, ...]
    runs: tuple[Run, ...]
    cells: tuple[JobCell, ...]
    read_at: datetime


@define(frozen=True, kw_only=True)
class BoardChanges:
    """
    What is different about a board since some time; what is named may be as it was.

    Attributes:
        workflow: The workflow as it is; its lock version is another one where it or its tasks were changed.
        jobs: The jobs that were changed.
        runs: The runs that were changed.
        read_at: When this was read (UTC).
    """

    workflow: Workflow
    jobs: tuple[Job, ...]
    runs: tuple[Run, ...]
    read_at: datetime


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
