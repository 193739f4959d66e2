"""What the platform's own server needs to keep records."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from xfworker.domain.queries import OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import Record

RecordT = TypeVar("RecordT", bound=Record)


class RecordTransaction(Protocol):
    """
    A view of all records in which reads and writes belong together.

    What it writes is seen by others when its ``with`` block ends without an exception, all at once; else not at all.
    """

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """
        Give one record.

        Raises:
            RecordNotFound: There is none.
        """
        ...

    def find(
        self,
        kind: type[RecordT],
        where: Mapping[str, Any] | None = None,
        *,
        after: RecordT | None = None,
        limit: int | None = None,
    ) -> Sequence[RecordT]:
        """
        List records by field values, jobs by (sort order, serial), everything else by serial.

        Args:
            kind: The class of the records.
            where: The value each field must have, or a tuple of allowed values.
            after: Only what comes behind this record in that order.
            limit: At most so many.
        """
        ...

    def count(self, kind: type[Record], where: Mapping[str, Any] | None = None) -> int:
        """Count records by field values."""
        ...

    def insert(self, record: RecordT) -> RecordT:
        """Store a new record under the next serial of its kind and give it with that serial."""
        ...

    def replace(self, record: Record) -> None:
        """
        Store a changed record under its serial. The caller has read it in this transaction.

        Raises:
            RecordNotFound: There is none.
        """
        ...

    def delete(self, kind: type[Record], where: Mapping[str, Any]) -> int:
        """Remove records by field values and tell how many; only the platform's own bookkeeping is ever removed."""
        ...

    def output_values(self, sequence: ParameterSequence) -> Iterator[OutputValue]:
        """Give the values of a sequence: done jobs with the key, of runs that are not obsolete, in sort order."""
        ...

    def last_sort_order(self, workflow_serial: int) -> str | None:
        """Give the greatest sort order among the workflow's jobs."""
        ...

    def remembered(self, key: str) -> Mapping[str, Any] | None:
        """Give what was remembered under the key (idempotency keys, revoked tokens, settings)."""
        ...

    def remember(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember a JSON object under a key."""
        ...

    def forget(self, key: str) -> None:
        """Forget what was remembered under a key, if anything."""
        ...


class RecordStore(Protocol):
    """Keeps records. Writers exclude each other or are serialised; a transaction never sees half of another."""

    def transaction(self, *, write: bool = True) -> AbstractContextManager[RecordTransaction]:
        """
        Begin a transaction; it commits at the end of the ``with`` block and is undone by an exception.

        Args:
            write: Whether it may write. Readers do not wait for writers.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
