"""Records as scripts hold them: dicts that keep their first content, so that a save sends only what differs."""

from collections.abc import Mapping
from typing import Any

from xfworker.domain.change import Change, apply_to_json, difference
from xfworker.domain.conversion import copied, to_json
from xfworker.domain.errors import UsageError
from xfworker.domain.record import Record
from xfworker.services.script.plain_json import plain_json


class RecordDict(dict[str, Any]):
    """
    A record as a plain ``dict`` with a memory.

    It reads, compares, copies and prints as the dict it is. A copy made with ``dict(record)`` has no memory.
    """

    __slots__ = ("_baseline",)

    _baseline: dict[str, Any]

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(copied(record))
        self._baseline = copied(record)

    @property
    def came(self) -> Mapping[str, Any]:
        """The record as it came."""
        return self._baseline

    def added(self) -> dict[str, Any]:
        """Give the fields that the record did not have when it came."""
        return {key: value for key, value in self.items() if key not in self._baseline}

    def edits(self, more: Mapping[str, Any] | None = None) -> Change:
        """
        Give what differs from the record as it came, with the values of ``more`` put instead of its own.

        Raises:
            InvalidParameter: A value cannot be saved as JSON.
            UsageError: The record was given another serial.
        """
        # What else the server sets may be put into the dict: copying a fresher record into it does that.
        came, serial = self._baseline.get("serial"), self.get("serial")
        if came is not None and serial != came:
            raise UsageError(
                f"this is the record {came}, but its serial was set to {serial!r:.80}; only the server sets it, so "
                "read the other record to change that one"
            )
        return difference(self._baseline, plain_json({**self, **(more or {})}, "record"))

    def take(self, fresh: Mapping[str, Any], *, saved: Change | None = None) -> None:
        """
        Become the fresh record, in place, so that whoever holds this dict or an object in it sees the fresh values.

        Args:
            fresh: The record as the server has it now.
            saved: What was just saved of the edits; edits beyond it are kept. ``None`` drops all edits.
        """
        target = copied(fresh)
        if saved is not None:
            apply_to_json(target, _beyond(self.edits(), saved))
        self._baseline = copied(fresh)
        _become(self, target)


def _become(own: dict[str, Any], fresh: Mapping[str, Any]) -> None:
    """Turn one dict into another such that who reads what both have, in another thread, finds it at every moment."""
    for key, value in fresh.items():
        held = own.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            _become(held, value)
        else:
            own[key] = value
    for key in [key for key in own if key not in fresh]:
        own.pop(key, None)


def record_dict(record: Record) -> RecordDict:
    """Give a record as scripts hold it."""
    return RecordDict(to_json(record))


def _beyond(edits: Change, saved: Change) -> Change:
    done = {*saved.values, *saved.removals}
    return Change(
        values={text: value for text, value in edits.values.items() if text not in done},
        removals=tuple(text for text in edits.removals if text not in done),
    )
