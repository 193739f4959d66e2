"""Idempotency keys: a request that is sent twice is carried out once."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs

from xfworker.domain.change import Change
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import UsageError
from xfworker.domain.record import Record
from xfworker.domain.records import Job
from xfworker.services.platform.access import Access

RecordT = TypeVar("RecordT", bound=Record)


@attrs.define(frozen=True)
class IdempotentRequest:
    """
    A request under the caller's own key for it.

    Attributes:
        idempotency_key: The caller's key, ``None`` where there is none: then nothing is kept and nothing replayed. Two
            callers with one key do not meet.
        content: What is asked, so that a key that is used for two different requests is refused.
    """

    idempotency_key: str | None
    content: Sequence[Any] = attrs.field(repr=False)
    _digest: str = attrs.field(init=False)

    @_digest.default
    def _digest_of_content(self) -> str:
        # Made with the request, because that takes its time where much is sent, and locks are held later.
        if self.idempotency_key is None:
            return ""
        text = json.dumps(self.content, sort_keys=True, default=_as_json)
        return hashlib.sha256(text.encode()).hexdigest()

    def replayed(self, access: Access, kind: type[RecordT]) -> RecordT | None:
        """
        Give the record that the request led to before, or ``None`` where it is new.

        It is given as the caller may see it now. A script whose attempt has ended sees nothing any more; only the
        request that ended it is answered again, as it was answered, as long as no newer attempt has begun.

        Raises:
            UsageError: The key stands for another request.
            RecordNotFound: The caller may not see the record any more.
            LeaseLost: The script's attempt is over, by another request or another attempt.
        """
        entry = None if self.idempotency_key is None else access.transaction.entry(self._entry_key(access))
        if entry is None:
            return None
        if entry["digest"] != self._digest:
            raise UsageError(
                f"the idempotency key {self.idempotency_key!r} was used for another request; make a new key for "
                "each request"
            )
        if "ended_with" in entry:
            access.require_latest_attempt()
            return from_json(kind, entry["ended_with"])
        access.require_live()
        return access.get(kind, entry["serial"])

    def put(self, access: Access, record: Record, now: datetime) -> None:
        """Keep which record the request led to."""
        if self.idempotency_key is not None:
            entry: dict[str, Any] = {"serial": record.serial, "digest": self._digest}
            if isinstance(record, Job) and access.is_ended_own_job(record):
                entry["ended_with"] = to_json(record)
            access.transaction.put_entry(self._entry_key(access), entry, at=now)

    def _entry_key(self, access: Access) -> str:
        return f"wish:{access.principal.name}:{self.idempotency_key}"  # what stores hold since the first version


def _as_json(value: Any) -> Any:
    if isinstance(value, Record):
        return to_json(value)
    return attrs.asdict(value, recurse=False) if isinstance(value, Change) else str(value)
