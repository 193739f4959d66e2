"""What the platform's own server needs to keep records."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar

from attrs import define, field

from xfworker.domain.board import JobCell
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import ActivityEvent, Job, Record, Worker
from xfworker.domain.resources import Needs
from xfworker.ports.job_queue import HeldAttempt

RecordT = TypeVar("RecordT", bound=Record)
Derived = TypeVar("Derived")


@define(frozen=True, kw_only=True)
class ClaimableTask:
    """
    A task with jobs that a worker may claim.

    Attributes:
        serial: The task.
        project_serial: Its project.
        needed: The dependency packages that its task type needs, by name and version (``None`` for any).
        needs: What its task type declares that its jobs need of a machine.
    """

    serial: int
    project_serial: int
    needed: tuple[tuple[str, str | None], ...]
    needs: Needs = field(factory=Needs)


class EncodedRecord(NamedTuple):
    """
    A record as it travels; lists of them are long.

    Attributes:
        body: The JSON object of the record, UTF-8.
        position: Sort order (of jobs; else empty) and serial: where it stands in a list.
    """

    body: bytes
    position: tuple[str, int]


@define(frozen=True, kw_only=True)
class Claimant:
    """
    A worker that asks for a job.

    Attributes:
        worker: The worker's record.
        owner: What is kept under the key of its owner, if anything.
        lease: The lease that it got for the same claim before, where it repeats one.
        has_expired_leases: Whether there are leases, of any worker, that ended.
    """

    worker: Worker
    owner: Mapping[str, Any] | None
    lease: JobLease | None
    has_expired_leases: bool


@define(frozen=True, kw_only=True)
class RenewedLease:
    """
    A lease that was renewed, and what its worker has to know of the job.

    Attributes:
        job_serial: The job.
        attempt: The attempt.
        started_at: When it began (UTC).
        state: The job's state.
        metadata: The job's metadata; where they do not have what was asked for, they may be left out.
    """

    job_serial: int
    attempt: int
    started_at: datetime | None
    state: JobState
    metadata: Mapping[str, Any]


class Locking(Enum):
    """
    What a transaction keeps others from.

    Attributes:
        EXCLUSIVE: Others write only elsewhere: nothing that it reads changes before it ends, so it may write what
            follows from what it has read.
        SHARED: Nobody writes there; others that are SHARED go on beside it. It writes nothing.
        ROWS: Nothing but the rows that it writes, and jobs and workers that it reads one by one: for single small
            changes that follow from nothing else.
    """

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    ROWS = "rows"


class RecordTransaction(Protocol):
    """
    A view of all records in which reads and writes belong together.

    What it writes is seen by others when its ``with`` block ends without an exception, all at once; else not at all.
    """

    def savepoint(self) -> AbstractContextManager[None]:
        """Begin a part of the transaction that is undone alone when its ``with`` block ends by an exception."""
        ...

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """
        Give one record.

        Raises:
            RecordNotFound: There is none.
        """
        ...

    def find(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[RecordT]:
        """
        List records by field values, jobs by (sort order, serial), everything else by serial.

        Args:
            kind: The class of the records.
            where: The value each field must have, or a tuple of allowed values.
            after: Only what comes after this in that order: a job's sort order (else an empty string) and serial.
            limit: At most so many.
        """
        ...

    def find_encoded(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[EncodedRecord]:
        """List what :meth:`find` lists for those who only pass it on: what is stored as JSON need not be read."""
        ...

    def modified_since(self, kind: type[RecordT], where: Mapping[str, Any], moment: datetime) -> Sequence[RecordT]:
        """List records by field values that were modified at a time or later, by serial."""
        ...

    def job_cells(self, workflow_serial: int) -> Sequence[JobCell]:
        """Give the cells of all jobs of a workflow, by serial, without reading the jobs' values."""
        ...

    def count(self, kind: type[Record], where: Mapping[str, Any] | None = None) -> int:
        """Count records by field values."""
        ...

    def insert(self, record: RecordT) -> RecordT:
        """Store a new record under the next serial of its kind and give it with that serial."""
        ...

    def log(self, event: ActivityEvent) -> None:
        """Store a new event of the activity log whose serial nobody asks for."""
        ...

    def replace(self, record: Record) -> None:
        """
        Store a changed record under its serial. The caller has read it in this transaction.

        Raises:
            RecordNotFound: There is none.
        """
        ...

    def delete(self, kind: type[Record], where: Mapping[str, Any]) -> int:
        """Remove records by field values and return how many; only the platform's own bookkeeping is ever removed."""
        ...

    def output_values(self, sequence: ParameterSequence) -> Iterator[OutputValue]:
        """Give the values of a sequence: done jobs with the key, of runs that are not obsolete, in sort order."""
        ...

    def claimable_jobs(self, *, limit: int = 100) -> Sequence[Job]:
        """
        List jobs that a worker may claim, in the order in which they are handed out.

        They are ready, of active workflows that are not obsolete, and of no run or of a run that is neither paused nor
        obsolete. Those of high-priority runs come first; then sort order, then serial.
        """
        ...

    def claimable_tasks(self) -> Sequence[ClaimableTask]:
        """
        List the tasks that have jobs which a worker may claim; how many jobs a task has costs nothing.

        A task whose own record, workflow or task type is not there or cannot be read has ``project_serial`` 0.
        """
        ...

    def first_claimable_job(self, tasks: Collection[int]) -> Job | None:
        """
        Give, of the jobs of some tasks, the one that is handed out first, or ``None`` where there is none.

        In a transaction that may write, nobody else claims or changes that job before the transaction ends; jobs that
        others are claiming at this moment are passed over.
        """
        ...

    def claimant(self, worker_serial: int, *, owner_key: str, claim_key: str | None, moment: datetime) -> Claimant:
        """
        Give all that is to be known of a worker before it gets a job.

        Args:
            worker_serial: The worker.
            owner_key: The key of what is kept about its owner.
            claim_key: The worker's own name for its claim.
            moment: Leases of before it count as ended.

        Raises:
            RecordNotFound: There is no such worker.
        """
        ...

    def hand_out(self, job: Job, lease: JobLease, event: ActivityEvent) -> JobLease:
        """Store a claimed job as it is to be, its new lease and the event that says so; give the lease as stored."""
        ...

    def touch_worker(self, serial: int, moment: datetime) -> None:
        """Record when a worker was last heard of, and nothing else of it."""
        ...

    def renew_leases(
        self, worker_serial: int, attempts: Collection[HeldAttempt], expires_at: datetime, *, member: str
    ) -> Sequence[RenewedLease]:
        """
        Let leases hold until a later time, and give those that there were.

        Args:
            worker_serial: Whose leases.
            attempts: What the leases are on. Where it is said when an attempt began, and the job's began at another
                time, the lease is on another attempt.
            expires_at: Until when they hold.
            member: What the jobs' metadata are asked for.
        """
        ...

    def renew_all_leases(self, expires_at: datetime) -> None:
        """Let all leases hold until a later time."""
        ...

    def hold_name(self, name: str) -> None:
        """Let nobody else hold the same name before the transaction ends; for what is unique across workflows."""
        ...

    def has_live_job(self, tasks: Collection[int], states: Collection[JobState]) -> bool:
        """Return whether there is a job of some tasks in some states, of no run or of a run that is not obsolete."""
        ...

    def derived(self, workflow_serial: int, make: Callable[[], Derived]) -> Derived:
        """
        Give what was made of a workflow's active tasks and their task types, made anew where any of them has changed.

        What is given is shared by all who ask, and nobody changes it.
        """
        ...

    def expired_leases(self, moment: datetime) -> Sequence[JobLease]:
        """List leases that ended before a moment."""
        ...

    def last_sort_order(self, workflow_serial: int) -> str | None:
        """Give the greatest sort order among the workflow's jobs."""
        ...

    def entry(self, key: str) -> Mapping[str, Any] | None:
        """Give what is kept under the key (idempotency keys, revoked tokens, settings)."""
        ...

    def put_entry(self, key: str, value: Mapping[str, Any], *, at: datetime | None = None) -> None:
        """Keep a JSON object under a key, as of a time where it is to be deleted some day."""
        ...

    def delete_entry(self, key: str) -> None:
        """Delete what is kept under a key, if anything."""
        ...

    def delete_entries_before(self, moment: datetime) -> int:
        """Delete what was kept as of an earlier time, and give how much that was."""
        ...

    def delete_events_before(self, moment: datetime, *, most: int) -> int:
        """Delete the activity events of before a time among so many of the oldest, and give how many these were."""
        ...


class RecordStore(Protocol):
    """Keeps records. Writers exclude each other where they could meet; a transaction never sees half of another."""

    def transaction(
        self,
        *,
        write: bool = True,
        locking: Locking = Locking.EXCLUSIVE,
        of: tuple[type[Record], int] | None = None,
    ) -> AbstractContextManager[RecordTransaction]:
        """
        Begin a transaction; it commits at the end of the ``with`` block and is undone by an exception.

        Args:
            write: Whether it may write, or keeps others from writing. Readers do not wait for writers; what would write
                in such a transaction, or in one that is SHARED, raises RuntimeError, and nothing is written.
            locking: What others are kept from, where it may write.
            of: A workflow, or a task, a run or a job of one: nothing but this workflow with all that is in it, and
                new records of other kinds, is written (EXCLUSIVE), or kept from being written (SHARED), while others
                go on in other workflows. Without it that holds for all records.
        """
        ...

    def join(self, settings: Mapping[str, str]) -> bool:
        """
        Register this process as one that serves the records until it ends, and give whether nobody else does.

        Args:
            settings: What all who serve must have alike, in words that may be shown.

        Raises:
            ConfigurationError: Others serve with other settings; the message names them.
        """
        ...

    def ready_count(self) -> int | None:
        """
        Give a number that is another one after a job may have become claimable, by whichever process.

        It costs the store nothing. ``None`` where that is not known at the moment.
        """
        ...

    def maintenance_turn(self) -> AbstractContextManager[bool]:
        """Give whether it is this process's turn at maintenance; then it is nobody else's while the block runs."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
