"""Periodic maintenance: leases end, old keys are deleted, missing packages become visible."""

from datetime import timedelta

import attrs
import structlog

from xfworker.domain.job_metadata import WORKER_MISSING
from xfworker.domain.job_state import JobState
from xfworker.domain.packages_needed import missing_packages
from xfworker.domain.records import Job, Task, TaskType, Worker
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import RecordStore
from xfworker.services.platform.access import Access
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.lease_watch import LeaseWatch
from xfworker.services.platform.leases import end_expired_leases, fail_unusable_if_ready
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import Principal, PrincipalKind

_SERVER = Principal(kind=PrincipalKind.ADMIN, name="server")
_LOOKED_AT = 200

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.platform")


def delete_old_idempotency_keys(records: RecordStore, clock: Clock, options: PlatformOptions) -> None:
    """Delete idempotency keys that are too old to be repeated."""
    with records.transaction() as transaction:
        transaction.delete_entries_before(clock.now() - timedelta(seconds=options.idempotency_key_seconds))


def run_periodic_tasks(records: RecordStore, clock: Clock, options: PlatformOptions, watch: LeaseWatch) -> None:
    """Do what is due now; called every few seconds."""
    irregular = watch.look(for_maintenance=True)
    now = clock.now()
    with records.transaction(write=False) as transaction:
        due = bool(transaction.expired_leases(now))
        reasons, unusable = _missing_reasons(Access(_SERVER, transaction), clock, options)
    if due or irregular:
        _end_leases(records, clock, options, watch)
    if reasons or unusable:
        with records.transaction() as transaction:
            access = Access(_SERVER, transaction)
            for serial, reason in reasons.items():
                _put_reason(access, serial, reason)
            for serial, reason in unusable.items():
                fail_unusable_if_ready(access, serial, reason, now)


def _end_leases(records: RecordStore, clock: Clock, options: PlatformOptions, watch: LeaseWatch) -> None:
    with records.transaction() as transaction:
        # Others may have kept this transaction waiting for long.
        irregular, now = watch.look(), clock.now()
        ended = end_expired_leases(Access(_SERVER, transaction), now, options, irregular=bool(irregular))
    watch.grant(irregular)
    if irregular:
        _log.warning("xfworker.leases_renewed", reason="time did not pass as it should, or the server was suspended")
    for job in ended:
        _log.warning("xfworker.lease_expired", job=job.serial, attempt=job.attempt, state=job.state.value)


def _missing_reasons(
    access: Access, clock: Clock, options: PlatformOptions
) -> tuple[dict[int, str | None], dict[int, str]]:
    """Give, for ready jobs whose reason is not right, what no worker that is there has; and why others are unusable."""
    since = clock.now() - timedelta(seconds=options.worker_silent_seconds)
    workers = [
        worker for worker in access.transaction.find(Worker) if worker.last_seen_at and worker.last_seen_at >= since
    ]
    by_task: dict[int, str | None] = {}
    reasons: dict[int, str | None] = {}
    unusable: dict[int, str] = {}

    def look_at(job: Job) -> None:
        if job.task_serial not in by_task:
            task = access.transaction.get(Task, job.task_serial)
            by_task[job.task_serial] = _missing(access.transaction.get(TaskType, task.task_type_serial), workers)
        if job.metadata.get(WORKER_MISSING) != by_task[job.task_serial]:
            reasons[job.serial] = by_task[job.task_serial]

    for job in access.transaction.claimable_jobs(limit=_LOOKED_AT):
        isolated(
            access.transaction,
            str(job),
            lambda job=job: look_at(job),  # type: ignore[misc]  # the loop's own value
            lambda reason, job=job: unusable.update({job.serial: reason}),  # type: ignore[misc]  # as above
        )
    return reasons, unusable


def _missing(task_type: TaskType, workers: list[Worker]) -> str | None:
    lacks = [missing_packages(task_type, worker) for worker in workers]
    if not lacks:
        needed = missing_packages(task_type, Worker(name=""))
        return f"Worker missing [{', '.join(needed)}]" if needed else None
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
