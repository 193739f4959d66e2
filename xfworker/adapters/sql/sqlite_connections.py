"""
Connections to SQLite that are kept between transactions.

To take a connection from a pool, have it begin and end a transaction by events and give it back costs several times
what SQLite takes for a record; so the same few are kept ready, and BEGIN and COMMIT go to the driver.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.engine import BEGINS_ITSELF

_MOST_KEPT = 8


class SqliteConnections:
    """The connections of one store, the one that was used last on top: what it read is still in its cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: deque[Connection] = deque()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Connection]:
        """Begin a transaction; it commits at the end of the ``with`` block and is undone by an exception."""
        connection = self._taken()
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        try:
            _run(driver, "BEGIN IMMEDIATE" if write else "BEGIN")
            yield connection
            _run(driver, "COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                driver.rollback()
            raise
        finally:
            self._give_back(connection, driver)

    def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            self._kept.pop().close()

    def _taken(self) -> Connection:
        with suppress(IndexError):
            return self._kept.pop()
        return self._engine.connect().execution_options(**{BEGINS_ITSELF: True})

    def _give_back(self, connection: Connection, driver: sqlite3.Connection) -> None:
        if connection.invalidated or driver.in_transaction or len(self._kept) >= _MOST_KEPT:
            connection.close()
        else:
            self._kept.append(connection)


def _run(driver: sqlite3.Connection, statement: str) -> None:
    try:
        driver.execute(statement)
    except sqlite3.Error as error:
        raise cast("DBAPIError", DBAPIError.instance(statement, None, error, sqlite3.Error)) from error
