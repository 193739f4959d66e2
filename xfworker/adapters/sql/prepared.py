"""
Statements that are put together once and run on the driver itself.

To build a statement, and to hand it and its rows through SQLAlchemy, costs several times what the database takes to
run it. On a server of its own (PostgreSQL) each statement is a round trip as well; so what nothing is read from waits
for the next one that something is read from, and travels with it. Who listens to the engine's statements hears of all.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any, cast

from attrs import define, field
from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.encoded import encoded_columns
from xfworker.adapters.sql.tables import TABLES
from xfworker.domain.records import Job

_KEY = "requested_serial"

Shape = tuple[tuple[str, int], ...]
"""The fields that are searched by, each with how many values it may have (0 where it must be null)."""


@define(frozen=True)
class _Text:
    """
    A statement as a driver takes it.

    Attributes:
        text: The SQL.
        names: Its parameters in the order in which they stand in it, where the driver numbers them; else ``None``.
        constants: The values of those that are always the same.
    """

    text: str
    names: tuple[str, ...] | None
    constants: Mapping[str, Any]

    def parameters(self, values: Mapping[str, Any]) -> Any:
        if self.names is None:
            return {**self.constants, **values}
        return [values[name] if name in values else self.constants[name] for name in self.names]


@define(frozen=True, eq=False)
class Prepared:
    """
    A statement that is run again and again.

    Attributes:
        statement: The statement.
        columns: What it writes, where it writes.
    """

    statement: Any
    columns: Sequence[str] | None = None
    _texts: dict[str, _Text] = field(factory=dict, init=False)

    def text_for(self, dialect: Dialect) -> _Text:
        """Give it as the driver of a database takes it."""
        text = self._texts.get(dialect.name)
        if text is None:
            compiled = self.statement.compile(dialect=dialect, column_keys=self.columns)
            names = tuple(compiled.positiontup) if compiled.positional else None
            text = self._texts[dialect.name] = _Text(str(compiled), names, dict(compiled.params))
        return text


class Runner:
    """Runs prepared statements on a connection on which a transaction has begun."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        # It is the driver's own: sqlite3.Connection or psycopg.Connection.
        self._driver: Any = connection.connection.driver_connection
        self._on_sqlite = connection.dialect.name == "sqlite"
        self._later: list[tuple[str, Any]] = []

    @property
    def dialect(self) -> Dialect:
        """What the database speaks."""
        return self._dialect

    @property
    def connection(self) -> Connection:
        """The connection, for statements that are made anew; what waits is sent first."""
        self.send()
        return self._connection

    def rows(self, prepared: Prepared, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Give the rows that it selects."""
        rows: Sequence[Sequence[Any]] = self._run(prepared, values).fetchall()
        return rows

    def insert(self, collection: str, values: Mapping[str, Any]) -> int:
        """Insert a row and give its serial."""
        if self._on_sqlite:
            return self._run(inserting(collection), values).lastrowid or 0
        (serial,) = self._run(inserting(collection, returning=True), values).fetchone()
        return int(serial)

    def replace(self, collection: str, serial: int, values: Mapping[str, Any]) -> int:
        """Write columns of a row, and give how many rows there were of it."""
        return self.count(replacing(collection, tuple(values)), {**values, _KEY: serial})

    def count(self, prepared: Prepared, values: Mapping[str, Any]) -> int:
        """Run a statement that writes, and give how many rows it wrote."""
        return int(self._run(prepared, values).rowcount)

    def replace_later(self, collection: str, serial: int, values: Mapping[str, Any]) -> None:
        """Write columns of a row that is there."""
        self.later(replacing(collection, tuple(values)), {**values, _KEY: serial})

    def insert_later(self, collection: str, values: Mapping[str, Any]) -> None:
        """Insert a row whose serial nobody asks for."""
        self.later(inserting(collection), values)

    def row(self, collection: str, serial: int, *, locked: bool = False) -> Sequence[Any] | None:
        """Give one row, or ``None``; locked against others until the transaction ends where that is asked for."""
        rows = self.rows(selecting_one(collection, locked=locked), {_KEY: serial})
        return rows[0] if rows else None

    def later(self, prepared: Prepared, values: Mapping[str, Any]) -> None:
        """Run a statement before the next one that something is read from, and before the transaction ends."""
        text = prepared.text_for(self._dialect)
        self.command_later(text.text, text.parameters(values))

    def command_later(self, text: str, parameters: Any = ()) -> None:
        """Do the same with the SQL of a statement."""
        if self._on_sqlite:  # which is no way off
            self._execute([(text, parameters)])
        else:
            self._later.append((text, parameters))

    def command(self, text: str) -> None:
        """Run the SQL of a statement."""
        self._execute([*self._taken(), (text, ())])

    def send(self) -> None:
        """Run what waits."""
        if self._later:
            self._execute(self._taken())

    def undo(self, savepoint: str) -> None:
        """Undo what was run since a savepoint began."""
        begun = (f"SAVEPOINT {savepoint}", ())
        if begun in self._later:
            del self._later[self._later.index(begun) :]
        elif not self._connection.invalidated:
            self._later.clear()
            self.command(f"ROLLBACK TO {begun[0]}")

    def _taken(self) -> list[tuple[str, Any]]:
        taken, self._later = self._later, []
        return taken

    def _run(self, prepared: Prepared, values: Mapping[str, Any]) -> Any:
        text = prepared.text_for(self._dialect)
        return self._execute([*self._taken(), (text.text, text.parameters(values))])

    def _execute(self, statements: Sequence[tuple[str, Any]]) -> Any:
        """Run statements, on a server in one round trip, and give the cursor of the last."""
        cursor: Any = None
        errors: Any = self._dialect.loaded_dbapi.Error
        listeners: Any = self._connection.dispatch
        if listeners.before_cursor_execute:
            for text, parameters in statements:
                listeners.before_cursor_execute(self._connection, None, text, parameters, None, False)  # noqa: FBT003  its signature
        try:
            with nullcontext() if len(statements) == 1 else self._driver.pipeline():
                for text, parameters in statements:
                    cursor = self._driver.execute(text, parameters)
        except errors as error:
            self._later.clear()
            raise self._own_error(error, statements[-1][0]) from error
        return cursor

    def _own_error(self, error: Exception, text: str) -> DBAPIError:
        errors: Any = self._dialect.loaded_dbapi.Error
        is_away = self._dialect.is_disconnect(error, self._driver, None)  # type: ignore[arg-type]  # it is the driver's
        if is_away:
            self._connection.invalidate(error)
        own = DBAPIError.instance(
            text, None, error, errors, connection_invalidated=is_away, dialect=self._dialect, hide_parameters=True
        )
        return cast("DBAPIError", own)


@cache
def selecting_one(collection: str, *, locked: bool = False) -> Prepared:
    table = TABLES[collection]
    statement = select(table).where(table.c.serial == bindparam(_KEY))
    return Prepared(statement.with_for_update() if locked else statement)


@cache
def inserting(collection: str, *, returning: bool = False) -> Prepared:
    table = TABLES[collection]
    statement: Any = insert(table)
    return Prepared(statement.returning(table.c.serial) if returning else statement.inline(), _written(table))


@cache
def replacing(collection: str, columns: tuple[str, ...]) -> Prepared:
    table = TABLES[collection]
    return Prepared(update(table).where(table.c.serial == bindparam(_KEY)), columns)


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
    statement = statement.where(*_conditions(table, shape))
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
    return Prepared(statement.with_for_update() if locked else statement)


@cache
def deleting(collection: str, shape: Shape) -> Prepared:
    """Give the statement that deletes records by field values; its parameters are named as in a search."""
    table = TABLES[collection]
    return Prepared(delete(table).where(*_conditions(table, shape)))


def _conditions(table: Table, shape: Shape) -> Iterator[ColumnElement[bool]]:
    for name, count in shape:
        column = table.c[name]
        values = [bindparam(f"{name}_{index}", type_=column.type) for index in range(count)]
        yield column.in_(values) if count > 1 else column == values[0] if count else column.is_(None)


def search_values(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Name the values that a field may have."""
    return {f"{name}_{index}": value for index, value in enumerate(values)}


def _written(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name != "serial"]
