"""Counts what a SQLite store is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xfworker.testing.contracts.worlds import DirectWorld


@contextmanager
def counted(world: DirectWorld) -> Iterator[list[str]]:
    """Give a list that every statement is added to, from its transaction's beginning to its end, within the block."""
    statements: list[str] = []
    # The connection that was used last is the one that is used next.
    with world.platform.records.transaction(write=False) as transaction:
        connection: Any = transaction._connection  # type: ignore[attr-defined]  # noqa: SLF001  what it is asked is no matter of the port
    driver = connection.connection.driver_connection
    driver.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        driver.set_trace_callback(None)
