"""One transaction over the tables, in the words of the record store's port."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from xfworker.adapters.sql import leasing
from xfworker.adapters.sql.board import job_cells
from xfworker.adapters.sql.claimable import claimable_tasks, first_claimable
from xfworker.adapters.sql.derivations import Derivations, KeptDerivations
from xfworker.adapters.sql.encoded import encoded_columns, encoded_records
from xfworker.adapters.sql.live_jobs import has_live_job
from xfworker.adapters.sql.prepared import Prepared, Runner, Shape, deleting, finding, search_values
from xfworker.adapters.sql.rows import column_value, read_json, read_member, record_of, to_record, to_row, write_json
from xfworker.adapters.sql.savepoints import Savepoints
from xfworker.adapters.sql.server_locks import lock_name
from xfworker.adapters.sql.tables import CLAIM_RANK, ENTRIES, TABLES, field_forms, table_of
from xfworker.domain.board import JobCell
from xfworker.domain.bookkeeping import JobLease, ProjectMember
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import RecordNotFound
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import (
    ActivityEvent,
    Job,
    Record,
    Run,
    RunPriority,
    Task,
    TaskType,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.domain.scheduling import claim_rank
from xfworker.ports.job_queue import HeldAttempt
from xfworker.ports.record_store import ClaimableTask, Claimant, EncodedRecord, RenewedLease

RecordT = TypeVar("RecordT", bound=Record)
Derived = TypeVar("Derived")

_JOBS = TABLES[Job.collection]
_EVENTS = TABLES[ActivityEvent.collection]
_RUNS = TABLES[Run.collection]
_WORKFLOWS = TABLES[Workflow.collection]
_LEASES = TABLES[JobLease.collection]
_CHANGED_BESIDE = (Job, Worker)
"""What claims and heartbeats change whatever locks others have."""
_FEW = 50
_FEW_PREPARED = 8
_MOST_SEEN = 1000
_PUT_ENTRY = {
    dialect: Prepared(
        made.on_conflict_do_update(
            index_elements=[ENTRIES.c.key], set_={"value": made.excluded.value, "at": made.excluded.at}
        ),
        [column.name for column in ENTRIES.c],
    )
    for dialect, made in (("sqlite", sqlite_insert(ENTRIES)), ("postgresql", postgresql_insert(ENTRIES)))
}
_ENTRY = Prepared(select(ENTRIES.c.value).where(ENTRIES.c.key == bindparam("of_key")))
_LAST_ORDER = Prepared(select(func.max(_JOBS.c.sort_order)).where(_JOBS.c.workflow_serial == bindparam("of_workflow")))
_MAX_SERIAL = 2**63


class SqlTransaction:
    """A view of all records in which reads and writes belong together."""

    def __init__(self, runner: Runner, kept: KeptDerivations, *, may_write: bool = False) -> None:
        """
        Take a connection on which a transaction has begun.

        Args:
            runner: Runs statements on the connection.
            kept: What transactions before it have derived.
            may_write: Whether it may write, so that what claims and heartbeats change beside it, jobs and workers, is
                locked when it is read.
        """
        self._runner = runner
        self._savepoints = Savepoints(runner, may_write=may_write)
        self._derivations = Derivations(kept)
        self._seen: dict[tuple[str, int], Sequence[Any]] = {}
        self._on_sqlite = runner.dialect.name == "sqlite"
        self._may_write = may_write
        self.made_claimable = False
        """Whether it wrote something by which a worker may get a job that it did not get before."""

    @property
    def _connection(self) -> Connection:
        return self._runner.connection

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Begin a part of the transaction that is undone alone."""
        try:
            with self._savepoints.part():
                yield
        except BaseException:
            self._seen.clear()
            raise

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        row = self._seen.get((kind.collection, serial))
        if row is None and -_MAX_SERIAL <= serial < _MAX_SERIAL:
            row = self._runner.row(kind.collection, serial, locked=self._may_write and kind in _CHANGED_BESIDE)
        if row is not None:
            self._see(kind, serial, row)
            return record_of(kind, row)
        raise RecordNotFound(f"there is no {kind.noun} {serial}")

    def find(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[RecordT]:
        rows = self._found(kind, where, after, limit)
        if rows is None:
            return self._find_among_many(kind, where, after, limit)
        return [record_of(kind, row) for row in rows]

    def find_encoded(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[EncodedRecord]:
        rows = self._found(kind, where, after, limit, encoded=True)
        if rows is None:
            search = self._search_among_many(kind, where, after, limit)
            columns = encoded_columns(kind.collection, self._runner.dialect.name)
            encoded = search.with_only_columns(*columns, maintain_column_froms=True)
            rows = self._connection.execute(encoded).all()
        return encoded_records(rows)

    def _found(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None,
        after: tuple[str, int] | None,
        limit: int | None,
        *,
        encoded: bool = False,
    ) -> Sequence[Sequence[Any]] | None:
        """Give the rows that a search of few values finds, or ``None`` where it is another one."""
        search = _prepared_search(kind, where or {})
        if search is None:
            return None
        shape, values = search
        locked = self._may_write and kind is Job
        prepared = finding(
            kind.collection,
            shape,
            after=after is not None,
            limited=limit is not None,
            locked=locked,
            encoded_by=self._runner.dialect.name if encoded else None,
        )
        if after is not None:
            values["after_serial"] = after[1]
            if kind is Job:
                values["after_order"] = after[0]
        if limit is not None:
            values["most"] = limit
        return self._runner.rows(prepared, values)

    def modified_since(self, kind: type[RecordT], where: Mapping[str, Any], moment: datetime) -> Sequence[RecordT]:
        table = table_of(kind)
        modified = table.c.modified_at >= format_time(moment)
        statement = select(table).where(*self._conditions(kind, where), modified).order_by(table.c.serial)
        return [to_record(kind, row) for row in self._rows(statement)]

    def job_cells(self, workflow_serial: int) -> Sequence[JobCell]:
        return job_cells(self._runner, workflow_serial)

    def count(self, kind: type[Record], where: Mapping[str, Any] | None = None) -> int:
        statement = select(func.count()).select_from(table_of(kind)).where(*self._conditions(kind, where))
        return int(self._connection.execute(statement).scalar_one())

    def insert(self, record: RecordT) -> RecordT:
        self._savepoints.before_write()
        row = to_row(record)
        row.pop("serial", None)
        if isinstance(record, Job):
            row[CLAIM_RANK] = self._rank(record)
        self._note_claimable(record, row)
        self._derivations.note_write(record)
        serial = self._runner.insert(record.collection, row)
        self._see_written(type(record), serial, row)
        return attrs.evolve(record, serial=serial)

    def log(self, event: ActivityEvent) -> None:
        self._savepoints.before_write()
        row = to_row(event)
        row.pop("serial", None)
        self._runner.insert_later(event.collection, row)

    def replace(self, record: Record) -> None:
        self._savepoints.before_write()
        row = to_row(record)
        row.pop("serial", None)
        if isinstance(record, Job):
            row[CLAIM_RANK] = self._rank(record)
        touches_queue = isinstance(record, Run | Workflow) and self._touches_queue(record)
        self._derivations.note_write(record)
        self._note_claimable(record, row)
        if self._may_write and (record.collection, record.serial) in self._seen:
            self._runner.replace_later(record.collection, record.serial, self._changed(record, row))
        elif not self._runner.replace(record.collection, record.serial, self._changed(record, row)):
            raise RecordNotFound(f"there is no {record}")
        self._see_written(type(record), record.serial, row)
        if touches_queue:
            self._rank_again(record)

    def delete(self, kind: type[Record], where: Mapping[str, Any]) -> int:
        self._savepoints.before_write()
        self._seen.clear()
        search = _prepared_search(kind, where)
        if search is None:
            statement = delete(table_of(kind)).where(*self._conditions(kind, where))
            return int(self._connection.execute(statement).rowcount)
        shape, values = search
        return self._runner.count(deleting(kind.collection, shape), values)

    def output_values(self, sequence: ParameterSequence) -> Iterator[OutputValue]:
        obsolete = exists().where(_RUNS.c.serial == _JOBS.c.run_serial, _RUNS.c.obsolete.is_(True))
        statement = (
            select(_JOBS.c.serial, _JOBS.c.run_serial, _JOBS.c.outputs)
            .where(_JOBS.c.task_serial == sequence.task_serial, _JOBS.c.state == JobState.DONE.value, ~obsolete)
            .order_by(_JOBS.c.sort_order, _JOBS.c.serial)
        )
        for serial, run_serial, outputs_json in self._connection.execute(statement).all():
            is_present, value = read_member(outputs_json, sequence.key)
            if is_present:
                yield OutputValue(job_serial=serial, run_serial=run_serial, value=value)

    def claimable_jobs(self, *, limit: int = 100) -> Sequence[Job]:
        rank = _JOBS.c[CLAIM_RANK]
        statement = select(_JOBS).where(rank.isnot(None)).order_by(rank, _JOBS.c.sort_order, _JOBS.c.serial)
        return [to_record(Job, row) for row in self._rows(statement.limit(limit))]

    def claimable_tasks(self) -> Sequence[ClaimableTask]:
        return claimable_tasks(self._runner)

    def first_claimable_job(self, tasks: Collection[int]) -> Job | None:
        parts = first_claimable(self._runner, tasks, locked=self._may_write)
        for kind, row in parts:
            self._see(kind, row[list(field_forms(kind)).index("serial")], row)
        return record_of(Job, parts[0][1]) if parts else None

    def claimant(self, worker_serial: int, *, owner_key: str, claim_key: str | None, moment: datetime) -> Claimant:
        return leasing.claimant(self._runner, worker_serial, owner_key=owner_key, claim_key=claim_key, moment=moment)

    def hand_out(self, job: Job, lease: JobLease, event: ActivityEvent) -> JobLease:
        if self._on_sqlite:
            self.replace(job)
            self.insert(event)
            return self.insert(lease)
        self._savepoints.before_write()
        self._see_written(Job, job.serial, to_row(job))
        return attrs.evolve(lease, serial=leasing.hand_out(self._runner, job, lease, event))

    def touch_worker(self, serial: int, moment: datetime) -> None:
        self._savepoints.before_write()
        self._seen.pop((Worker.collection, serial), None)
        leasing.touch_worker(self._runner, serial, moment)

    def renew_leases(
        self, worker_serial: int, attempts: Collection[HeldAttempt], expires_at: datetime, *, member: str
    ) -> Sequence[RenewedLease]:
        self._savepoints.before_write()
        return leasing.renew_leases(self._runner, worker_serial, attempts, expires_at, member=member)

    def renew_all_leases(self, expires_at: datetime) -> None:
        self._savepoints.before_write()
        leasing.renew_all(self._runner, expires_at)

    def hold_name(self, name: str) -> None:
        if not self._on_sqlite:
            lock_name(self._runner, name)

    def has_live_job(self, tasks: Collection[int], states: Collection[JobState]) -> bool:
        return has_live_job(self._runner, tasks, states)

    def derived(self, workflow_serial: int, make: Callable[[], Derived]) -> Derived:
        return self._derivations.derived(self._runner, workflow_serial, make)

    def expired_leases(self, moment: datetime) -> Sequence[JobLease]:
        statement = select(_LEASES).where(_LEASES.c.expires_at < format_time(moment)).order_by(_LEASES.c.serial)
        return [to_record(JobLease, row) for row in self._rows(statement)]

    def last_sort_order(self, workflow_serial: int) -> str | None:
        [(last,)] = self._runner.rows(_LAST_ORDER, {"of_workflow": workflow_serial})
        return None if last is None else str(last)

    def entry(self, key: str) -> Mapping[str, Any] | None:
        rows = self._runner.rows(_ENTRY, {"of_key": key})
        value: Mapping[str, Any] | None = read_json(rows[0][0]) if rows else None
        return value

    def put_entry(self, key: str, value: Mapping[str, Any], *, at: datetime | None = None) -> None:
        self._savepoints.before_write()
        row = {"key": key, "value": write_json(value), "at": None if at is None else format_time(at)}
        self._runner.later(_PUT_ENTRY[self._runner.dialect.name], row)

    def delete_entry(self, key: str) -> None:
        self._savepoints.before_write()
        self._connection.execute(delete(ENTRIES).where(ENTRIES.c.key == key))

    def delete_entries_before(self, moment: datetime) -> int:
        self._savepoints.before_write()
        return int(self._connection.execute(delete(ENTRIES).where(ENTRIES.c.at < format_time(moment))).rowcount)

    def _changed(self, record: Record, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Give the columns that a server of its own is sent: those that differ from what was read, and the rank.

        Values of a job may be large, and a row whose indexed columns stay as they are costs no index anything.
        """
        before = None if self._on_sqlite else self._seen.get((record.collection, record.serial))
        if before is None:
            return row
        differ = {
            name for name, value in zip(field_forms(type(record)), before, strict=False) if row.get(name) != value
        }
        return {name: value for name, value in row.items() if name in differ or name in {"modified_at", CLAIM_RANK}}

    def _see_written(self, kind: type[Record], serial: int, row: Mapping[str, Any]) -> None:
        values = {**row, "serial": serial}
        self._see(kind, serial, [values[name] for name in field_forms(kind)])

    def _see(self, kind: type[Record], serial: int, row: Sequence[Any]) -> None:
        """Keep a row that was read or written: nobody else changes it before the transaction ends."""
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[kind.collection, serial] = row

    def delete_events_before(self, moment: datetime, *, most: int) -> int:
        self._savepoints.before_write()
        # By serial, which grows with time: the table has no index by time, and needs none for this.
        oldest = select(_EVENTS.c.serial).order_by(_EVENTS.c.serial).limit(most).scalar_subquery()
        statement = delete(_EVENTS).where(_EVENTS.c.serial.in_(oldest), _EVENTS.c.created_at < format_time(moment))
        self._seen.clear()
        return int(self._connection.execute(statement).rowcount)

    def _find_among_many(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None,
        after: tuple[str, int] | None,
        limit: int | None,
    ) -> Sequence[RecordT]:
        return [to_record(kind, row) for row in self._rows(self._search_among_many(kind, where, after, limit))]

    def _search_among_many(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None,
        after: tuple[str, int] | None,
        limit: int | None,
    ) -> Select[Any]:
        table = table_of(kind)
        statement = select(table).where(*self._conditions(kind, where))
        if kind is Job:
            statement = statement.order_by(table.c.sort_order, table.c.serial)
            if after is not None:
                statement = statement.where(
                    tuple_(table.c.sort_order, table.c.serial) > tuple_(literal(after[0]), literal(after[1]))
                )
        else:
            statement = statement.order_by(table.c.serial)
            if after is not None:
                statement = statement.where(table.c.serial > after[1])
        if limit is not None:
            statement = statement.limit(limit)
        return statement.with_for_update() if self._may_write and kind is Job else statement

    def _rows(self, statement: Select[Any], parameters: Mapping[str, Any] | None = None) -> Iterable[Mapping[str, Any]]:
        return (row._mapping for row in self._connection.execute(statement, parameters))  # type: ignore[misc]  # noqa: SLF001  public by its documentation

    def _conditions(self, kind: type[Record], where: Mapping[str, Any] | None) -> list[ColumnElement[bool]]:
        table = table_of(kind)
        return [self._condition(kind, table, name, value) for name, value in (where or {}).items()]

    def _condition(self, kind: type[Record], table: Table, name: str, value: Any) -> ColumnElement[bool]:
        allowed = value if isinstance(value, tuple) else (value,)
        values = [column_value(kind, name, item) for item in allowed]
        column = table.c[name]
        present = [item for item in values if item is not None and not _is_beyond(item)]
        choices: list[ColumnElement[bool]] = []
        if present:
            choices.append(column == present[0] if len(present) == 1 else self._among(column, present))
        if None in values:
            choices.append(column.is_(None))
        return or_(*choices) if choices else false()

    def _among(self, column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
        if len(values) <= _FEW:
            return column.in_(values)
        # Very many values travel as one parameter, because a statement takes only so many.
        if self._on_sqlite:
            listed = func.json_each(write_json(list(values))).table_valued("value")
            return column.in_(select(listed.c.value))
        return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))

    def _rank(self, job: Job) -> int | None:
        if job.state is not JobState.READY:
            return None
        run = None if job.run_serial is None else self.get(Run, job.run_serial)
        return claim_rank(self.get(Workflow, job.workflow_serial), run)

    def _touches_queue(self, record: Run | Workflow) -> bool:
        before = self.get(type(record), record.serial)
        if isinstance(record, Run) and isinstance(before, Run):
            return (before.priority, before.obsolete) != (record.priority, record.obsolete)
        if isinstance(record, Workflow) and isinstance(before, Workflow):
            return (before.state, before.obsolete) != (record.state, record.obsolete)
        return False

    def _note_claimable(self, record: Record, row: Mapping[str, Any]) -> None:
        if isinstance(record, Worker):
            before = self._seen.get((record.collection, record.serial))
            packages = list(field_forms(Worker)).index("dependency_packages")
            self.made_claimable |= before is None or before[packages] != row["dependency_packages"]
        elif isinstance(record, Task | TaskType | ProjectMember) or row.get(CLAIM_RANK) is not None:
            self.made_claimable = True

    def _rank_again(self, record: Record) -> None:
        self.made_claimable = True
        owner = _JOBS.c.run_serial if isinstance(record, Run) else _JOBS.c.workflow_serial
        active = exists().where(
            _WORKFLOWS.c.serial == _JOBS.c.workflow_serial,
            _WORKFLOWS.c.state == WorkflowState.ACTIVE.value,
            _WORKFLOWS.c.obsolete.is_(False),
        )
        of_run = (
            select(
                case(
                    (or_(_RUNS.c.obsolete.is_(True), _RUNS.c.priority == RunPriority.PAUSED.value), None),
                    (_RUNS.c.priority == RunPriority.HIGH.value, 0),
                    else_=1,
                )
            )
            .where(_RUNS.c.serial == _JOBS.c.run_serial)
            .scalar_subquery()
        )
        rank = case((~active, None), (_JOBS.c.run_serial.is_(None), 1), else_=of_run)
        self._connection.execute(
            update(_JOBS)
            .where(and_(owner == record.serial, _JOBS.c.state == JobState.READY.value))
            .values({CLAIM_RANK: rank})
        )


def _prepared_search(kind: type[Record], where: Mapping[str, Any]) -> tuple[Shape, dict[str, Any]] | None:
    """Give the shape and the values of a search of few values, or ``None`` where it is another one."""
    shape: list[tuple[str, int]] = []
    values: dict[str, Any] = {}
    for name, value in where.items():
        allowed = [column_value(kind, name, item) for item in (value if isinstance(value, tuple) else (value,))]
        if allowed == [None]:
            shape.append((name, 0))
            continue
        if not 0 < len(allowed) <= _FEW_PREPARED or None in allowed or any(_is_beyond(item) for item in allowed):
            return None
        shape.append((name, len(allowed)))
        values |= search_values(name, allowed)
    return tuple(shape), values


def _is_beyond(value: Any) -> bool:
    return isinstance(value, int) and not -_MAX_SERIAL <= value < _MAX_SERIAL
