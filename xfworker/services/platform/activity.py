"""The activity log: every change with who did it, what it was and when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xfworker.domain.change import Change
from xfworker.domain.records import ActivityEvent, Job, Record
from xfworker.services.platform.access import Access

RECORD_CHANGE = "RecordChange"
"""The type of the events that the server itself writes."""

SOURCE = "XFServer"
"""The source of the events that the server itself writes."""

_SHOWN_CHARACTERS = 200


def log_creation(access: Access, record: Record, now: datetime) -> None:
    """Log that the caller created a record."""
    log_event(access, f"created {record}", record, {"action": "created"}, now)


def log_change(access: Access, before: Record, after: Record, change: Change, now: datetime) -> None:
    """
    Log what the caller changed.

    Changes that do not bump the lock version (progress, estimates) are left out: a script makes one a second.
    """
    if change.bump:
        access.transaction.log(change_event(access, before, after, change, now))


def change_event(access: Access, before: Record, after: Record, change: Change, now: datetime) -> ActivityEvent:
    """Give the event of what the caller changed."""
    payload: dict[str, Any] = {
        "action": "changed",
        "fields": sorted({*change.values, *change.removals}),
        "values": {pointer: _formatted(value) for pointer, value in change.values.items() if _is_small(value)},
    }
    title = f"changed {after}"
    if isinstance(before, Job) and isinstance(after, Job) and before.state is not after.state:
        title = f"{after}: {before.state} to {after.state}"
        payload["state"] = [before.state.value, after.state.value]
    return _event(access, title, after, payload, now)


def log_event(
    access: Access, title: str, record: Record, payload: Mapping[str, Any], now: datetime, *, level: str = "INFO"
) -> None:
    """Write an event about a record."""
    access.transaction.log(_event(access, title, record, payload, now, level=level))


def _event(
    access: Access, title: str, record: Record, payload: Mapping[str, Any], now: datetime, *, level: str = "INFO"
) -> ActivityEvent:
    return ActivityEvent(
        title=title,
        level=level,
        type=RECORD_CHANGE,
        source=SOURCE,
        payload={"record": record.collection, "serial": record.serial, **payload},
        user=access.principal.name,
        job_serial=record.serial if isinstance(record, Job) else access.principal.job_serial,
        project_serial=access.project_of(record),
        created_at=now,
        modified_at=now,
    )


def _is_small(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _formatted(value: Any) -> Any:
    return value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value
