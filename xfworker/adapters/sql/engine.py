"""Connections to a database, set up so that transactions are what they say."""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from xfworker.domain.errors import ConfigurationError

WRITES = "xfworker_writes"
"""The execution option of a connection whose transaction may write."""

BEGINS_ITSELF = "xfworker_begins_itself"
"""The execution option of a connection whose transactions begin and end without SQLAlchemy."""

_POOL = 8
_OVERFLOW = 32
_BUSY_SECONDS = 30
_LOCK_MILLISECONDS = 30_000
_RESTED_AT = "xfworker_rested_at"
_RESTED_SECONDS = 10.0
_IDLE_MILLISECONDS = 60_000
_KEEPALIVES = {"idle": 30, "interval": 10, "count": 3}
"""After so many seconds, and how often, the other end of a connection is asked whether its computer is still there."""


def sqlite_url(path: Path) -> str:
    """Give the address of a SQLite database in a file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def open_engine(address: str, *, durable: bool = True) -> Engine:
    """
    Give the engine of a database.

    Args:
        address: ``sqlite:///path`` or ``postgresql://user:password@host/name``.
        durable: Whether what was answered outlives a power cut (SQLite); it always outlives the end of the process.

    Raises:
        ConfigurationError: The address is malformed or of another kind of database.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ConfigurationError("the address of the database looks like sqlite:///path or postgresql://...") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite(url, durable=durable)
    if backend in {"postgresql", "postgres"}:
        return _postgresql(url)
    raise ConfigurationError(f"records are kept in SQLite or PostgreSQL, not in {backend!r}")


def _sqlite(url: URL, *, durable: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("name the file of the SQLite database: sqlite:///path; for a trial use memory:")
    # Accounts and tokens are in it; SQLite gives its other files the rights of this one.
    with suppress(OSError):
        Path(url.database).touch(mode=0o600)
    engine = create_engine(
        url, pool_size=_POOL, max_overflow=_OVERFLOW, connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None}
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
            "cache_size=-65536",
            "temp_store=MEMORY",
            "mmap_size=268435456",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own BEGIN comes too late and too weak: a reader that becomes a writer could find the database
        # locked in the middle of its work.
        options = connection.get_execution_options()
        if not options.get(BEGINS_ITSELF, False):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES, False) else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_POOL,
        max_overflow=_OVERFLOW,
        isolation_level="READ COMMITTED",
        connect_args={
            "connect_timeout": 10,
            "application_name": "xfworker",
            # A database whose computer lost its power would be waited for for two hours.
            **{f"keepalives_{name}": value for name, value in _KEEPALIVES.items()},
        },
    )

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _: Any) -> None:
        # A process that is suspended in the middle of its work must not keep all others waiting.
        connection.execute(f"SET lock_timeout = {_LOCK_MILLISECONDS}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_MILLISECONDS}")
        # Nor may a computer that lost its power: its sessions, and the locks in them, would stay for two hours.
        for name, value in _KEEPALIVES.items():
            connection.execute(f"SET tcp_keepalives_{name} = {value}")
        connection.commit()

    @event.listens_for(engine, "checkin")
    def _rest(_: Any, record: Any) -> None:
        record.info[_RESTED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _try(connection: Any, record: Any, _: Any) -> None:
        # Whether it still leads anywhere is a round trip to ask, so one that was used a moment ago is not asked.
        if time.monotonic() - record.info.get(_RESTED_AT, time.monotonic()) > _RESTED_SECONDS:
            try:
                connection.execute("SELECT 1")
                connection.rollback()
            except connection.Error as error:
                raise DisconnectionError from error

    return engine
