"""What becomes of a job by how the script of its attempt ended, and what the log says of it."""

from datetime import datetime

import attrs

from xfworker.domain.change import Change, pointer
from xfworker.domain.job_metadata import ABORT_REQUESTED, OUTCOME
from xfworker.domain.job_outcome import Ending, Outcome, reported_error
from xfworker.domain.job_state import JobState
from xfworker.domain.json_value import clean_string
from xfworker.domain.records import Job
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_change, log_event
from xfworker.services.platform.leases import ended_job, ready_again

BY_HAND = (JobState.DONE, JobState.READY_FOR_INTERACTIVE)
"""The states to which a script, or a person, brings a job while the script is running."""

_MOST_CHARACTERS = 16_000


def readable_message(message: str) -> str:
    """Give what a worker says of an ending as it can be kept, no longer than anybody reads."""
    message = clean_string(message)
    left_out = len(message) - _MOST_CHARACTERS
    return message if left_out <= 0 else f"{message[:_MOST_CHARACTERS]}... ({left_out} characters left out)"


def was_reported(job: Job, attempt: int, outcome: Outcome) -> bool:
    """Return whether this end of an attempt was reported before, by a request whose response was lost."""
    if job.attempt != attempt:
        return False
    if outcome.ending.gives_back:
        return job.state is not JobState.RUNNING
    return OUTCOME in job.metadata and job.state is not JobState.READY


def with_outcome(job: Job, outcome: Outcome, now: datetime) -> Job:
    """Give a job as it is after its attempt."""
    if outcome.ending.gives_back and ABORT_REQUESTED not in job.metadata:
        # The attempt is not counted: nobody was lost, and the job is as well as it was.
        return ready_again(job, now) if job.state is JobState.RUNNING else job
    if job.state in BY_HAND or job.state.is_final:
        # The script itself brought it there, or a person did; what is new is only how the script ended.
        return attrs.evolve(job, metadata={**job.metadata, OUTCOME: outcome.to_json()}, modified_at=now)
    aborted = outcome.ending is Ending.ABORTED or ABORT_REQUESTED in job.metadata
    message = outcome.message or _default_message(outcome)
    if not aborted:
        message = reported_error(job.metadata) or message
    state = JobState.ABORTED if aborted else JobState.FAILED
    return ended_job(job, state, message, now, outcome=outcome)


def log_end(access: Access, job: Job, after: Job, outcome: Outcome, now: datetime) -> None:
    """Write down how an attempt ended."""
    described = outcome.to_json()
    if outcome.ending.gives_back and after.state is JobState.READY:
        payload = {"action": "changed", "state": [job.state.value, after.state.value], OUTCOME: described}
        log_event(access, f"{after}: {job.state} to {after.state}, preempted: {outcome.message}", after, payload, now)
    else:
        log_change(access, job, after, Change(values={pointer("metadata", OUTCOME): described}), now)


def _default_message(outcome: Outcome) -> str:
    if outcome.ending is Ending.FINISHED:
        return "the script ended without calling finish()"
    return f"the script ended: {outcome.ending.value.replace('_', ' ')}"
