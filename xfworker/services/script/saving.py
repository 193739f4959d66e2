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

RecordT = TypeVar("RecordT", bound=Record)

MAX_ATTEMPTS = 60
"""How often a change is tried before the conflict is the caller's. Of N writers one wins each round."""

_FIRST_DELAY_SECONDS = 0.01
_LONGEST_DELAY_SECONDS = 0.5


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
    change = intent
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return server.update(kind, serial, change)
        except RecordConflict as conflict:
            current = from_json(kind, conflict.current)
            if is_in_force(current, intent):
                # An earlier try of ours went through and only its answer was lost.
                return current
            if attempt == MAX_ATTEMPTS:
                raise RecordConflict(
                    f"saving {kind.noun} {serial}: others changed it {MAX_ATTEMPTS} times in a row while this change "
                    "was tried; try again when it is quieter",
                    current=conflict.current,
                    attempted=conflict.attempted,
                ) from None
            change = evolve(intent, expected_version=version_of(current))
        clock.sleep(retry_delay_seconds(attempt))
    raise AssertionError  # the loop returns or raises


def is_in_force(record: Record, intent: Change) -> bool:
    """Tell whether the record already is as the intent wants it."""
    return bool(intent) and apply(record, intent) == record


def retry_delay_seconds(attempt: int) -> float:
    """Give a random wait that grows with the attempts, so that writers who met once do not meet again."""
    import random

    ceiling = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(attempt, 16))
    return random.uniform(0, ceiling)  # noqa: S311  jitter, not a secret
