"""
The processes that serve one PostgreSQL database, as sessions of it that hold a lock.

A session ends with its process, and its locks with it: nobody has to be told that a process died, and no clock is asked
who is still there.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.rows import read_json, write_json
from xfworker.adapters.sql.tables import ENTRIES
from xfworker.domain.errors import ConfigurationError

_SERVING = 0x78667701
"""Held by all who serve, together."""
_JOINING = 0x78667702
"""Held by one who begins to."""
_MAINTENANCE = 0x78667703
"""Held by the one whose turn at maintenance it is."""
_KEY = "server:settings"


class Membership:
    """This process among those that serve a database."""

    def __init__(self, engine: Engine) -> None:
        """Prepare; nothing is asked yet."""
        self._engine = engine
        self._session: Connection | None = None
        self._settings: Mapping[str, str] | None = None
        self._lock = threading.Lock()

    def join(self, settings: Mapping[str, str]) -> bool:
        """
        Serve from now on, and give whether nobody else does.

        Raises:
            ConfigurationError: Others serve with other settings; the message names them.
        """
        with self._lock:
            self._leave()
            self._settings = settings
            return self._joined()[1]

    @contextmanager
    def maintenance_turn(self) -> Iterator[bool]:
        """Give whether it is this process's turn at maintenance; then nobody else's while the block runs."""
        with self._lock:
            session, _ = self._joined()
            has_turn = _run(session, "SELECT pg_try_advisory_lock(:key)", _MAINTENANCE)
        try:
            yield has_turn
        finally:
            # Where the session has ended meanwhile, so has the lock.
            with self._lock, suppress(DBAPIError):
                if has_turn and self._session is session:
                    _run(session, "SELECT pg_advisory_unlock(:key)", _MAINTENANCE)

    def close(self) -> None:
        """Serve no longer."""
        with self._lock:
            self._leave()

    def _joined(self) -> tuple[Connection, bool]:
        """Give the session, and whether nobody else serves where it is a new one; one that was cut is replaced."""
        if self._session is not None and (self._session.invalidated or self._session.closed):
            self._leave()
        if self._session is not None:
            return self._session, False
        self._session = session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            session.detach()  # it is this process's for good, so the pool must not wait for it
            _run(session, "SELECT pg_advisory_lock(:key)", _JOINING)
            is_alone = _run(session, "SELECT pg_try_advisory_lock(:key)", _SERVING)
            if self._settings is not None and is_alone:
                _put(session, self._settings)
            elif self._settings is not None:
                _compare(_agreed(session), self._settings)
            _run(session, "SELECT pg_advisory_lock_shared(:key)", _SERVING)
            if is_alone:
                _run(session, "SELECT pg_advisory_unlock(:key)", _SERVING)
            _run(session, "SELECT pg_advisory_unlock(:key)", _JOINING)
        except BaseException:
            self._leave()
            raise
        return session, is_alone

    def _leave(self) -> None:
        if self._session is not None:
            with suppress(DBAPIError):
                self._session.close()
            self._session = None


def _agreed(session: Connection) -> Mapping[str, str]:
    value: Mapping[str, str] | None = read_json(
        session.execute(select(ENTRIES.c.value).where(ENTRIES.c.key == _KEY)).scalar_one_or_none()
    )
    return value or {}


def _put(session: Connection, settings: Mapping[str, str]) -> None:
    made = insert(ENTRIES).values(key=_KEY, value=write_json(dict(settings)))
    session.execute(made.on_conflict_do_update(index_elements=[ENTRIES.c.key], set_={"value": made.excluded.value}))


def _run(session: Connection, statement: str, key: int) -> bool:
    return session.execute(text(statement), {"key": key}).scalar_one() is True


def _compare(theirs: Mapping[str, str], own: Mapping[str, str]) -> None:
    differ = [
        f"{name} is {theirs.get(name, 'not known')} there and {own.get(name, 'not known')} here"
        for name in sorted({*theirs, *own})
        if theirs.get(name) != own.get(name)
    ]
    if differ:
        raise ConfigurationError(
            "other servers run on this database with other settings: " + "; ".join(differ) + "; start this one as they "
            "were started, or stop them all first"
        )
