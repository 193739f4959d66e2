"""How jobs end that did not end by themselves: lost workers, aborts, failures."""

from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.services.platform.access import ABORT_REQUESTED, Access
from xfworker.services.platform.activity import log_change
from xfworker.services.platform.flow import after_change
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.restarts import clean_metadata


def ended_job(job: Job, state: JobState, message: str, now: datetime, *, outcome: Outcome) -> Job:
    """Give the job as it is after an attempt that did not finish it."""
    metadata: dict[str, Any] = {**job.metadata, "outcome": outcome.to_json(), "error_message": message}
    metadata.pop(ABORT_REQUESTED, None)
    return attrs.evolve(
        job,
        state=state,
        finished_at=now,
        metadata=metadata,
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )


def end_expired_leases(access: Access, now: datetime, options: PlatformOptions) -> list[Job]:
    """Take their jobs from workers that are silent for too long: to be run again, or failed after too many attempts."""
    return [_expire(access, lease, now, options) for lease in access.transaction.expired_leases(now)]


def _expire(access: Access, lease: JobLease, now: datetime, options: PlatformOptions) -> Job:
    transaction = access.transaction
    transaction.delete(JobLease, {"serial": lease.serial})
    job = transaction.get(Job, lease.job_serial)
    if job.state is not JobState.RUNNING or job.attempt != lease.attempt:
        return job
    worker = transaction.get(Worker, lease.worker_serial)
    lost = f"worker {worker.name} stopped answering during attempt {job.attempt}"
    if ABORT_REQUESTED in job.metadata:
        outcome = Outcome(ending=Ending.ABORTED, message=f"the job was aborted; {lost}")
        after = ended_job(job, JobState.ABORTED, outcome.message, now, outcome=outcome)
    elif job.attempt >= options.max_attempts:
        message = f"{lost}, the last of {options.max_attempts} allowed; restart the job once the workers are well"
        outcome = Outcome(ending=Ending.SERVER_LOST, message=message)
        after = ended_job(job, JobState.FAILED, message, now, outcome=outcome)
    else:
        after = attrs.evolve(
            job,
            state=JobState.READY,
            worker_serial=None,
            metadata=clean_metadata(job.metadata) | {"lost_attempts": [*job.metadata.get("lost_attempts", ()), lost]},
            occ_lock_version=job.occ_lock_version + 1,
            modified_at=now,
        )
    transaction.replace(after)
    log_change(access, job, after, Change(values={"/state": after.state.value}), now)
    after_change(access, job, after, now)
    return after
