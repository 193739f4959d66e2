"""Saving a change so that nobody's edit is lost: apply the same intent to a fresher record where it moved on."""

from collections.abc import Callable
from typing import TypeVar

from attrs import evolve

from xfworker.domain.change import Change, apply
from xfworker.domain.conversion import from_json
from xfworker.domain.errors import RecordConflict
from xfworker.domain.record import Record
from xfworker.ports.clock import Clock
from xfworker.ports.xf_server import XFServer
from xfworker.services.retry_policy import RetryPolicy

RecordT = TypeVar("RecordT", bound=Record)

_RETRY = RetryPolicy(
    on=(RecordConflict,), attempts=60, first_wait_seconds=0.01, longest_wait_seconds=0.25, jitter=1.0, logged=False
)
"""How often a change is tried before the conflict is the caller's. Of N writers one wins each round."""


def save_intent(
    server: XFServer,
    clock: Clock,
    kind: type[RecordT],
    serial: int,
    intent: Change,
    *,
    version_of: Callable[[RecordT], int | None] = lambda record: record.occ_lock_version,
) -> RecordT:
    """
    Apply a change by compare-and-set, again and again on the record as others left it, with jitter between.

    Args:
        server: Keeps the record.
        clock: Waits between attempts.
        kind: The class of the record.
        serial: Which record.
        intent: What to change, and the lock version that the caller saw.
        version_of: Gives the lock version that guards the record (for a task it is its workflow's).

    Returns:
        The record as it is then.

    Raises:
        RecordConflict: Others were quicker every time.
    """

    def always_late(conflict: RecordConflict) -> RecordConflict:
        return RecordConflict(
            f"saving {kind.noun} {serial}: others changed it {_RETRY.attempts} times in a row while this change was "
            "tried; try again when it is quieter",
            current=conflict.current,
            attempted=conflict.attempted,
        )

    retries = _RETRY.begin(clock, f"save {kind.noun} {serial}", exhausted=always_late)
    change = intent
    while True:
        try:
            return server.update(kind, serial, change)
        except RecordConflict as conflict:
            current = from_json(kind, conflict.current)
            if is_in_force(current, intent):
                # An earlier try of ours went through and only its answer was lost.
                return current
            retries.wait(conflict)
            change = evolve(intent, expected_version=version_of(current))


def is_in_force(record: Record, intent: Change) -> bool:
    """Return whether the record already is as the intent wants it."""
    return bool(intent) and apply(record, intent) == record
