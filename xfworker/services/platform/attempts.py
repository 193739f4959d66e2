"""Which attempt at a job is meant: by its number and, as far as it is known, by when it began."""

from datetime import datetime

from xfworker.domain.conversion import format_time
from xfworker.domain.records import Job


def is_same_start(started_at: datetime | None, of_job: datetime | None) -> bool:
    """
    Return whether an attempt that began then can be the job's.

    Numbers alone do not say it: a backup that was restored knows nothing of later attempts, and so gives their numbers
    again, while workers and scripts go on with them. Callers of earlier versions do not say when theirs began.
    """
    return started_at is None or of_job is None or of_job == started_at


def described_attempt(job: Job) -> str:
    """Describe a job's attempt for messages."""
    return str(job.attempt) if job.started_at is None else f"{job.attempt}, begun at {format_time(job.started_at)}"


def lost_attempt(job: Job, attempt: int) -> str:
    """Say that an attempt is over, for messages."""
    return (
        f"attempt {attempt} at job {job.serial} is over: the job is {job.state}, attempt {described_attempt(job)}; "
        "results of this attempt are not taken"
    )
