"""Which record a worker has: its own from before, else one that nobody uses, else a new one."""

from datetime import datetime

import attrs
from attrs import define

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.records import INSTANCE, Worker
from xfworker.domain.resources import with_earlier_pilots
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore, RecordTransaction
from xfworker.services.platform.access import Access
from xfworker.services.platform.declarations import check_declarations
from xfworker.services.platform.keeping import check_json
from xfworker.services.platform.leases import end_lease
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.ownership import is_abandoned, owner_of, owns, set_owner
from xfworker.services.platform.principal import Principal
from xfworker.services.platform.tokens import Sessions


@define(frozen=True)
class Registration:
    """How a caller's workers get their records."""

    _principal: Principal
    _records: RecordStore
    _clock: Clock
    _options: PlatformOptions
    _sessions: Sessions

    def register(self, worker: Worker) -> Worker:
        """Make the worker's record, or update the one that it had before."""
        check_json(worker)
        check_declarations(worker)
        return self._registered_again(worker) or self._registered(worker)

    def _registered_again(self, worker: Worker) -> Worker | None:
        """Update the record of a worker that is there, which workers ask for twice a minute; others go on meanwhile."""
        with self._records.transaction(locking=Locking.ROWS) as transaction:
            _, known = self._registration(transaction, worker, self._clock.now())
            if (
                known is None
                or known.metadata.get(INSTANCE) != worker.metadata.get(INSTANCE)
                or not owns(transaction, self._principal, known)
            ):
                return None
            return self._refreshed(transaction, transaction.get(Worker, known.serial), worker)

    def _registered(self, worker: Worker) -> Worker:
        with self._records.transaction() as transaction:
            now = self._clock.now()
            self._sessions.require_let_in(transaction, self._principal, now)
            name, known = self._registration(transaction, worker, now)
            if known is None:
                made = transaction.insert(
                    attrs.evolve(
                        worker, name=name, occ_lock_version=1, created_at=now, modified_at=now, last_seen_at=now
                    )
                )
                set_owner(transaction, made, self._principal)
                return made
            self._take_over_if_abandoned(transaction, known, now)
            require_own_worker(Access(self._principal, transaction), known, "register")
            return self._refreshed(transaction, known, worker)

    def _refreshed(self, transaction: RecordTransaction, known: Worker, worker: Worker) -> Worker:
        now = self._clock.now()
        fresh = attrs.evolve(
            known,
            dependency_packages=worker.dependency_packages,
            max_concurrent_jobs=worker.max_concurrent_jobs,
            metadata=with_earlier_pilots(known, worker.metadata, now),
            extra=worker.extra,
            occ_lock_version=known.occ_lock_version + 1,
            modified_at=now,
            last_seen_at=now,
        )
        transaction.replace(fresh)
        return fresh

    def _registration(self, transaction: RecordTransaction, worker: Worker, now: datetime) -> tuple[str, Worker | None]:
        """Give the name and the record of a worker: its own from before, else one that nobody uses, else a new one."""
        unused: Worker | None = None
        number = 0
        while True:
            number += 1
            name = worker.name if number == 1 else f"{worker.name} ({number})"
            known = transaction.find(Worker, {"name": name}, limit=1)
            if not known:
                return (name, None) if unused is None else (unused.name, unused)
            other = known[0].metadata.get(INSTANCE)
            if INSTANCE not in worker.metadata or other is None or other == worker.metadata[INSTANCE]:
                return name, known[0]
            if unused is None and self._is_silent(transaction, known[0], now):
                unused = known[0]

    def _is_silent(self, transaction: RecordTransaction, worker: Worker, now: datetime) -> bool:
        seen = worker.last_seen_at
        silent = seen is None or abs(now - seen).total_seconds() >= self._options.worker_silent_seconds
        return silent and not transaction.find(JobLease, {"worker_serial": worker.serial}, limit=1)

    def _take_over_if_abandoned(self, transaction: RecordTransaction, worker: Worker, now: datetime) -> None:
        """Give the record of an owner who cannot come in again to the caller, but none of the jobs it has leases on."""
        if owns(transaction, self._principal, worker) or not is_abandoned(transaction, worker):
            return
        access = Access(self._principal, transaction)
        for lease in transaction.find(JobLease, {"worker_serial": worker.serial}):
            end_lease(access, lease, now, self._options)
        set_owner(transaction, worker, self._principal)


def require_own_worker(access: Access, worker: Worker, to: str) -> None:
    """Refuse another's worker; a worker may go on with its record of before records had owners."""
    if access.principal.is_worker and owner_of(access.transaction, worker) is None:
        set_owner(access.transaction, worker, access.principal)
    access.require_own(worker, f"{to} {worker}")
