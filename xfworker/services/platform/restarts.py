"""Restarts: a job runs again, and all that was made from it waits for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from xfworker.domain.errors import IllegalTransition
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run
from xfworker.domain.scheduling import Step, decide, first_of_each_task, following, is_group, upstreams
from xfworker.services.platform.access import ABORT_REQUESTED, Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.downstream import VALUES_CHANGED, steps_of

WORKER_MISSING = "worker_missing"
"""The key in a waiting job's metadata that says which dependency packages no worker has."""

_OF_ONE_ATTEMPT = frozenset(
    {
        "error_message",
        "outcome",
        "estimated_duration_seconds",
        "progress_percentage",
        "output_units",
        ABORT_REQUESTED,
        VALUES_CHANGED,
        WORKER_MISSING,
    }
)


def clean_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give a job's metadata without what an earlier attempt left in it."""
    return {key: value for key, value in metadata.items() if key not in _OF_ONE_ATTEMPT}


def restart(access: Access, job: Job, now: datetime) -> None:
    """
    Let a job begin anew that was just taken out of its final state, and let all that follows wait for it.

    Raises:
        IllegalTransition: Something that follows is running.
    """
    steps = steps_of(access, job.workflow_serial)
    own = next((step for step in steps if step.serial == job.task_serial), None)
    _hold_back(access, job, steps, now)
    state, inputs = job.state, job.inputs
    if own is not None and upstreams(own):
        state, inputs = _decided(access, own, job)
    access.transaction.replace(
        attrs.evolve(
            job,
            state=state,
            inputs=inputs,
            outputs={},
            started_at=None,
            finished_at=None,
            worker_serial=None,
            metadata={key: item for key, item in clean_metadata(job.metadata).items() if key != "lost_attempts"},
        )
    )


def _decided(access: Access, own: Step, job: Job) -> tuple[JobState, dict[str, Any]]:
    jobs: dict[int, Job] = {}
    if job.run_serial is not None:
        jobs = first_of_each_task(access.transaction.find(Job, {"run_serial": job.run_serial}))
    decision = decide(own, jobs, job.inputs)
    if decision is None:
        return JobState.WAITING, job.inputs
    wanted = job.state if decision.state is JobState.READY else decision.state
    return wanted, decision.inputs


def _hold_back(access: Access, job: Job, steps: list[Step], now: datetime) -> None:
    serials = following(steps, job.task_serial)
    groups = {step.serial for step in steps if is_group(step)} & serials
    found: list[Job] = []
    if job.run_serial is not None and serials:
        run = access.transaction.get(Run, job.run_serial)
        found += access.transaction.find(Job, {"run_serial": run.serial, "task_serial": tuple(serials - groups)})
    if groups:
        found += access.transaction.find(Job, {"task_serial": tuple(groups)})
    for follower in found:
        if follower.state is JobState.RUNNING:
            raise IllegalTransition(
                f"job {job.serial} cannot be restarted: job {follower.serial}, which uses what it made, is running; "
                "abort that one first"
            )
        if follower.state is not JobState.WAITING:
            _make_wait(access, follower, now)


def _make_wait(access: Access, job: Job, now: datetime) -> None:
    after = attrs.evolve(
        job,
        state=JobState.WAITING,
        outputs={},
        started_at=None,
        finished_at=None,
        worker_serial=None,
        metadata=clean_metadata(job.metadata),
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )
    access.transaction.replace(after)
    payload = {"action": "changed", "state": [job.state.value, after.state.value]}
    log_event(access, f"{after}: {job.state} to {after.state}", after, payload, now)
