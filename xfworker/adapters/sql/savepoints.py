"""Savepoints that cost nothing where nothing is written: each is a round trip to begin and another to release."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define
from sqlalchemy import Connection, NestedTransaction


@define(eq=False)
class _Part:
    savepoint: NestedTransaction | None = None


class Savepoints:
    """The parts of a transaction that are undone alone, of which the last one begun is the innermost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: list[_Part] = []

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what the block writes where it ends by an exception."""
        part = _Part()
        self._parts.append(part)
        try:
            yield
        except BaseException:
            self._parts.pop()
            if part.savepoint is not None:
                part.savepoint.rollback()
            raise
        self._parts.pop()
        if part.savepoint is not None:
            part.savepoint.commit()

    def before_write(self) -> None:
        """Begin the savepoints of all parts that have none yet; called before each statement that writes."""
        for part in self._parts:
            if part.savepoint is None:
                part.savepoint = self._connection.begin_nested()
