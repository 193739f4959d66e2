"""How jobs end that did not end by themselves: lost workers, aborts, failures."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import structlog

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.job_metadata import (
    ABORT_REQUESTED,
    ERROR_MESSAGE,
    LOST_ATTEMPTS,
    OUTCOME,
    VALUES_CHANGED,
    lost_attempts,
    of_new_attempt,
)
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_change
from xfworker.services.platform.downstream import after_lease
from xfworker.services.platform.flow import after_change
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.lease_watch import LeaseWatch
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.ownership import owner_of
from xfworker.services.platform.principal import Principal
from xfworker.services.platform.publications import is_under_way

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.platform")


def ended_job(job: Job, state: JobState, message: str, now: datetime, *, outcome: Outcome) -> Job:
    """Give the job as it is after an attempt that did not finish it."""
    metadata: dict[str, Any] = {**job.metadata, OUTCOME: outcome.to_json(), ERROR_MESSAGE: message}
    metadata.pop(ABORT_REQUESTED, None)
    return attrs.evolve(
        job,
        state=state,
        finished_at=now,
        metadata=metadata,
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )


def fail_unusable_if_ready(access: Access, serial: int, reason: str, now: datetime) -> None:
    """Fail a job that cannot be handled unless it went on in the meantime, or even that is not possible."""

    def fail() -> None:
        if access.transaction.get(Job, serial).state is JobState.READY:
            fail_unusable(access, serial, reason, now)

    isolated(access.transaction, f"job {serial}", fail, lambda _: None)


def fail_unusable(access: Access, serial: int, reason: str, now: datetime) -> Job:
    """Fail a job that cannot be handled, so that it is in nobody's way; what follows from it is left alone."""
    job = access.transaction.get(Job, serial)
    message = f"the job cannot be handled: {reason}"
    after = ended_job(job, JobState.FAILED, message, now, outcome=Outcome(ending=Ending.NOT_STARTED, message=message))
    access.transaction.replace(after)
    log_change(access, job, after, Change(values={"/state": after.state.value}), now)
    return after


def end_due_leases(
    records: RecordStore, principal: Principal, clock: Clock, options: PlatformOptions, watch: LeaseWatch
) -> list[Job]:
    """
    Take their jobs from workers that are silent for too long: to be run again, or failed after too many attempts.

    Where time did not pass as it should since leases were last looked at, none ends, and all are granted a fresh
    period. A job that cannot be handled fails itself; the leases of all others end as they should.

    Args:
        records: The store.
        principal: Whoever looks; the activity log names them.
        clock: The time.
        options: How long leases hold, and how many may be lost.
        watch: Knows how time passed.
    """
    if irregular := watch.look():
        _renew_all(records, clock, options, watch, irregular)
        return []
    with records.transaction(write=False) as transaction:
        leases = transaction.expired_leases(clock.now())
    ended: list[Job] = []
    for lease in leases:
        with records.transaction(of=(Job, lease.job_serial)) as transaction:
            # Others may have kept this transaction waiting for long.
            irregular = watch.look()
            job = None if irregular else end_lease(Access(principal, transaction), lease, clock.now(), options)
        if irregular:
            _renew_all(records, clock, options, watch, irregular)
            return ended
        if job is not None:
            ended.append(job)
    return ended


def _renew_all(records: RecordStore, clock: Clock, options: PlatformOptions, watch: LeaseWatch, irregular: int) -> None:
    with records.transaction(locking=Locking.ROWS) as transaction:
        transaction.renew_all_leases(clock.now() + timedelta(seconds=options.lease_seconds))
    watch.grant(irregular)
    _log.warning("xfworker.leases_renewed", reason="time did not pass as it should, or the server was suspended")


def end_leases_of(
    access: Access, owner: str, may_run: Callable[[Job], bool], now: datetime, options: PlatformOptions
) -> None:
    """
    Take from an owner's workers what they may not run any more, and so from its scripts what they could see by it.

    Args:
        access: Whoever took the rights; the activity log names them.
        owner: The :attr:`.Principal.identity` of the owner.
        may_run: Says which jobs they may still run.
        now: The time.
        options: How many attempts may be lost.
    """
    for lease in access.transaction.find(JobLease):
        workers = access.transaction.find(Worker, {"serial": lease.worker_serial})
        if not any(owner_of(access.transaction, worker) == owner for worker in workers):
            continue
        if not any(map(may_run, access.transaction.find(Job, {"serial": lease.job_serial}))):
            end_lease(access, lease, now, options, why="lost its rights")


def end_lease(
    access: Access, lease: JobLease, now: datetime, options: PlatformOptions, *, why: str = "stopped answering"
) -> Job | None:
    """
    Take a job from a worker that does not answer, or may not run it, any more; one that cannot be handled fails itself.

    A lease during which a file is just being stored ends when the store has answered: the next attempt must not meet
    that file.

    Args:
        access: The caller's.
        lease: The lease, as it was read. Heartbeats wait for nobody: one that was renewed since then is left alone.
        now: The time.
        options: How many attempts may be lost.
        why: What the worker did, for people.

    Returns:
        The job as it is then; ``None`` where the lease was left alone, or where there is no such job.
    """
    if options.files_may_wait and is_under_way(access.transaction, lease.job_serial, now):
        return None
    if not access.transaction.delete(JobLease, {"serial": lease.serial, "expires_at": lease.expires_at}):
        return None
    return isolated(
        access.transaction,
        f"the end of the lease on job {lease.job_serial}",
        lambda: _expire(access, lease, now, options, why),
        lambda reason: _give_up(access, lease, reason, now),
    )


def _give_up(access: Access, lease: JobLease, reason: str, now: datetime) -> Job | None:
    return isolated(
        access.transaction,
        f"job {lease.job_serial}",
        lambda: fail_unusable(access, lease.job_serial, reason, now),
        lambda _: None,
    )


def _expire(access: Access, lease: JobLease, now: datetime, options: PlatformOptions, why: str) -> Job:
    transaction = access.transaction
    job = transaction.get(Job, lease.job_serial)
    if job.state is not JobState.RUNNING or job.attempt != lease.attempt:
        if VALUES_CHANGED in job.metadata:
            after_lease(access, job, now)
        return job
    worker = transaction.get(Worker, lease.worker_serial)
    lost = f"worker {worker.name} {why} during attempt {job.attempt}"
    before = lost_attempts(job.metadata)
    if ABORT_REQUESTED in job.metadata:
        outcome = Outcome(ending=Ending.ABORTED, message=f"the job was aborted; {lost}")
        after = ended_job(job, JobState.ABORTED, outcome.message, now, outcome=outcome)
    elif len(before) + 1 >= options.max_attempts:
        message = f"{lost}, the last of {options.max_attempts} allowed; restart the job once the workers are well"
        outcome = Outcome(ending=Ending.SERVER_LOST, message=message)
        after = ended_job(job, JobState.FAILED, message, now, outcome=outcome)
    else:
        after = ready_again(job, now)
        after = attrs.evolve(after, metadata={**after.metadata, LOST_ATTEMPTS: [*before, lost]})
    transaction.replace(after)
    log_change(access, job, after, Change(values={"/state": after.state.value}), now)
    after_change(access, job, after, now)
    return after


def ready_again(job: Job, now: datetime) -> Job:
    """Give a running job as it is when it is handed out to another worker."""
    return attrs.evolve(
        job,
        state=JobState.READY,
        worker_serial=None,
        started_at=None,
        metadata=of_new_attempt(job.metadata),
        occ_lock_version=job.occ_lock_version + 1,
        modified_at=now,
    )
