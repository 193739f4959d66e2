"""Counts what a SQLite store is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from xfworker.testing.contracts.worlds import DirectWorld


@contextmanager
def counted(world: DirectWorld) -> Iterator[list[str]]:
    """Give a list that every statement is added to, from its transaction's beginning to its end, within the block."""
    statements: list[str] = []
    engine: Any = world.platform.records.engine  # type: ignore[attr-defined]  # the store is one over SQL

    def trace(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(statements.append)

    event.listen(engine, "checkout", trace)
    try:
        yield statements
    finally:
        event.remove(engine, "checkout", trace)
        with engine.connect() as connection:
            connection.connection.driver_connection.set_trace_callback(None)
