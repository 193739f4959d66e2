"""Events in the activity log."""

from typing import Any, Dict

from xfworker.api.facade.connection import Connection, server_of
from xfworker.api.facade.record_dict import record_dict
from xfworker.domain.activity_log_level import ActivityLogLevel
from xfworker.domain.errors import UsageError
from xfworker.services.script.plain_json import plain_json


def create_activity_log_event(
    conn: Connection,
    title: str,
    *,
    level: ActivityLogLevel = ActivityLogLevel.INFO,
    type: str = "Message",
    source: str = "XamFlowTaskType",
    payload: dict = {},  # type: ignore[type-arg]  # documented as dict
) -> Dict[str, Any]:
    """
    Write an event into the activity log.

    Args:
        conn: The connection.
        title: What happened, in one line.
        level: How serious it is.
        type: What kind of event it is.
        source: What reports it.
        payload: Facts about it, as JSON.

    Returns:
        The event as the server keeps it, with the user and the job.

    Raises:
        UsageError: The title is empty, or a value is of the wrong type.
        InvalidParameter: The payload cannot be saved as JSON.
    """
    from xfworker.domain.records import ActivityEvent

    server = server_of(conn)
    if not isinstance(title, str) or not title.strip():
        raise UsageError(f"create_activity_log_event: an event needs a title, not {title!r:.80}")
    if not isinstance(type, str) or not isinstance(source, str):
        raise UsageError(f"create_activity_log_event: type and source are strings, not {type!r:.80} and {source!r:.80}")
    if not isinstance(payload, dict):
        raise UsageError(f"create_activity_log_event: the payload is a dict, not {payload!r:.80}")
    event = ActivityEvent(
        title=plain_json(title, "title"),
        level=_level(level),
        type=type,
        source=source,
        payload=plain_json(payload, "payload"),
    )
    return record_dict(server.create(event))


def _level(level: Any) -> str:
    try:
        return str(ActivityLogLevel(level).value)
    except ValueError:
        known = ", ".join(f"ActivityLogLevel.{member.name}" for member in ActivityLogLevel)
        raise UsageError(f"create_activity_log_event: the level is one of {known}, not {level!r:.80}") from None
