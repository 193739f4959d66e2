"""
Statements that are put together once and run on SQLite's driver itself.

To build a statement, and to hand it and its rows through SQLAlchemy, costs several times what SQLite takes to run it.
On a server of its own (PostgreSQL) the way there costs more than that, so there SQLAlchemy runs the same statements.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from attrs import define
from sqlalchemy import Connection, Table, bindparam, insert, select, tuple_, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.encoded import encoded_columns
from xfworker.adapters.sql.tables import TABLES
from xfworker.domain.records import Job

_DIALECT = sqlite.dialect(paramstyle="qmark")
_KEY = "requested_serial"

Shape = tuple[tuple[str, int], ...]
"""The fields that are searched by, each with how many values it may have (0 where it must be null)."""


@define(frozen=True)
class Prepared:
    """
    A statement, ready for both ways to run it.

    Attributes:
        statement: The statement.
        text: The same for SQLite.
        names: Its parameters in the order in which they stand in ``text``.
        constants: The values of those that are always the same.
    """

    statement: Any
    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, statement: Any, columns: Sequence[str] | None = None) -> "Prepared":
        """Prepare a statement, one that writes with the columns that it writes."""
        compiled = statement.compile(dialect=_DIALECT, column_keys=columns)
        return cls(statement, str(compiled), tuple(compiled.positiontup), dict(compiled.params))

    def on_driver(self, driver: sqlite3.Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Run it on SQLite's driver."""
        parameters = [values[name] if name in values else self.constants[name] for name in self.names]
        try:
            return driver.execute(self.text, parameters)
        except sqlite3.Error as error:
            raise cast("DBAPIError", DBAPIError.instance(self.text, None, error, sqlite3.Error)) from error


class Runner:
    """Runs prepared statements on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver: sqlite3.Connection | None = None
        if connection.dialect.name == "sqlite":
            self._driver = cast("sqlite3.Connection", connection.connection.driver_connection)

    def rows(self, prepared: Prepared, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Give the rows that it selects."""
        if self._driver is None:
            return self._connection.execute(prepared.statement, values).all()
        return prepared.on_driver(self._driver, values).fetchall()

    def insert(self, collection: str, values: Mapping[str, Any]) -> int:
        """Insert a row and give its serial."""
        prepared = inserting(collection)
        if self._driver is None:
            (serial,) = self._connection.execute(prepared.statement, values).inserted_primary_key or (0,)
            return int(serial)
        return prepared.on_driver(self._driver, values).lastrowid or 0

    def replace(self, collection: str, serial: int, values: Mapping[str, Any]) -> int:
        """Write columns of a row, which on SQLite are all of them, and give how many rows there were of it."""
        prepared = replacing(collection)
        values = {**values, _KEY: serial}
        if self._driver is None:
            return int(self._connection.execute(prepared.statement, values).rowcount)
        return prepared.on_driver(self._driver, values).rowcount

    def row(self, collection: str, serial: int, *, locked: bool = False) -> Sequence[Any] | None:
        """Give one row, or ``None``; locked against others until the transaction ends where that is asked for."""
        rows = self.rows(selecting_one(collection, locked=locked), {_KEY: serial})
        return rows[0] if rows else None


@cache
def selecting_one(collection: str, *, locked: bool = False) -> Prepared:
    table = TABLES[collection]
    statement = select(table).where(table.c.serial == bindparam(_KEY))
    return Prepared.of(statement.with_for_update() if locked else statement)


@cache
def inserting(collection: str) -> Prepared:
    table = TABLES[collection]
    return Prepared.of(insert(table), _written(table))


@cache
def replacing(collection: str) -> Prepared:
    table = TABLES[collection]
    statement = update(table).where(table.c.serial == bindparam(_KEY))
    return Prepared.of(statement, _written(table))


@cache
def finding(
    collection: str,
    shape: Shape,
    *,
    after: bool,
    limited: bool,
    locked: bool = False,
    encoded_by: str | None = None,
) -> Prepared:
    """
    Give the statement that lists records by field values; its parameters are named as :func:`search_values` does.

    Args:
        collection: The kind's.
        shape: What is searched by.
        after: Whether there is a last record of the page before (``after_order`` and ``after_serial``).
        limited: Whether there is a ``most``.
        locked: Whether the rows are locked against others until the transaction ends.
        encoded_by: The dialect of the database that gives the records encoded, or ``None`` for their columns.
    """
    table = TABLES[collection]
    columns = encoded_columns(collection, encoded_by) if encoded_by else table.c
    statement = select(*columns).select_from(table)
    for name, count in shape:
        column = table.c[name]
        values = [bindparam(f"{name}_{index}", type_=column.type) for index in range(count)]
        statement = statement.where(
            column.in_(values) if count > 1 else column == values[0] if count else column.is_(None)
        )
    serial = table.c.serial
    after_serial = bindparam("after_serial", type_=serial.type)
    if collection == Job.collection:
        order = table.c.sort_order
        position = tuple_(bindparam("after_order", type_=order.type), after_serial)
        statement = statement.order_by(order, serial)
        statement = statement.where(tuple_(order, serial) > position) if after else statement
    else:
        statement = statement.order_by(serial)
        statement = statement.where(serial > after_serial) if after else statement
    statement = statement.limit(bindparam("most")) if limited else statement
    return Prepared.of(statement.with_for_update() if locked else statement)


def search_values(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Name the values that a field may have."""
    return {f"{name}_{index}": value for index, value in enumerate(values)}


def _written(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name != "serial"]
