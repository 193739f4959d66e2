"""All records as lines of JSON, in one snapshot: what backups are made of, the same for every database."""

import gzip
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, MetaData, Table, delete, insert, select, text

from xfworker.adapters.sql.counters import count_on, last_given, last_kept
from xfworker.adapters.sql.engine import WRITES
from xfworker.adapters.sql.tables import METADATA
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.domain.errors import ConfigurationError

_BATCH = 500
_VERSION = "occ_lock_version"


def write_rows(engine: Engine, target: IO[bytes]) -> int:
    """
    Write every row of every table as one JSON array a line, ``["jobs", {...}]``, and give how many.

    All come from one snapshot; writers go on meanwhile. PostgreSQL cannot tidy up what changes while a snapshot is
    held, which slows a busy queue down, so there the rows are first copied as they are to a file without a name, as
    fast as the server sends them; whatever ``target`` does with them comes after the snapshot.
    """
    if engine.dialect.name != "postgresql":
        with engine.connect() as connection, connection.begin():
            return _pass_on(_lines(connection), target)
    with tempfile.TemporaryFile() as copied:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                _copy(connection, copied)
        copied.seek(0)
        return _pass_on(copied, target)


def _pass_on(lines: Iterable[bytes], target: IO[bytes]) -> int:
    count = 0
    for line in lines:
        target.write(line)
        count += 1
    return count


def _copy(connection: Connection, copied: IO[bytes]) -> None:
    driver: Any = connection.connection.driver_connection
    for table in _present(connection):
        key = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        query = f"""SELECT json_build_array('{table.name}', row_to_json(t)) FROM "{table.name}" AS t ORDER BY {key}"""  # noqa: S608  names of the schema
        with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            for block in copy:
                # JSON has no tabs or line ends of its own; of what COPY escapes there are only backslashes.
                copied.write(bytes(block).replace(b"\\\\", b"\\"))


def read_rows(
    engine: Engine, source: IO[bytes], *, skipped: int = 0, meanwhile: Callable[[], None] = lambda: None
) -> int:
    """
    Replace every row of every table by what :func:`write_rows` wrote, in one transaction, and give how many.

    Workers, scripts and people may still go on with what was given since it was written. So neither lock versions nor
    serials are given again: versions go on behind those that may have been given, and serials behind those that the
    database gave. Where its counters are not those of what was written, nobody knows how far these came, and serials
    are skipped as well.

    Args:
        engine: The database.
        source: What was written.
        skipped: How many versions of one record, or serials of one table, may have been given since it was written.
        meanwhile: What is done while nobody else writes, before the rows are committed.

    Raises:
        ConfigurationError: A line is not what was written; nothing is changed.
    """
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            if engine.dialect.name == "postgresql":
                # Claims and heartbeats wait for no other lock.
                names = ", ".join(f'"{table.name}"' for table in METADATA.sorted_tables)
                connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
            given = last_given(connection)
            for table in METADATA.sorted_tables:
                connection.execute(delete(table))
            count = 0
            for name, rows in _batches(source):
                for row in rows:
                    if _VERSION in row:
                        row[_VERSION] += skipped
                connection.execute(insert(METADATA.tables[name]), rows)
                count += len(rows)
            written = last_kept(connection)
            if any(given[name] < last for name, last in written.items()):
                given = {name: max(given[name], last) + skipped for name, last in written.items()}
            count_on(connection, given)
            meanwhile()
    return count


def export_to_folder(engine: Engine, folder: Path, name: str) -> Path:
    """Write all rows to a new compressed file in a folder and give its path; it appears only when complete."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = folder / f"{name}-{stamp}.jsonl.gz"
    with replacing(target) as partial:
        partial.touch(mode=0o600, exist_ok=False)  # password hashes and the keys of tokens are in it
        with gzip.open(partial, "wb") as file:
            write_rows(engine, file)  # type: ignore[arg-type]  # a gzip file is written like any other
    return target


def _lines(connection: Connection) -> Iterator[bytes]:
    for table in _present(connection):
        key = list(table.primary_key.columns)
        result = connection.execution_options(yield_per=_BATCH).execute(select(table).order_by(*key))
        for row in result:
            yield json.dumps([table.name, dict(row._mapping)], ensure_ascii=False).encode() + b"\n"  # noqa: SLF001  public by its documentation


def _present(connection: Connection) -> list[Table]:
    """List the tables as they are, not as this version would have them: an export may come before an upgrade."""
    present = MetaData()
    present.reflect(connection)
    tables = (table for table in present.tables.values() if table.name != "alembic_version")
    return sorted(tables, key=lambda table: table.name)


def _batches(source: IO[bytes]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    name = ""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(source, 1):
        try:
            table, row = json.loads(line)
            known = set(METADATA.tables[table].columns.keys())
        except (ValueError, TypeError, KeyError):
            raise ConfigurationError(f"line {number} of the records is not what a backup holds") from None
        if not isinstance(row, dict) or not set(row) <= known:
            raise ConfigurationError(f"line {number} of the records does not fit this version's tables")
        if rows and (table != name or len(rows) >= _BATCH):
            yield name, rows
            rows = []
        name = table
        rows.append(row)
    if rows:
        yield name, rows
