"""The record store over SQLite or PostgreSQL."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from xfworker.adapters.sql.derivations import KeptDerivations
from xfworker.adapters.sql.membership import Membership
from xfworker.adapters.sql.prepared import Runner
from xfworker.adapters.sql.readiness import Readiness, announce_ready
from xfworker.adapters.sql.server_locks import Owner, lock
from xfworker.adapters.sql.sqlite_connections import SqliteConnections
from xfworker.adapters.sql.transaction import SqlTransaction
from xfworker.domain.errors import NotEnoughSpace, ServerBusy, ServerFault, XFWorkerError
from xfworker.ports.record_store import Locking

_RETRY_AFTER_SECONDS = 2.0
_CROSSED = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATE of a transaction that others kept from going on, and that may be tried again."""
_CROSSED_RETRY_SECONDS = 0.2
_SHUTTING_DOWN = frozenset({"57P01", "57P02", "57P03"})
"""SQLSTATE of a PostgreSQL that stops, crashed or is still starting."""


class SqlRecordStore:
    """
    Keeps records in a database. Readers see a snapshot and wait for nobody.

    On SQLite, writers come one after the other; on PostgreSQL those of one workflow do.
    """

    def __init__(self, engine: Engine) -> None:
        """Take an engine whose database has the current schema; it is closed with the store."""
        self._engine = engine
        self._derivations = KeptDerivations()
        on_sqlite = engine.dialect.name == "sqlite"
        self._sqlite = SqliteConnections(engine) if on_sqlite else None
        self._membership = None if on_sqlite else Membership(engine)
        self._readiness = None if on_sqlite else Readiness(engine)
        self._ready_count = 0
        self._path = Path(engine.url.database or "") if on_sqlite else None
        self._file = _identity(self._path)
        # Writers of this process queue here, fairly, instead of trying SQLite's lock again and again.
        self._writer = threading.Lock() if on_sqlite else nullcontext()

    def __repr__(self) -> str:
        return f"SqlRecordStore({self._engine.url.render_as_string(hide_password=True)!r})"

    @property
    def engine(self) -> Engine:
        """The connections, for what looks at whole tables (backup, checks)."""
        return self._engine

    @contextmanager
    def transaction(
        self, *, write: bool = True, locking: Locking = Locking.EXCLUSIVE, of: Owner | None = None
    ) -> Iterator[SqlTransaction]:
        self._require_file()
        with self._writer if write else nullcontext(), _own_errors():
            of_database = (
                self._of_server(locking if write else None, of)
                if self._sqlite is None
                else self._sqlite.transaction(write=write)
            )
            with of_database as connection:
                may_write = write and locking is not Locking.SHARED
                runner = Runner(connection)
                transaction = SqlTransaction(runner, self._derivations, may_write=may_write)
                yield transaction
                if transaction.made_claimable and self._readiness is not None:
                    announce_ready(runner)
                runner.send()
            if transaction.made_claimable:
                self._note_claimable()

    def _note_claimable(self) -> None:
        self._ready_count += 1
        if self._readiness is not None:
            # Announcements take a moment; whoever was answered just now must not get less by asking again.
            self._readiness.note()

    def ready_count(self) -> int | None:
        return self._ready_count if self._readiness is None else self._readiness.count()

    def join(self, settings: Mapping[str, str]) -> bool:
        if self._membership is None:
            return True  # a lock on the data folder keeps others away
        with _own_errors():
            return self._membership.join(settings)

    @contextmanager
    def maintenance_turn(self) -> Iterator[bool]:
        if self._membership is None:
            yield True
            return
        with _own_errors(), self._membership.maintenance_turn() as has_turn:
            yield has_turn

    def close(self) -> None:
        if self._readiness is not None:
            self._readiness.close()
        if self._membership is not None:
            self._membership.close()
        if self._sqlite is not None:
            self._sqlite.close()
        self._engine.dispose()

    def _require_file(self) -> None:
        # An open file goes on under no name, and all that is written to it is lost when the server ends.
        if self._file != (identity := _identity(self._path)):
            what = "removed" if identity is None else "replaced"
            raise ServerFault(
                f"the database file {self._path} was {what} while the server ran, so nothing is written or read; stop "
                "the server, put the file back or restore a backup, and start it again"
            )

    @contextmanager
    def _of_server(self, locking: Locking | None, of: Owner | None) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            if locking is None:
                # One snapshot for all reads. A writer must not take its snapshot before it has its locks.
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            connection.begin()
            if locking is not None and not lock(Runner(connection), locking, of):
                connection.rollback()  # it must not wait for all records while it holds some
                connection.begin()
                lock(Runner(connection), locking, None)
            yield connection
            connection.commit()


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except XFWorkerError:
        raise
    except PoolTimeout:
        raise ServerBusy("all connections to the database are in use; try again in a moment") from None
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        if "disk is full" in reason or "No space left" in reason:
            raise NotEnoughSpace(f"the database has no room left: {reason}") from error
        if "locked" in reason or "too many clients" in reason:
            raise ServerBusy(f"the database is busy: {reason}") from error
        if getattr(error.orig, "sqlstate", None) in _CROSSED:
            raise ServerBusy(
                f"others write what this was to write: {reason}", retry_after_seconds=_CROSSED_RETRY_SECONDS
            ) from error
        if _is_away(error):
            raise ServerBusy(
                f"the database cannot be reached now: {reason}", retry_after_seconds=_RETRY_AFTER_SECONDS
            ) from error
        raise ServerFault(f"the database failed: {reason}") from error


def _is_away(error: DBAPIError) -> bool:
    """Return whether a database on another machine could not be asked, rather than refused what was asked."""
    if type(error.orig).__module__.partition(".")[0] == "sqlite3":
        return False
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or state in _SHUTTING_DOWN or (state or "").startswith("08"):
        return True
    return state is None and isinstance(error, OperationalError | InterfaceError)
