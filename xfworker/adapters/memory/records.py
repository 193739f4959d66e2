"""Records in memory, with real transactions: what a ``with`` block wrote is undone when it ends by an exception."""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import attrs

from xfworker.adapters.memory.table import Table, field_names
from xfworker.domain.board import JobCell, job_cell
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import RecordNotFound, UsageError
from xfworker.domain.job_state import JobState
from xfworker.domain.packages_needed import needed_packages
from xfworker.domain.queries import OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import ActivityEvent, Job, Record, Run, Task, TaskType, Worker, Workflow
from xfworker.domain.resources import declared_needs
from xfworker.domain.scheduling import claim_rank
from xfworker.ports.job_queue import HeldAttempt
from xfworker.ports.record_store import ClaimableTask, Claimant, EncodedRecord, Locking, RenewedLease
from xfworker.services.platform.attempts import is_same_start

RecordT = TypeVar("RecordT", bound=Record)
Derived = TypeVar("Derived")


_IMMUTABLE = frozenset({str, int, float, bool, datetime, type(None)})
_DERIVED_FROM = frozenset({Task, TaskType})

_Entry = tuple[Mapping[str, Any], datetime | None]


class _Kept:
    """What a store keeps."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.last_serials: dict[str, int] = {}
        self.entries: dict[str, _Entry] = {}
        self.derived: dict[int, Any] = {}


class MemoryRecordStore:
    """Keeps records in dictionaries. Transactions come one after the other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept = _Kept()
        self._process = os.getpid()
        self._ready_count = 0

    @contextmanager
    def transaction(
        self,
        *,
        write: bool = True,
        locking: Locking = Locking.EXCLUSIVE,
        of: tuple[type[Record], int] | None = None,  # noqa: ARG002  they come one after the other
    ) -> "Iterator[MemoryTransaction]":
        if write and os.getpid() != self._process:
            raise UsageError(
                "nothing can be saved from here: this process was forked from the one that keeps the records in its "
                "memory, so what it saves would be lost with it; save it there, or use a server in a process of its "
                "own (server.kind = 'embedded', or xfworker run)"
            )
        with self._lock:
            may_write = write and locking is not Locking.SHARED
            transaction = MemoryTransaction(self._kept, may_write=may_write)
            try:
                yield transaction
            except BaseException:
                transaction.undo()
                raise
            self._ready_count += may_write

    def join(self, settings: Mapping[str, str]) -> bool:  # noqa: ARG002  nobody else sees this memory
        return True

    def ready_count(self) -> int | None:
        return self._ready_count

    @contextmanager
    def maintenance_turn(self) -> Iterator[bool]:
        yield True

    def close(self) -> None:
        """Do nothing: memory needs no closing."""


class MemoryTransaction:
    """A transaction of a record store in memory."""

    def __init__(self, kept: _Kept, *, may_write: bool) -> None:
        self._kept = kept
        self._entries = kept.entries
        self._may_write = may_write
        self._undo: list[Callable[[], object]] = []

    @staticmethod
    def _own(record: RecordT) -> RecordT:
        """Give a record that is kept to a caller: one that shares nothing with it."""
        return _copy(record)

    @staticmethod
    def _to_keep(record: RecordT, *, serial: int) -> RecordT:
        """Give the record to keep in place of a caller's: one of this serial that shares nothing with it."""
        return _copy(record, serial=serial)

    def undo(self, *, down_to: int = 0) -> None:
        while len(self._undo) > down_to:
            self._undo.pop()()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        done = len(self._undo)
        try:
            yield
        except BaseException:
            self.undo(down_to=done)
            raise

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        return self._own(self._stored(kind, serial))

    def _stored(self, kind: type[RecordT], serial: int) -> RecordT:
        record: RecordT | None = self._table(kind).get(serial)
        if record is None:
            raise RecordNotFound(f"there is no {kind.noun} {serial}")
        return record

    def find(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[RecordT]:
        if where or issubclass(kind, Job):
            matching: Iterable[RecordT] = sorted(self._matching(kind, where), key=_order)
        else:
            matching = self._table(kind).in_order()
        if after is not None:
            matching = (record for record in matching if _order(record) > after)
        return [self._own(record) for record in islice(matching, limit)]

    def find_encoded(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[EncodedRecord]:
        found = self.find(kind, where, after=after, limit=limit)
        return [EncodedRecord(json.dumps(to_json(record)).encode(), _order(record)) for record in found]

    def modified_since(self, kind: type[RecordT], where: Mapping[str, Any], moment: datetime) -> Sequence[RecordT]:
        matching = sorted(self._matching(kind, where), key=lambda record: record.serial)
        since = [record for record in matching if record.modified_at is not None and record.modified_at >= moment]
        return [self._own(record) for record in since]

    def job_cells(self, workflow_serial: int) -> Sequence[JobCell]:
        jobs = self._matching(Job, {"workflow_serial": workflow_serial})
        return [job_cell(job) for job in sorted(jobs, key=lambda job: job.serial)]

    def count(self, kind: type[Record], where: Mapping[str, Any] | None = None) -> int:
        return sum(1 for _ in self._matching(kind, where))

    def insert(self, record: RecordT) -> RecordT:
        self._check_write()
        name, last_serials = record.collection, self._kept.last_serials
        before = last_serials.get(name, 0)
        stored = self._to_keep(record, serial=before + 1)
        table = self._table(type(record))
        table.put(stored)
        last_serials[name] = stored.serial
        self._underive(type(record))
        self._undo.append(lambda: table.drop(stored.serial))
        self._undo.append(lambda: last_serials.update({name: before}))
        return self._own(stored)

    def log(self, event: ActivityEvent) -> None:
        self.insert(event)

    def replace(self, record: Record) -> None:
        self._check_write()
        table = self._table(type(record))
        before = table.get(record.serial)
        if before is None:
            raise RecordNotFound(f"there is no {record}")
        table.put(self._to_keep(record, serial=record.serial))
        self._underive(type(record))
        self._undo.append(lambda: table.put(before))

    def delete(self, kind: type[Record], where: Mapping[str, Any]) -> int:
        self._check_write()
        table = self._table(kind)
        gone = list(table.matching(where))
        for record in gone:
            table.drop(record.serial)
        self._underive(kind)
        self._undo += [partial(table.put, record) for record in gone]
        return len(gone)

    def output_values(self, sequence: ParameterSequence) -> Iterator[OutputValue]:
        runs = self._table(Run)
        for job in self.find(Job, {"task_serial": sequence.task_serial, "state": JobState.DONE}):
            run = None if job.run_serial is None else runs.get(job.run_serial)
            if sequence.key in job.outputs and not (run is not None and run.obsolete):
                yield OutputValue(job_serial=job.serial, run_serial=job.run_serial, value=job.outputs[sequence.key])

    def claimable_jobs(self, *, limit: int = 100) -> Sequence[Job]:
        ready = sorted(self._ranked({"state": JobState.READY}), key=_claim_order)
        return [self._own(job) for _, job in ready[:limit]]

    def claimable_tasks(self) -> Sequence[ClaimableTask]:
        ready = self._ranked({"state": JobState.READY})
        return [self._claimable_task(serial) for serial in sorted({job.task_serial for _, job in ready})]

    def first_claimable_job(self, tasks: Collection[int]) -> Job | None:
        ready = self._ranked({"state": JobState.READY, "task_serial": tuple(tasks)})
        return self._own(min(ready, key=_claim_order)[1]) if ready else None

    def claimant(self, worker_serial: int, *, owner_key: str, claim_key: str | None, moment: datetime) -> Claimant:
        leases = (
            [] if claim_key is None else self.find(JobLease, {"worker_serial": worker_serial, "claim_key": claim_key})
        )
        return Claimant(
            worker=self.get(Worker, worker_serial),
            owner=self.entry(owner_key),
            lease=leases[0] if leases else None,
            has_expired_leases=bool(self.expired_leases(moment)),
        )

    def hand_out(self, job: Job, lease: JobLease, event: ActivityEvent) -> JobLease:
        self.replace(job)
        self.insert(event)
        return self.insert(lease)

    def touch_worker(self, serial: int, moment: datetime) -> None:
        self.replace(attrs.evolve(self.get(Worker, serial), last_seen_at=moment))

    def renew_leases(
        self,
        worker_serial: int,
        attempts: Collection[HeldAttempt],
        expires_at: datetime,
        *,
        member: str,  # noqa: ARG002  metadata cost nothing here
    ) -> Sequence[RenewedLease]:
        renewed = []
        for held in attempts:
            where = {"worker_serial": worker_serial, "job_serial": held.job_serial, "attempt": held.attempt}
            for lease in self.find(JobLease, where):
                job = self.get(Job, lease.job_serial)
                if not is_same_start(held.started_at, job.started_at):
                    continue
                self.replace(attrs.evolve(lease, expires_at=expires_at))
                one = RenewedLease(
                    job_serial=job.serial,
                    attempt=lease.attempt,
                    started_at=job.started_at,
                    state=job.state,
                    metadata=job.metadata,
                )
                renewed.append(one)
        return renewed

    def renew_all_leases(self, expires_at: datetime) -> None:
        for lease in self.find(JobLease):
            self.replace(attrs.evolve(lease, expires_at=expires_at))

    def hold_name(self, name: str) -> None:
        """Do nothing: transactions come one after the other."""

    def _claimable_task(self, serial: int) -> ClaimableTask:
        try:
            task = self._stored(Task, serial)
            task_type = self._stored(TaskType, task.task_type_serial)
            needed, needs = tuple(needed_packages(task_type)), declared_needs(task_type.metadata)
            project_serial = self._stored(Workflow, task.workflow_serial).project_serial
        except (RecordNotFound, AttributeError, TypeError, ValueError):
            return ClaimableTask(serial=serial, project_serial=0, needed=())
        return ClaimableTask(serial=serial, project_serial=project_serial, needed=needed, needs=needs)

    def _ranked(self, where: Mapping[str, Any]) -> list[tuple[int, Job]]:
        ranks: dict[tuple[int, int | None], int | None] = {}
        ranked = []
        for job in self._matching(Job, where):
            place = job.workflow_serial, job.run_serial
            if place not in ranks:
                ranks[place] = self._rank(job)
            rank = ranks[place]
            if rank is not None:
                ranked.append((rank, job))
        return ranked

    def _rank(self, job: Job) -> int | None:
        workflow = self._stored(Workflow, job.workflow_serial)
        run = None if job.run_serial is None else self._stored(Run, job.run_serial)
        return claim_rank(workflow, run)

    def has_live_job(self, tasks: Collection[int], states: Collection[JobState]) -> bool:
        runs = self._table(Run)
        jobs = self._matching(Job, {"task_serial": tuple(tasks), "state": tuple(states)})
        return any((run := runs.get(job.run_serial)) is None or not run.obsolete for job in jobs)

    def derived(self, workflow_serial: int, make: Callable[[], Derived]) -> Derived:
        derived = self._kept.derived
        if workflow_serial not in derived:
            made = make()
            # What a transaction wrote may be undone, and what was made of it with it.
            self._undo.append(derived.clear)
            derived[workflow_serial] = made
        kept: Derived = derived[workflow_serial]
        return kept

    def expired_leases(self, moment: datetime) -> Sequence[JobLease]:
        expired = [lease for lease in self._matching(JobLease, None) if lease.expires_at < moment]
        return [self._own(lease) for lease in sorted(expired, key=_order)]

    def last_sort_order(self, workflow_serial: int) -> str | None:
        return max((job.sort_order for job in self._matching(Job, {"workflow_serial": workflow_serial})), default=None)

    def entry(self, key: str) -> Mapping[str, Any] | None:
        entry = self._entries.get(key)
        return None if entry is None else _copied(entry[0])

    def put_entry(self, key: str, value: Mapping[str, Any], *, at: datetime | None = None) -> None:
        self._check_write()
        self._keep_for_undo(key)
        self._entries[key] = (_copied(value), at)

    def delete_entry(self, key: str) -> None:
        self._check_write()
        self._keep_for_undo(key)
        self._entries.pop(key, None)

    def delete_entries_before(self, moment: datetime) -> int:
        old = [key for key, (_, at) in self._entries.items() if at is not None and at < moment]
        for key in old:
            self.delete_entry(key)
        return len(old)

    def delete_events_before(self, moment: datetime, *, most: int) -> int:
        oldest: Iterable[ActivityEvent] = islice(self._table(ActivityEvent).in_order(), most)
        old = tuple(event.serial for event in oldest if event.created_at is not None and event.created_at < moment)
        return self.delete(ActivityEvent, {"serial": old})

    def _keep_for_undo(self, key: str) -> None:
        before = self._entries.get(key)
        if before is None:
            self._undo.append(lambda: self._entries.pop(key, None))
        else:
            self._undo.append(lambda: self._entries.update({key: before}))

    def _table(self, kind: type[Record]) -> Table:
        tables = self._kept.tables
        table = tables.get(kind.collection)
        if table is None:
            table = tables[kind.collection] = Table(kind)
        return table

    def _matching(self, kind: type[RecordT], where: Mapping[str, Any] | None) -> Iterable[RecordT]:
        return self._table(kind).matching(where)

    def _underive(self, kind: type[Record]) -> None:
        """Forget what was made of tasks and their types."""
        if kind in _DERIVED_FROM and self._kept.derived:
            self._kept.derived.clear()

    def _check_write(self) -> None:
        if not self._may_write:
            raise RuntimeError("a reading transaction was asked to write")


def _claim_order(ranked: tuple[int, Job]) -> tuple[int, str, int]:
    rank, job = ranked
    return rank, job.sort_order, job.serial


def _order(record: Record) -> tuple[str, int]:
    return (record.sort_order if isinstance(record, Job) else "", record.serial)


def _copy(record: RecordT, *, serial: int | None = None) -> RecordT:
    # Records are frozen but hold dictionaries; what is kept shares nothing with what callers hold.
    kind = type(record)
    fields = {name: _copied(getattr(record, name)) for name in field_names(kind)}
    if serial is not None:
        fields["serial"] = serial
    return kind(**fields)


def _copied(value: Any) -> Any:
    kind = value.__class__
    if kind in _IMMUTABLE:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: item if item.__class__ in _IMMUTABLE else _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
