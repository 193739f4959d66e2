"""Waits until jobs have ended."""

import time
from collections.abc import Callable, Iterable

from xfworker.domain.errors import JobError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job

_POLL_SECONDS = 1.0
_GOES_ON = frozenset({JobState.READY, JobState.RUNNING})


def wait_until_ended(find: Callable[[], Iterable[Job]], what: str, timeout_seconds: float | None) -> list[Job]:
    """
    Ask again and again until no job is ready or running: all have ended, or wait for a person or for a job that failed.

    Args:
        find: Gives the jobs as they are now.
        what: What is waited for, for the message.
        timeout_seconds: How long to wait; ``None`` without end.

    Raises:
        JobError: The time is over; the message names the jobs that go on.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        jobs = list(find())
        going_on = [job for job in jobs if job.state in _GOES_ON]
        if not going_on:
            return jobs
        left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
        if left <= 0:
            listed = ", ".join(f"job {job.serial} is {job.state.value}" for job in going_on[:5])
            raise JobError(
                f"{what} has not ended after {timeout_seconds:g} s: {listed}; wait longer, or look for a worker"
            )
        time.sleep(left)
