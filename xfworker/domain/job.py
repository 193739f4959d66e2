"""The record of a job."""

from datetime import datetime
from typing import Any

from attrs import define, field

from xfworker.domain.job_state import JobState
from xfworker.domain.record import Record


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Job(Record):
    """
    A job: one task's work in one run.

    Attributes:
        workflow_serial: The task's workflow; 0 before the server has set it.
        project_serial: The workflow's project; 0 before the server has set it.
        inputs: The value of every input by key; an optional input that is not set is present as ``None``.
        outputs: The values that the script finished with.
        sort_order: A string that sorts bytewise among the jobs of a workflow.
        attempt: Counts the times the job was handed to a worker; results of an older attempt are refused.
    """

    collection = "jobs"
    noun = "job"

    task_serial: int
    workflow_serial: int = 0
    project_serial: int = 0
    run_serial: int | None = None
    source_job_serial: int | None = None
    state: JobState = JobState.WAITING
    inputs: dict[str, Any] = field(factory=dict)
    outputs: dict[str, Any] = field(factory=dict)
    sort_order: str = ""
    name: str = ""
    spawn_key: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker_serial: int | None = None
    attempt: int = 0
