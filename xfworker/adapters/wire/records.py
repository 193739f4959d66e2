"""Messages about records: pages of them, and changes."""

from typing import Annotated, Any, ClassVar, Generic, TypeVar

from attrs import define, field

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Keywords
from xfworker.domain.change import Change

ItemT = TypeVar("ItemT")


@define(frozen=True, kw_only=True)
class Items(Message, Generic[ItemT]):
    """A list that is answered at once."""

    items: list[ItemT]


@define(frozen=True, kw_only=True)
class Page(Message, Generic[ItemT]):
    """
    A part of a list.

    Attributes:
        items: What is on it.
        next: The cursor of the page behind it, or ``None`` on the last.
    """

    items: list[ItemT]
    next: str | None


@define(frozen=True, kw_only=True)
class RecordChange(Message):
    """What is to be different, by JSON pointers of one or two keys."""

    closed: ClassVar[bool] = True

    expected_occ_lock_version: int | None = None
    bump_occ_lock_version: Annotated[bool, Keywords(default=True)] = True
    values: dict[str, Any] = field(factory=dict)
    removals: list[str] = field(factory=list)

    @classmethod
    def of_change(cls, change: Change, values: dict[str, Any]) -> "RecordChange":
        """Give the message of a change, with its values as JSON."""
        return cls(
            expected_occ_lock_version=change.expected_version,
            bump_occ_lock_version=change.bump,
            values=values,
            removals=list(change.removals),
        )

    def change(self) -> Change:
        return Change(
            values=self.values,
            removals=tuple(self.removals),
            bump=self.bump_occ_lock_version,
            expected_version=self.expected_occ_lock_version,
        )
