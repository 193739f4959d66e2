"""Idempotency keys: a wish that is sent twice is granted once."""

import hashlib
import json
from typing import Any, TypeVar

from attrs import define

from xfworker.domain.errors import UsageError
from xfworker.domain.records import Record
from xfworker.ports.clock import Clock
from xfworker.services.platform.access import Access

RecordT = TypeVar("RecordT", bound=Record)


@define(frozen=True)
class Wish:
    """
    What a caller wants, under the caller's own name for it.

    Attributes:
        key: The caller's name; two callers with one name do not meet.
        content: The request, so that a name used for two different wishes is noticed.
    """

    key: str
    content: Any

    def granted(self, access: Access, kind: type[RecordT]) -> RecordT | None:
        """
        Give the record that the wish led to, or ``None`` where it is new.

        Raises:
            UsageError: The name stands for another wish.
        """
        note = access.transaction.remembered(self._place(access))
        if note is None:
            return None
        if note["digest"] != self._digest():
            raise UsageError(
                f"the idempotency key {self.key!r} was used for another request; make a new key for each wish"
            )
        return access.transaction.get(kind, note["serial"])

    def remember(self, access: Access, record: Record, clock: Clock) -> None:
        """Remember which record the wish led to."""
        access.transaction.remember(
            self._place(access), {"serial": record.serial, "digest": self._digest()}, at=clock.now()
        )

    def _place(self, access: Access) -> str:
        return f"wish:{access.principal.name}:{self.key}"

    def _digest(self) -> str:
        text = json.dumps(self.content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
