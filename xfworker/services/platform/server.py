"""The XF Server itself: the port of the same name over a record store, as one caller sees it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import attrs

from xfworker.domain.board import Board, BoardChanges
from xfworker.domain.bookkeeping import MemberRole, ProjectMember
from xfworker.domain.change import Change, apply
from xfworker.domain.errors import RecordNotFound, UsageError, XFWorkerError
from xfworker.domain.files import AuthorizationToken, Scope
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery, OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import ActivityEvent, Entity, Job, Project, Record, Task, Worker, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.record_store import EncodedRecord, Locking, RecordStore
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_change, log_creation
from xfworker.services.platform.boards import board_of, changes_of, steps_in_order
from xfworker.services.platform.combined import answer
from xfworker.services.platform.creation import existing, prepared
from xfworker.services.platform.editing import changed, require_version
from xfworker.services.platform.file_rights import make_token, require_scopes
from xfworker.services.platform.flow import after_change, after_creation, asked_to_stop, asks_to_stop, without_stop
from xfworker.services.platform.idempotency import IdempotentRequest
from xfworker.services.platform.keeping import check_change, check_json
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.ownership import OWNED, set_owner
from xfworker.services.platform.principal import Principal
from xfworker.services.platform.reach import Reach, is_progress, workflow_of, workflow_of_new
from xfworker.services.platform.spawn_limits import admit_spawned
from xfworker.services.platform.stored_results import StoredResults
from xfworker.services.platform.tokens import Sessions

RecordT = TypeVar("RecordT", bound=Record)
Answer = TypeVar("Answer")

_QUIET = (ActivityEvent, Worker)
_FIRST_READ = 8
_MOST_READ = 100
"""So many records are read at once for a page, however small those before them were."""


class PlatformServer:
    """The XF Server as one caller sees it. Safe to share between threads as far as its record store is."""

    def __init__(
        self,
        principal: Principal,
        *,
        records: RecordStore,
        clock: Clock,
        signer: TokenSigner,
        options: PlatformOptions,
        files: FileStore | None = None,
    ) -> None:
        """Prepare; the store is asked anew by each call. ``files`` is where outputs are looked for."""
        self.principal = principal
        self._records = records
        self._clock = clock
        self._signer = signer
        self._options = options
        self._files = files

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """Give one record."""
        return self._read(lambda access: access.get(kind, serial))

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """List records by field values."""
        return list(self.page(kind, where))

    def page(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[RecordT]:
        """
        List records by field values, a page at a time.

        Args:
            kind: The class of the records.
            where: Field names and the value each must have, or a tuple of allowed values.
            after: Sort order (of jobs; else empty) and serial of the last record of the page before.
            limit: At most so many.
        """
        _require_fields(kind, where)
        return self._read(
            lambda access: access.transaction.find(kind, access.narrowed(kind, where), after=after, limit=limit)
        )

    def encoded_page(
        self,
        kind: type[Record],
        where: Mapping[str, Any] | None = None,
        *,
        after: tuple[str, int] | None = None,
        limit: int,
        most_bytes: int,
    ) -> list[EncodedRecord]:
        """List what :meth:`page` lists, as it travels; it ends with the record with which it has ``most_bytes``."""
        _require_fields(kind, where)

        def listed(access: Access) -> list[EncodedRecord]:
            narrowed = access.narrowed(kind, where)
            found: list[EncodedRecord] = []
            # A few show how large they are, before so many are read that they fill the memory.
            size, step = 0, min(limit, _FIRST_READ)
            while step:
                behind = found[-1].position if found else after
                more = access.transaction.find_encoded(kind, narrowed, after=behind, limit=step)
                found += more
                size += sum(len(record.body) for record in more)
                fitting = (most_bytes - size) * len(found) // max(size, 1)
                is_full = len(more) < step or size >= most_bytes
                step = 0 if is_full else min(limit - len(found), max(fitting, 1), _MOST_READ)
            return found

        return self._read(listed)

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        """Store a new record and give it as the server made it."""
        check_json(record)
        request = IdempotentRequest(idempotency_key, ("create", record.collection, record))
        to_be_done = record.outputs if isinstance(record, Job) and record.state is JobState.DONE else None
        with self.writing(to_be_done, of=workflow_of_new(self.principal, record)) as access:
            replayed = request.replayed(access, type(record))
            if replayed is not None:
                return replayed
            access.require_live(to_write=True)
            created = self.insert(access, record)
            request.put(access, created, self._now())
            return created

    def update(
        self, kind: type[RecordT], serial: int, change: Change, *, idempotency_key: str | None = None
    ) -> RecordT:
        """
        Apply a change by compare-and-set and give the record as it is then.

        Args:
            kind: The class of the record.
            serial: Which one.
            change: What to make different.
            idempotency_key: A second call with the same key changes nothing and gives the record as it is.
        """
        check_change(kind, serial, change)
        request = IdempotentRequest(idempotency_key, ("update", f"{kind.collection}/{serial}", change))
        outputs = self._outputs_to_be_done(serial, change) if kind is Job else None
        # Progress comes from each script once a second, and nothing follows from it.
        locking = Locking.ROWS if kind is Job and is_progress(change) else Locking.EXCLUSIVE
        with self.writing(outputs, of=workflow_of(kind, serial), locking=locking) as access:
            replayed = request.replayed(access, kind)
            if replayed is not None:
                return replayed
            after = self.change_of_caller(access, kind, serial, change)
            request.put(access, after, self._now())
            return after

    def change_of_caller(self, access: Access, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        """Change a record within a transaction as its caller may, and give it as it is then."""
        return self.change(access, _changeable(access, kind, serial, change), change)

    def _outputs_to_be_done(self, serial: int, change: Change) -> Any:
        """Give the outputs with which a job is done after a change, or ``None`` where it is not, or cannot be made."""
        pointers = {name for name in (*change.values, *change.removals) if name.startswith("/outputs")}
        state = change.values.get("/state")
        if not (pointers or state) or (state is not None and state != JobState.DONE.value):
            return None
        if state and pointers == {"/outputs"}:
            return change.values.get("/outputs")
        try:
            after = self._read(lambda access: apply(access.get(Job, serial), change))
        except XFWorkerError:
            return None  # said when it is to be changed
        return after.outputs if after.state is JobState.DONE else None

    def check_update(self, kind: type[RecordT], serial: int, change: Change) -> None:
        """Raise what :meth:`update` would raise about a record and its change, and change nothing."""
        check_change(kind, serial, change)
        self._read(lambda access: changed(access, _changeable(access, kind, serial, change), change, self._now()))

    def output_values(self, sequence: ParameterSequence) -> list[OutputValue]:
        """Give the values of a sequence in sort order."""

        def values(access: Access) -> list[OutputValue]:
            access.get(Task, sequence.task_serial)
            return list(access.transaction.output_values(sequence))

        return self._read(values)

    def combined_query(self, query: CombinedQuery) -> dict[str, list[Record]]:
        """Answer several questions at once."""
        return self._read(lambda access: answer(access, query))

    def entity_by_uuid(self, uuid: str) -> Entity:
        """Give the entity's record."""
        entities = self._read(
            lambda access: access.transaction.find(Entity, access.narrowed(Entity, {"uuid": uuid}), limit=1)
        )
        if not entities:
            raise RecordNotFound(f"there is no entity with UUID {uuid[:80]!a}")
        return entities[0]

    def file_token(self, scopes: Sequence[Scope]) -> AuthorizationToken:
        """Ask for the right to touch files."""

        def token(access: Access) -> AuthorizationToken:
            require_scopes(access, scopes)
            return make_token(
                access,
                scopes,
                signer=self._signer,
                url=self._options.files_url,
                now=self._now(),
                seconds=self._options.file_token_seconds,
            )

        return self._read(token)

    def board(self, workflow_serial: int) -> Board:
        """Give a workflow's runs and the cells of its jobs."""
        now = self._now()
        return self._read(lambda access: board_of(access, workflow_serial, now))

    def board_steps(self, workflow_serial: int) -> tuple[Step, ...]:
        """Give a workflow's active tasks with their types, each behind those whose outputs it uses."""
        return self._read(lambda access: steps_in_order(access, workflow_serial))

    def board_changes(self, workflow_serial: int, since: datetime) -> BoardChanges:
        """Give what changed about a workflow's board since some time (UTC)."""
        now = self._now()
        return self._read(lambda access: changes_of(access, workflow_serial, since, now))

    def global_config(self) -> dict[str, Any]:
        """Give the server's configuration as far as scripts may see it."""
        return self._read(lambda _: dict(self._options.global_config))

    def close(self) -> None:
        """Do nothing: the record store belongs to the platform."""

    def _read(self, question: Callable[[Access], Answer]) -> Answer:
        with self._records.transaction(write=False) as transaction:
            access = Access(self.principal, transaction)
            access.require_live()
            return question(access)

    @contextmanager
    def writing(
        self, outputs: Any = None, *, of: Reach = None, locking: Locking = Locking.EXCLUSIVE
    ) -> Iterator[Access]:
        """
        Begin a writing transaction of the caller.

        Args:
            outputs: Those of a job that is to be done; the files that they name are looked for before any lock.
            of: Which workflow alone it reaches.
            locking: What others are kept from.
        """
        results = StoredResults(None if self._options.files_elsewhere else self._files)
        results.look_up(outputs)
        results.begin_transaction()
        with self._records.transaction(of=of, locking=locking) as transaction:
            Sessions(self._signer, self._options).require_let_in(transaction, self.principal, self._now())
            yield Access(
                self.principal,
                transaction,
                outputs_must_fit=self._options.outputs_must_fit,
                most_spawned_jobs=self._options.most_spawned_jobs,
                files_may_wait=self._options.files_may_wait,
                missing_results=results.violations,
            )

    def insert(self, access: Access, record: RecordT) -> RecordT:
        """Store a new record, which was checked by ``check_json``, within a transaction, with what follows from it."""
        fresh = prepared(access, record, self._now())
        access.require_create(fresh)
        match = existing(access, fresh)
        if match is not None:
            return match
        if isinstance(fresh, Job):
            admit_spawned(access, fresh, self._now())
        stored = access.transaction.insert(fresh)
        if isinstance(stored, OWNED):
            set_owner(access.transaction, stored, self.principal)
        if isinstance(stored, Project) and self.principal.account_serial is not None:
            access.transaction.insert(
                ProjectMember(
                    project_serial=stored.serial, account_serial=self.principal.account_serial, role=MemberRole.OWNER
                )
            )
        if not isinstance(stored, _QUIET):
            log_creation(access, stored, self._now())
        after_creation(access, stored, self._now())
        return access.transaction.get(type(stored), stored.serial)

    def change(self, access: Access, before: RecordT, change: Change) -> RecordT:
        """Change a record within a transaction, with all that follows from it."""
        now = self._now()
        stops = asks_to_stop(access, before, change)
        change = without_stop(change) if stops else change
        after = changed(access, before, change, now)
        if stops:
            after, change = asked_to_stop(access, after, change, now)
        access.transaction.replace(after)
        if isinstance(after, Task):
            workflow = access.transaction.get(Workflow, after.workflow_serial)
            access.transaction.replace(
                attrs.evolve(workflow, occ_lock_version=workflow.occ_lock_version + change.bump, modified_at=now)
            )
        log_change(access, before, after, change, now)
        after_change(access, before, after, now)
        return access.transaction.get(type(after), after.serial)

    def _now(self) -> datetime:
        return self._clock.now()


def _changeable(access: Access, kind: type[RecordT], serial: int, change: Change) -> RecordT:
    """Give the record that is to be changed, if the caller may do that and knows the record as it is."""
    access.require_live(to_write=True)
    record = access.get(kind, serial)
    access.require_change(record)
    require_version(access, record, change)
    return record


def _require_fields(kind: type[Record], where: Mapping[str, Any] | None) -> None:
    unknown = sorted(set(where or {}) - {field.name for field in attrs.fields(kind)})
    if unknown:
        raise UsageError(f"{kind.noun} has no field {', '.join(unknown)} to search by")
