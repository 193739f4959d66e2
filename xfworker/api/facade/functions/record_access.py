"""How the functions of the module read, list, create and update records."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from xfworker.api.facade.connection import server_of
from xfworker.api.facade.job_context import check_fields
from xfworker.api.facade.record_dict import RecordDict, record_dict
from xfworker.domain.change import SERVER_FIELDS, Change, difference
from xfworker.domain.conversion import from_json
from xfworker.domain.errors import RecordConflict, UsageError
from xfworker.domain.record import Record
from xfworker.services.script.plain_json import plain_json

_MAX_DIGITS = 18
_MAX_SERIAL = 2**63 - 1


def checked_serial(value: Any, what: str) -> int:
    """
    Give a serial as a number; a string of digits is allowed, as documented.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    elif hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a numpy number
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_SERIAL:
        raise UsageError(f"{what} must be a serial (an integer above 0), not {value!r:.80}")
    return value


def checked_bool(value: Any, what: str) -> bool:
    """
    Give a bool.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(value, bool | int):
        return bool(value)
    raise UsageError(f"{what} must be True or False, not {value!r:.80}")


def get_record(conn: Any, kind: type[Record], serial: Any, what: str) -> RecordDict:
    """
    Give one record.

    Raises:
        RecordNotFound: There is none, or the job may not see it.
    """
    return record_dict(server_of(conn).get(kind, checked_serial(serial, what)))


def find_records(conn: Any, kind: type[Record], where: Mapping[str, Any] | None = None) -> list[RecordDict]:
    """List records by field values."""
    return [record_dict(record) for record in server_of(conn).find(kind, where)]


def create_record(conn: Any, kind: type[Record], fields: Any, what: str) -> RecordDict:
    """
    Store a new record. Fields that the server sets are left out, so that a record can be made of a copy of another.

    Raises:
        UsageError: ``fields`` is not a dict, or holds a name that is not a field.
        InvalidRecord: A field is missing or wrong.
    """
    server = server_of(conn)
    if not isinstance(fields, Mapping):
        raise UsageError(f"{what} takes the {kind.noun} as a dict, not {fields!r:.80}")
    own = {key: value for key, value in fields.items() if key not in SERVER_FIELDS}
    check_fields(kind, fields.came if isinstance(fields, RecordDict) else {}, own, what)
    return record_dict(server.create(from_json(kind, plain_json(own, kind.noun))))


def update_record(
    conn: Any,
    kind: type[Record],
    record: Any,
    values: Mapping[str, Any],
    what: str,
    *,
    bump: bool = True,
    expected_version: Any = None,
) -> RecordDict:
    """
    Save a record by compare-and-set.

    Of a record that came from one of these functions only what differs from how it came is sent, of any other dict all
    that it holds.

    Args:
        conn: The connection.
        kind: The class of the record.
        record: The record as the caller knows it, with ``serial`` and ``occ_lock_version``.
        values: Fields to be put in place of the record's.
        what: The function, for messages.
        bump: Whether the lock version counts on.
        expected_version: The version that guards the record, where that is not its own.

    Returns:
        The record as the server has it then.

    Raises:
        RecordConflict: The record moved on; the error carries the record as it is and as it was to be.
        UsageError: A name is not a field, or the record lacks its serial or version.
    """
    server = server_of(conn)
    if not isinstance(record, Mapping):
        raise UsageError(f"{what} takes the {kind.noun} as a dict, not {record!r:.80}")
    serial = checked_serial(record.get("serial"), f"{what}: {kind.noun}['serial']")
    if expected_version is None:
        expected_version = record.get("occ_lock_version")
    if isinstance(expected_version, bool) or not isinstance(expected_version, int):
        raise UsageError(f"{what}: the lock version must be an integer, not {expected_version!r:.80}")
    check_fields(kind, record, values, what)
    change = evolve(_change(kind, record, values), expected_version=expected_version, bump=bump)
    try:
        return record_dict(server.update(kind, serial, change))
    except RecordConflict as conflict:
        raise RecordConflict(
            f"{what}: {kind.noun} {serial} moved on since it was read (version {expected_version} was expected); "
            "read it again and repeat the change",
            current=conflict.current,
            attempted={**record, **values},
        ) from None


def _change(kind: type[Record], record: Mapping[str, Any], values: Mapping[str, Any]) -> Change:
    if isinstance(record, RecordDict):
        return record.edits(values)
    whole: dict[str, Any] = plain_json({**record, **values}, kind.noun)
    return difference({}, whole)
