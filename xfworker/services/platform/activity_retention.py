"""How long the activity log is kept: for ever, unless an installation chooses a number of days."""

from datetime import datetime, timedelta

from attrs import define

from xfworker.domain.records import ActivityEvent
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore, RecordTransaction
from xfworker.services.platform.options import PlatformOptions

_ENTRY = "activity:retention"
_AT_ONCE = 1000
_MOST_ROUNDS = 50


@define(frozen=True, kw_only=True)
class ActivityState:
    """
    What the activity log holds.

    Attributes:
        events: How many events it has.
        since: When the oldest of them was written (UTC).
        kept_days: After how many days the server deletes them; ``None`` where it keeps them for ever.
    """

    events: int
    since: datetime | None
    kept_days: int | None

    def __str__(self) -> str:
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d}"
        kept = (
            "kept for ever (serve --activity-days bounds it)"
            if self.kept_days is None
            else f"deleted after {self.kept_days} days"
        )
        return f"activity log: {self.events:,} events{since}, {kept}"


def delete_old_events(records: RecordStore, clock: Clock, options: PlatformOptions, *, at_once: int = _AT_ONCE) -> int:
    """Delete the events that are older than an installation keeps them, a few at a time, and give how many."""
    with records.transaction(write=False) as transaction:
        kept_days = _kept_days(transaction)
    if kept_days != options.activity_days:
        with records.transaction(locking=Locking.ROWS) as transaction:
            transaction.put_entry(_ENTRY, {"days": options.activity_days})
    if options.activity_days is None:
        return 0
    moment = clock.now() - timedelta(days=options.activity_days)
    deleted = 0
    for _ in range(_MOST_ROUNDS):
        # Each in a transaction of its own, so that nobody waits for long.
        with records.transaction(locking=Locking.ROWS) as transaction:
            count = transaction.delete_events_before(moment, most=at_once)
        deleted += count
        if count < at_once:
            return deleted
    return deleted


def activity_state(records: RecordStore) -> ActivityState:
    """Give what the activity log holds."""
    with records.transaction(write=False) as transaction:
        oldest = transaction.find(ActivityEvent, limit=1)
        return ActivityState(
            events=transaction.count(ActivityEvent),
            since=oldest[0].created_at if oldest else None,
            kept_days=_kept_days(transaction),
        )


def _kept_days(transaction: RecordTransaction) -> int | None:
    return (transaction.entry(_ENTRY) or {}).get("days")
