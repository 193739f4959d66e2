"""What every record has."""

from datetime import datetime
from typing import Any, ClassVar

from attrs import define, field, fields


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Record:
    """
    What every record has.

    Two are equal where they are of one class and all fields are. That and the ``repr`` are written here once: attrs
    would make them anew for each class, and scripts wait for that.

    Attributes:
        serial: The server's number for the record; 0 before the server has seen it.
        occ_lock_version: Counts the changes that exclude each other (optimistic concurrency control).
        metadata: Free JSON object.
        created_at: When the server created the record (UTC).
        modified_at: When the record last changed (UTC).
        extra: Keys that this version does not know, kept as they came.
    """

    collection: ClassVar[str] = ""
    """The record's plural name on the wire: the last part of its URL."""
    noun: ClassVar[str] = "record"
    """What messages call it."""

    serial: int = 0
    occ_lock_version: int = 1
    metadata: dict[str, Any] = field(factory=dict)
    created_at: datetime | None = None
    modified_at: datetime | None = None
    extra: dict[str, Any] = field(factory=dict)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, item.name) == getattr(other, item.name) for item in fields(type(self)))

    __hash__ = None  # type: ignore[assignment]  # JSON objects have none

    def __repr__(self) -> str:
        shown = (f"{item.name}={getattr(self, item.name)!r}" for item in fields(type(self)) if item.repr)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __str__(self) -> str:
        return f"{self.noun} {self.serial}" if self.serial else f"new {self.noun}"

    @classmethod
    def a_noun(cls) -> str:
        """Give what messages call one of them: ``an entity``."""
        return f"{'an' if cls.noun[0] in 'aeiou' else 'a'} {cls.noun}"

    @classmethod
    def nouns(cls) -> str:
        """Give what messages call several of them: ``entities``."""
        return cls.collection.replace("-", " ")
