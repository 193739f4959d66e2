"""Savepoints that cost nothing where nothing is written, and on a server no round trip to begin."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define

from xfworker.adapters.sql.prepared import Runner


@define(eq=False)
class _Part:
    savepoint: str | None = None


class Savepoints:
    """The parts of a transaction that are undone alone, of which the last one begun is the innermost."""

    def __init__(self, runner: Runner, *, may_write: bool) -> None:
        self._runner = runner
        self._may_write = may_write
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
                self._runner.undo(part.savepoint)
            raise
        self._parts.pop()
        if part.savepoint is not None:
            # What was written in it fails here at the latest.
            self._runner.command(f"RELEASE SAVEPOINT {part.savepoint}")

    def before_write(self) -> None:
        """
        Begin the savepoints of all parts that have none yet; called before each statement that writes.

        Raises:
            RuntimeError: The transaction was begun to read.
        """
        if not self._may_write:
            # PostgreSQL would refuse it, SQLite would do it.
            raise RuntimeError("a reading transaction was asked to write")
        for depth, part in enumerate(self._parts):
            if part.savepoint is None:
                part.savepoint = f"part_{depth}"
                self._runner.command_later(f"SAVEPOINT {part.savepoint}")
