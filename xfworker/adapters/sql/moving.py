"""Copies all rows of one database into another, batch by batch, so that a copy that was cut off goes on."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import define
from sqlalchemy import Connection, Engine, Table, create_engine, delete, func, insert, select

from xfworker.adapters.sql.counters import count_on, last_given
from xfworker.adapters.sql.engine import WRITES, open_engine
from xfworker.adapters.sql.tables import ENTRIES, METADATA
from xfworker.domain.errors import ConfigurationError, UsageError

MIGRATION = "migration"
"""The key of the entry that a database has while it holds part of another."""

_BATCH = 500


@define(frozen=True)
class TableContent:
    """
    What a table holds.

    Attributes:
        rows: How many.
        sha256: Digest over all rows in the order of their keys, as JSON.
    """

    rows: int
    sha256: str


def open_source(path: Path | None, address: str | None) -> Engine:
    """
    Open a database that is only read.

    Args:
        path: The file of a SQLite database.
        address: Its address, where it is not that file.

    Raises:
        ConfigurationError: The address is malformed.
    """
    if address is not None:
        return open_engine(address)
    assert path is not None
    journal = path.with_name(f"{path.name}-wal")
    # Opened as it is: neither its file nor its journal is changed, not even when it is closed. Where there is no
    # journal, none is made either.
    is_closed = not journal.exists() or not journal.stat().st_size
    return create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro{'&immutable=1' if is_closed else ''}&uri=true")


def claim_target(target: Engine, migration: Mapping[str, str]) -> bool:
    """
    Write into a database that it is being filled by a migration, and give whether this one had begun before.

    Raises:
        UsageError: The database holds records, or part of another migration.
    """
    with target.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            value = connection.execute(select(ENTRIES.c.value).where(ENTRIES.c.key == MIGRATION)).scalar_one_or_none()
            if value is not None:
                if json.loads(value) != dict(migration):
                    raise UsageError(
                        "the database holds part of another migration; go on with that one, or name an empty database"
                    )
                return True
            for table in METADATA.sorted_tables:
                if connection.execute(select(func.count()).select_from(table)).scalar_one():
                    raise UsageError("the database holds records already; name an empty one")
            connection.execute(insert(ENTRIES).values(key=MIGRATION, value=json.dumps(dict(migration))))
    return False


def release_target(target: Engine) -> None:
    """Write into a database that it holds all of the other: servers may use it."""
    with target.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            connection.execute(delete(ENTRIES).where(ENTRIES.c.key == MIGRATION))


def copy_rows(source: Engine, target: Engine, progress: Callable[[str, int], None]) -> None:
    """
    Copy the rows that the target does not have yet, table by table in the order of their keys.

    Args:
        source: What is copied; nobody may write to it meanwhile.
        target: Where to.
        progress: Called with a table's name and how many of its rows are there.
    """
    with source.connect() as reading:
        for table in METADATA.sorted_tables:
            with target.connect() as writing:
                last, count = _state(writing, table)
            for rows in _batches(reading, table, last):
                with target.connect() as writing:
                    writing.execution_options(**{WRITES: True})
                    with writing.begin():
                        writing.execute(insert(table), rows)
                count += len(rows)
                progress(table.name, count)
        with target.connect() as writing:
            writing.execution_options(**{WRITES: True})
            with writing.begin():
                count_on(writing, last_given(reading))


def contents(engine: Engine) -> dict[str, TableContent]:
    """Read every row, and give what each table holds but for the entry of a migration."""
    found: dict[str, TableContent] = {}
    with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            digest, count = hashlib.sha256(), 0
            for rows in _batches(connection, table, None):
                for row in rows:
                    digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
                    count += 1
            found[table.name] = TableContent(count, digest.hexdigest())
    return found


def _state(connection: Connection, table: Table) -> tuple[Any, int]:
    """Give the last key that a table holds and how many rows."""
    (key,) = table.primary_key.columns
    query = select(func.max(key), func.count()).select_from(table)
    row = connection.execute(query.where(key != MIGRATION) if table is ENTRIES else query).one()
    return row[0], row[1]


def _batches(connection: Connection, table: Table, last: Any) -> Iterator[list[dict[str, Any]]]:
    (key,) = table.primary_key.columns
    while True:
        query = select(table).order_by(key).limit(_BATCH)
        if table is ENTRIES:
            query = query.where(key != MIGRATION)
        if last is not None:
            query = query.where(key > last)
        rows = [dict(row) for row in connection.execute(query).mappings()]
        if not rows:
            return
        yield rows
        last = rows[-1][key.name]


def require_schema(engine: Engine, revision: str | None, newest: str) -> None:
    """
    Refuse a database of another schema than this version's.

    Raises:
        ConfigurationError: It has another one.
    """
    if revision != newest:
        address = engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(
            f"the database {address} has schema {revision}, this version {newest}; start and stop the server of this "
            "version on it once, which upgrades it"
        )
