"""The job queue over a record store: each job to one worker at a time, under a lease that ends without heartbeats."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, LeaseLost, RecordNotFound
from xfworker.domain.job_metadata import ABORT_REQUESTED, VALUES_CHANGED, of_new_attempt
from xfworker.domain.job_outcome import Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.packages_needed import missing_of, missing_packages
from xfworker.domain.records import Job, Task, TaskType, Worker
from xfworker.domain.resources import Offer, declared_needs
from xfworker.ports.clock import Clock
from xfworker.ports.job_queue import HeldAttempt, Lease, LeaseStatus
from xfworker.ports.record_store import (
    ClaimableTask,
    Claimant,
    Locking,
    RecordStore,
    RecordTransaction,
    RenewedLease,
)
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import change_event
from xfworker.services.platform.attempt_ends import BY_HAND, log_end, readable_message, was_reported, with_outcome
from xfworker.services.platform.attempts import is_same_start, lost_attempt
from xfworker.services.platform.downstream import after_lease
from xfworker.services.platform.durations import job_seconds
from xfworker.services.platform.flow import after_change
from xfworker.services.platform.idle_workers import IdleWorkers
from xfworker.services.platform.isolation import isolated
from xfworker.services.platform.lease_watch import LeaseWatch
from xfworker.services.platform.leases import (
    end_due_leases,
    fail_unusable_if_ready,
)
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.ownership import is_owner, owner_key
from xfworker.services.platform.principal import Principal, PrincipalKind, job_claims
from xfworker.services.platform.publications import require_none_under_way
from xfworker.services.platform.registration import Registration, require_own_worker
from xfworker.services.platform.tokens import Sessions

_CLAIMABLE = (JobState.READY, JobState.READY_FOR_INTERACTIVE)
_SEEN_PARTS = 10


class PlatformQueue:
    """The job queue as one worker sees it."""

    def __init__(
        self,
        principal: Principal,
        *,
        records: RecordStore,
        clock: Clock,
        signer: TokenSigner,
        options: PlatformOptions,
        lease_watch: LeaseWatch,
        idle_workers: IdleWorkers,
    ) -> None:
        """
        Prepare.

        Raises:
            PermissionDenied: The caller is not a worker.
        """
        principal.require(PrincipalKind.WORKER, PrincipalKind.USER, to="run jobs")
        self._principal = principal
        self._records = records
        self._clock = clock
        self._signer = signer
        self._options = options
        self._lease_watch = lease_watch
        self._idle_workers = idle_workers

    def register(self, worker: Worker) -> Worker:
        """
        Register the worker, or update the registration of the one that it was before.

        Two computers may have workers of one name. Where both say which instance they are, each has a record of its
        own, the second with a number behind its name, so that no job goes to a computer that lacks its software.
        """
        sessions = Sessions(self._signer, self._options)
        return Registration(self._principal, self._records, self._clock, self._options, sessions).register(worker)

    def claim(
        self,
        worker_serial: int,
        *,
        job_serial: int | None = None,
        offer: Offer | None = None,
        claim_key: str | None = None,
    ) -> Lease | None:
        """
        Take the next ready job that this worker can run, or the given one.

        Args:
            worker_serial: The worker.
            job_serial: The job to take, whatever its workflow's state, its run's priority and what it needs.
            offer: What the worker has free, and for how long.
            claim_key: The worker's own name for this claim; a second call with it gives the same lease.
        """
        if job_serial is not None:
            return self._claim(worker_serial, job_serial, offer, claim_key)
        caller, count = self._principal.identity, self._records.ready_count()
        if self._idle_workers.has_nothing_new(caller, worker_serial, count, offer):
            return None
        stays_idle = self._idle_workers.is_idle(caller, worker_serial) and self._stays_idle(
            worker_serial, offer, claim_key
        )
        lease = None if stays_idle else self._claim(worker_serial, None, offer, claim_key)
        self._idle_workers.record(caller, worker_serial, idle=lease is None, ready_count=count, offer=offer)
        return lease

    def _stays_idle(self, worker_serial: int, offer: Offer | None, claim_key: str | None) -> bool:
        """Return whether there is nothing to do for a worker that asks again, without keeping others from writing."""
        with self._records.transaction(write=False) as transaction:
            now = self._clock.now()
            access = Access(self._principal, transaction)
            claimant = _claimant(transaction, worker_serial, claim_key, now)
            return not (
                not is_owner(self._principal, claimant.owner)
                or self._was_seen_long_ago(claimant.worker, now)
                or self._lease_watch.look()
                or claimant.has_expired_leases
                or claimant.lease
                or _may_have_job(access, claimant.worker, offer)
            )

    def _claim(
        self, worker_serial: int, job_serial: int | None, offer: Offer | None, claim_key: str | None
    ) -> Lease | None:
        has_ended_leases = False
        while True:
            # The next job is taken beside all that others do; a certain one may be a person's, and its workflow's.
            with self._records.transaction(
                locking=Locking.ROWS if job_serial is None else Locking.EXCLUSIVE,
                of=None if job_serial is None else (Job, job_serial),
            ) as transaction:
                now = self._clock.now()
                access = Access(self._principal, transaction)
                if claim_key is not None:
                    # A claim that is sent again while the first is being answered waits, and is answered alike.
                    transaction.hold_name(f"claim {worker_serial} {claim_key}")
                claimant = _claimant(transaction, worker_serial, claim_key, now)
                worker = claimant.worker
                if not is_owner(self._principal, claimant.owner):
                    require_own_worker(access, worker, "claim jobs for")
                if claimant.lease is not None:
                    return self._repeated(access, claimant.lease)
                if has_ended_leases or not (claimant.has_expired_leases or self._lease_watch.look()):
                    self._record_seen(transaction, worker, now)
                    job = (
                        self._next(access, worker, offer, now)
                        if job_serial is None
                        else self._requested_job(access, job_serial)
                    )
                    return None if job is None else self._lease(access, job, worker, claim_key, now)
            end_due_leases(self._records, self._principal, self._clock, self._options, self._lease_watch)
            has_ended_leases = True

    def heartbeat(self, leases: Sequence[Lease]) -> list[LeaseStatus]:
        """Renew all leases that a worker has, and give the status of each in the same order."""
        worker_serial = leases[0].job.worker_serial or 0
        held = [HeldAttempt(lease.job.serial, lease.attempt, lease.job.started_at) for lease in leases]
        return self.renew(worker_serial, held)

    def renew(self, worker_serial: int, attempts: Sequence[HeldAttempt]) -> list[LeaseStatus]:
        """
        Renew a worker's leases on attempts at jobs, and give the status of each in the same order.

        A worker may have lost an attempt, not know it yet, and have been handed out the same job again.
        """
        with self._records.transaction(locking=Locking.ROWS) as transaction:
            now = self._clock.now()
            access = Access(self._principal, transaction)
            claimant = _claimant(transaction, worker_serial, None, now)
            if not is_owner(self._principal, claimant.owner):
                require_own_worker(access, claimant.worker, "renew the leases of")
            runnable = self._runnable(access, {held.job_serial for held in attempts})
            visible = [held for held in attempts if held.job_serial in runnable]
            expires_at = now + timedelta(seconds=self._options.lease_seconds)
            renewed = {
                (lease.job_serial, lease.attempt): lease
                for lease in transaction.renew_leases(worker_serial, visible, expires_at, member=ABORT_REQUESTED)
            }
            self._record_seen(transaction, claimant.worker, now)
            return [
                LeaseStatus(job_serial=serial, lost=self._why_lost(access, serial, attempt))
                if (lease := renewed.get((serial, attempt))) is None or not is_same_start(started_at, lease.started_at)
                else LeaseStatus(job_serial=serial, expires_at=expires_at, abort_requested=_is_to_stop(lease))
                for serial, attempt, started_at in attempts
            ]

    def _runnable(self, access: Access, serials: Iterable[int]) -> set[int]:
        """Give those jobs that the caller's workers may run; a person may have lost a project meanwhile."""
        if self._principal.is_worker or access.sees_all():
            return set(serials)
        jobs = access.transaction.find(Job, {"serial": tuple(serials)})
        return {job.serial for job in jobs if access.may_run(job)}

    def _why_lost(self, access: Access, serial: int, attempt: int) -> str:
        try:
            job = access.transaction.get(Job, serial)
            self._require_may_run(access, job)
        except (RecordNotFound, LeaseLost) as error:
            return str(error)
        return lost_attempt(job, attempt)

    def end(self, lease: Lease, outcome: Outcome) -> Job:
        """Report how the script ended, and give the job as it is then."""
        return self.end_attempt(HeldAttempt(lease.job.serial, lease.attempt, lease.job.started_at), outcome)

    def end_attempt(self, held: HeldAttempt, outcome: Outcome) -> Job:
        """Report how an attempt at a job ended, and give the job as it is then."""
        job_serial = held.job_serial
        with self._records.transaction(of=(Job, job_serial)) as transaction:
            now = self._clock.now()
            access = Access(self._principal, transaction)
            job, had_lease = self._given_up(transaction, held)
            if not had_lease:
                if is_same_start(held.started_at, job.started_at) and was_reported(job, held.attempt, outcome):
                    return job
                raise LeaseLost(lost_attempt(job, held.attempt))
            outcome = attrs.evolve(outcome, message=readable_message(outcome.message))
            after = with_outcome(job, outcome, now)
            if self._options.files_may_wait and after.state is JobState.READY:
                require_none_under_way(transaction, job_serial, now)
            transaction.replace(after)
            log_end(access, job, after, outcome, now)
            if after.state is job.state and VALUES_CHANGED in job.metadata:
                after_lease(access, after, now)
            else:
                after_change(access, job, after, now)
            return transaction.get(Job, job.serial)

    def _record_seen(self, transaction: RecordTransaction, worker: Worker, now: datetime) -> None:
        """Keep when a worker was last heard of, as exactly as anybody asks for it."""
        if self._was_seen_long_ago(worker, now):
            transaction.touch_worker(worker.serial, now)

    def _was_seen_long_ago(self, worker: Worker, now: datetime) -> bool:
        seen = worker.last_seen_at
        return seen is None or abs(now - seen).total_seconds() >= self._options.worker_silent_seconds / _SEEN_PARTS

    def _given_up(self, transaction: RecordTransaction, held: HeldAttempt) -> tuple[Job, bool]:
        """
        Give a job, and whether the caller had a lease on this attempt at it, which is deleted.

        Raises:
            PermissionDenied: Another worker has the lease, or had it last.
            LeaseLost: The caller does not see the job's project any more.
        """
        job = transaction.get(Job, held.job_serial)
        access = Access(self._principal, transaction)
        if job.attempt != held.attempt or not is_same_start(held.started_at, job.started_at):
            access.get(Job, job.serial)
            return job, False
        worker_serial = job.worker_serial
        if worker_serial is not None and not self._principal.is_admin:
            require_own_worker(access, transaction.get(Worker, worker_serial), f"look after {job}, which runs on")
        self._require_may_run(access, job)
        return job, bool(transaction.delete(JobLease, {"job_serial": job.serial, "attempt": held.attempt}))

    def _require_may_run(self, access: Access, job: Job) -> None:
        if not access.may_run(job):
            raise LeaseLost(f"job {job.serial} is in a project that {self._principal.name} does not see any more")

    def _repeated(self, access: Access, kept: JobLease) -> Lease:
        job = access.transaction.get(Job, kept.job_serial)
        self._require_may_run(access, job)
        return self._described(access.transaction, job, kept)

    def _requested_job(self, access: Access, job_serial: int) -> Job:
        job = access.transaction.get(Job, job_serial)
        if not access.may_run(job):
            access.get(Job, job_serial)
        if job.state not in _CLAIMABLE:
            raise IllegalTransition(f"job {job.serial} cannot be run now: it is {job.state}, not Ready")
        return job

    def _next(self, access: Access, worker: Worker, offer: Offer | None, now: datetime) -> Job | None:
        tasks = {task.serial for task in access.transaction.claimable_tasks() if _may_fit(access, task, worker, offer)}
        while tasks:
            candidate = access.transaction.first_claimable_job(tasks)
            if candidate is None or _is_usable(access, candidate, worker, offer, now):
                return candidate
            tasks.discard(candidate.task_serial)
        return None

    def _lease(self, access: Access, job: Job, worker: Worker, claim_key: str | None, now: datetime) -> Lease:
        transaction = access.transaction
        Sessions(self._signer, self._options).require_let_in(transaction, self._principal, now)
        running = attrs.evolve(
            job,
            state=JobState.RUNNING,
            attempt=job.attempt + 1,
            worker_serial=worker.serial,
            started_at=now,
            finished_at=None,
            metadata=of_new_attempt(job.metadata),
            occ_lock_version=job.occ_lock_version + 1,
            modified_at=now,
        )
        if job.state is not JobState.READY:
            # Its script may have given it to a person, and its worker may not have said yet that the script has ended.
            transaction.delete(JobLease, {"job_serial": job.serial})
        lease = JobLease(
            job_serial=job.serial,
            worker_serial=worker.serial,
            attempt=running.attempt,
            expires_at=now + timedelta(seconds=self._options.lease_seconds),
            claim_key=claim_key,
            created_at=now,
            modified_at=now,
        )
        values: Mapping[str, Any] = {"/state": running.state.value, "/worker_serial": worker.serial}
        event = change_event(access, job, running, Change(values=dict(values)), now)
        return self._described(transaction, running, transaction.hand_out(running, lease, event))

    def _described(self, transaction: RecordTransaction, job: Job, kept: JobLease) -> Lease:
        task = transaction.get(Task, job.task_serial)
        claims = job_claims(job.serial, job.workflow_serial, job.project_serial, job.attempt, job.started_at)
        return Lease(
            job=job,
            task=task,
            task_type=transaction.get(TaskType, task.task_type_serial),
            server_auth=self._signer.sign(claims),
            expires_at=kept.expires_at,
        )


def _claimant(transaction: RecordTransaction, worker_serial: int, claim_key: str | None, moment: datetime) -> Claimant:
    key = owner_key(Worker, worker_serial)
    return transaction.claimant(worker_serial, owner_key=key, claim_key=claim_key, moment=moment)


def _may_have_job(access: Access, worker: Worker, offer: Offer | None) -> bool:
    return any(_may_fit(access, task, worker, offer) for task in access.transaction.claimable_tasks())


def _may_fit(access: Access, task: ClaimableTask, worker: Worker, offer: Offer | None) -> bool:
    # What cannot be read is reported by the job itself, which then fails.
    return not task.project_serial or (
        access.may_run_in(task.project_serial)
        and not missing_of(task.needed, worker)
        and not task.needs.lacking(offer)
        and (task.needs.seconds is None or task.needs.fits_time(offer, task.needs.seconds))
    )


def _is_usable(access: Access, job: Job, worker: Worker, offer: Offer | None, now: datetime) -> bool:
    return isolated(
        access.transaction,
        str(job),
        lambda: _is_fit(access, job, worker, offer),
        lambda reason: _give_up(access, job, reason, now),
        writes=False,
    )


def _is_fit(access: Access, job: Job, worker: Worker, offer: Offer | None) -> bool:
    task = access.transaction.get(Task, job.task_serial)
    task_type = access.transaction.get(TaskType, task.task_type_serial)
    needs = declared_needs(task_type.metadata)
    return (
        access.may_run(job)
        and not missing_packages(task_type, worker)
        and not needs.lacking(offer)
        and (offer is None or offer.seconds is None or needs.fits_time(offer, job_seconds(access, task.serial, needs)))
    )


def _give_up(access: Access, job: Job, reason: str, now: datetime) -> bool:
    fail_unusable_if_ready(access, job.serial, reason, now)
    return False


def _is_to_stop(job: RenewedLease) -> bool:
    # A person may have asked for it, or have declared the job failed while its script was running.
    return ABORT_REQUESTED in job.metadata or job.state not in (JobState.RUNNING, *BY_HAND)
