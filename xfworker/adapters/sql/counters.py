"""The counters that give serials: none is given twice, even where its record is gone."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Function, Table, cast, func, select, text
from sqlalchemy.dialects.postgresql import REGCLASS

from xfworker.adapters.sql.tables import METADATA


def numbered() -> list[Table]:
    """List the tables whose records have serials."""
    return [table for table in METADATA.sorted_tables if "serial" in table.c]


def last_given(connection: Connection) -> dict[str, int]:
    """Give the last serial that each table ever gave, 0 where it gave none."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        given: dict[str, int] = {row.name: row.seq for row in rows}
        return {table.name: given.get(table.name, 0) for table in numbered()}
    counters = {table.name: func.pg_sequence_last_value(cast(_counter(table), REGCLASS)) for table in numbered()}
    row = connection.execute(select(*counters.values())).one()
    return {name: last or 0 for name, last in zip(counters, row, strict=True)}


def last_kept(connection: Connection) -> dict[str, int]:
    """Give the last serial of the records that are there, for each table, 0 where there are none."""
    return {table.name: connection.execute(select(func.max(table.c.serial))).scalar_one() or 0 for table in numbered()}


def count_on(connection: Connection, last: Mapping[str, int]) -> None:
    """Let the next serials come behind those that were inserted, and behind others that were given, table by table."""
    kept = last_kept(connection)
    for table in numbered():
        serial = max(kept[table.name], last[table.name])
        if not serial:
            continue
        if connection.dialect.name == "sqlite":
            values = {"name": table.name, "last": serial}
            changed = connection.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), values)
            if not changed.rowcount:
                connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
        else:
            connection.execute(select(func.setval(_counter(table), serial)))


def _counter(table: Table) -> Function[Any]:
    return func.pg_get_serial_sequence(table.name, "serial")
