"""What a script needs of the XF Server: records, queries, file tokens, the activity log."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from xfworker.domain.change import Change
from xfworker.domain.record import Record

if TYPE_CHECKING:
    from xfworker.domain.files import AuthorizationToken, Scope
    from xfworker.domain.queries import CombinedQuery, OutputValue
    from xfworker.domain.queries import Sequence as ParameterSequence
    from xfworker.domain.records import Entity

RecordT = TypeVar("RecordT", bound=Record)


class XFServer(Protocol):
    """
    The server as one caller sees it: the caller's rights are part of the object.

    Every method raises :class:`~xfworker.domain.errors.AccessError` where the caller may not, and
    :class:`~xfworker.domain.errors.ServerError` where the server cannot be asked.
    """

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """
        Give one record.

        Raises:
            RecordNotFound: There is none, or the caller may not see it.
        """
        ...

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """
        List records whose fields have the given values, in the kind's natural order.

        Jobs come by sort order, then serial; everything else by serial. However many there are, the caller gets them
        all: paging is the adapter's business.

        Args:
            kind: The class of the records.
            where: Field names of the record and the value each must have, or a tuple of allowed values.
        """
        ...

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        """
        Store a new record and give it as the server made it (serial, times, lock version).

        Args:
            record: The record; its serial and times are ignored.
            idempotency_key: The caller's own name for this creation. A second call with the same key gives the record
                of the first and creates nothing. An adapter that retries makes one up where there is none.

        Raises:
            InvalidRecord: A field is wrong, or refers to a record that is not there.
        """
        ...

    def update(self, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        """
        Apply a change by compare-and-set and give the record as it is then.

        Raises:
            RecordConflict: The lock version moved on; ``current`` is the record (for a task conflict: the task) as it
                is now.
            IllegalTransition: The change of state is not allowed.
            InvalidParameter: A finished job's outputs do not fit its task type's interface.
            LeaseLost: The caller's attempt at the job is over.
        """
        ...

    def output_values(self, sequence: "ParameterSequence") -> "list[OutputValue]":
        """Give the values of a sequence in sort order: done jobs of runs that are not obsolete and have the key."""
        ...

    def combined_query(self, query: "CombinedQuery") -> dict[str, list[Record]]:
        """Answer several questions at once: a list of records for each asked part."""
        ...

    def entity_by_uuid(self, uuid: str) -> "Entity":
        """
        Give the entity's record.

        Raises:
            RecordNotFound: No entity has this UUID.
        """
        ...

    def file_token(self, scopes: "Sequence[Scope]") -> "AuthorizationToken":
        """
        Ask for the right to touch files.

        Raises:
            PermissionDenied: The caller may not do one of these; the message names it.
        """
        ...

    def global_config(self) -> dict[str, Any]:
        """Give the server's configuration as far as scripts may see it, such as ``default_sns_server``."""
        ...

    def close(self) -> None:
        """Let go of connections; the object is not used afterwards."""
        ...
