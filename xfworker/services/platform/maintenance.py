"""Periodic maintenance: leases end, old keys are deleted, missing packages become visible."""

from datetime import datetime, timedelta

import attrs
import structlog

from xfworker.domain.job_metadata import WORKER_MISSING
from xfworker.domain.job_state import JobState
from xfworker.domain.packages_needed import missing_packages
from xfworker.domain.records import Job, Task, TaskType, Worker, Workflow
from xfworker.domain.resources import declared_needs, is_there, worker_offer
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore
from xfworker.services.platform.access import Access
from xfworker.services.platform.durations import job_seconds
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.lease_watch import LeaseWatch
from xfworker.services.platform.leases import end_due_leases, fail_unusable_if_ready
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import Principal, PrincipalKind

_SERVER = Principal(kind=PrincipalKind.ADMIN, name="server")
_LOOKED_AT = 200

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.platform")


def delete_old_idempotency_keys(records: RecordStore, clock: Clock, options: PlatformOptions) -> None:
    """Delete idempotency keys that are too old to be repeated."""
    with records.transaction(locking=Locking.ROWS) as transaction:
        transaction.delete_entries_before(clock.now() - timedelta(seconds=options.idempotency_key_seconds))


def run_periodic_tasks(records: RecordStore, clock: Clock, options: PlatformOptions, watch: LeaseWatch) -> None:
    """Do what is due now; called every few seconds."""
    for job in end_due_leases(records, _SERVER, clock, options, watch):
        _log.warning("xfworker.lease_expired", job=job.serial, attempt=job.attempt, state=job.state.value)
    now = clock.now()
    with records.transaction(write=False) as transaction:
        reasons, unusable = _missing_reasons(Access(_SERVER, transaction), clock, options)
    for workflow_serial in {*reasons, *unusable}:
        with records.transaction(of=(Workflow, workflow_serial)) as transaction:
            access = Access(_SERVER, transaction)
            for serial, missing in reasons.get(workflow_serial, {}).items():
                _put_reason(access, serial, missing)
            for serial, reason in unusable.get(workflow_serial, {}).items():
                fail_unusable_if_ready(access, serial, reason, now)


def _missing_reasons(
    access: Access, clock: Clock, options: PlatformOptions
) -> tuple[dict[int, dict[int, str | None]], dict[int, dict[int, str]]]:
    """
    Give, for ready jobs whose reason is not right, what no worker that is there has; and why others are unusable.

    Both by workflow and job.
    """
    now = clock.now()
    since = now - timedelta(seconds=options.worker_silent_seconds)
    workers = [worker for worker in access.transaction.find(Worker) if is_there(worker, since)]
    by_task: dict[int, str | None] = {}
    reasons: dict[int, dict[int, str | None]] = {}
    unusable: dict[int, dict[int, str]] = {}

    def look_at(job: Job) -> None:
        if job.task_serial not in by_task:
            task = access.transaction.get(Task, job.task_serial)
            task_type = access.transaction.get(TaskType, task.task_type_serial)
            by_task[job.task_serial] = _missing(access, task, task_type, workers, now)
        if job.metadata.get(WORKER_MISSING) != by_task[job.task_serial]:
            reasons.setdefault(job.workflow_serial, {})[job.serial] = by_task[job.task_serial]

    def give_up(job: Job, reason: str) -> None:
        unusable.setdefault(job.workflow_serial, {})[job.serial] = reason

    for job in access.transaction.claimable_jobs(limit=_LOOKED_AT):
        isolated(
            access.transaction,
            str(job),
            lambda job=job: look_at(job),  # type: ignore[misc]  # the loop's own value
            lambda reason, job=job: give_up(job, reason),  # type: ignore[misc]  # as above
        )
    return reasons, unusable


def _missing(access: Access, task: Task, task_type: TaskType, workers: list[Worker], now: datetime) -> str | None:
    needs = declared_needs(task_type.metadata)
    lacks = []
    for worker in workers or [Worker(name="")]:
        offer = worker_offer(worker, now)
        lacking = [*missing_packages(task_type, worker), *needs.lacking(offer)]
        if not lacking and offer is not None and offer.seconds is not None:
            seconds = job_seconds(access, task.serial, needs)
            if not needs.fits_time(offer, seconds):
                lacking = [f"{seconds:,.0f} s of time"]
        lacks.append(lacking)
    nearest = min(lacks, key=len)
    return f"Worker missing [{', '.join(nearest)}]" if nearest else None


def _put_reason(access: Access, serial: int, reason: str | None) -> None:
    job = access.transaction.get(Job, serial)
    if job.state is not JobState.READY:
        return
    metadata = {key: value for key, value in job.metadata.items() if key != WORKER_MISSING}
    if reason is not None:
        metadata[WORKER_MISSING] = reason
    access.transaction.replace(attrs.evolve(job, metadata=metadata))
