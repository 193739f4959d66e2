"""Holds back what was made from a job whose result is taken back, until that is made again."""

from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.job_metadata import VALUES_CHANGED, of_new_attempt
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run
from xfworker.domain.workflow_graph import Graph
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event


def is_leased(access: Access, job: Job) -> bool:
    """Return whether a worker may still be busy with a job."""
    return bool(access.transaction.find(JobLease, {"job_serial": job.serial}, limit=1))


def is_busy(access: Access, job: Job) -> bool:
    """Return whether a script may still be at work on a job."""
    return job.state is JobState.RUNNING or is_leased(access, job)


def is_live(access: Access, job: Job) -> bool:
    """Return whether a job's run counts: it has none, or one that is not obsolete."""
    return job.run_serial is None or not access.transaction.get(Run, job.run_serial).obsolete


def made_from(access: Access, graph: Graph, job: Job) -> list[Job]:
    """List the jobs that worked with what a job made, given as it was when it was done."""
    spread = graph.spread(job.task_serial)

    def jobs_of(serial: int) -> list[Job]:
        where: dict[str, Any] = {"task_serial": serial}
        if not spread[serial]:
            where["run_serial"] = job.run_serial
        return list(access.transaction.find(Job, where))

    return graph.held_back(job, jobs_of, lambda other: is_live(access, other))


def make_wait(access: Access, job: Job, now: datetime) -> None:
    """Take a job's result back; it waits for what it works with."""
    after = attrs.evolve(
        job,
        state=JobState.WAITING,
        outputs={},
        started_at=None,
        finished_at=None,
        worker_serial=None,
        metadata=of_new_attempt(job.metadata),
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )
    access.transaction.replace(after)
    payload = {"action": "changed", "state": [job.state.value, after.state.value]}
    log_event(access, f"{after}: {job.state} to {after.state}", after, payload, now)


def note_new_values(access: Access, job: Job, now: datetime) -> None:
    """Record on a job that there are values which it has not seen, so that it is made again when it can be."""
    if VALUES_CHANGED not in job.metadata:
        metadata = {**job.metadata, VALUES_CHANGED: True}
        access.transaction.replace(attrs.evolve(job, metadata=metadata, modified_at=now))
