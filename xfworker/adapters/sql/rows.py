"""Records as rows and back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec

from xfworker.adapters.sql.tables import KINDS, field_forms
from xfworker.domain.conversion import format_time
from xfworker.domain.records import Record

RecordT = TypeVar("RecordT", bound=Record)

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def to_row(record: Record) -> dict[str, Any]:
    """Give the row of a record, without its serial where it has none yet."""
    row = {name: write(getattr(record, name)) for name, write in _writers(record.collection)}
    if not record.serial:
        del row["serial"]
    return row


def to_record(kind: type[RecordT], row: Mapping[str, Any]) -> RecordT:
    """Give the record of a row; what is in the database was checked when it came in."""
    return kind(**{name: read(row[name]) for name, read in _readers(kind.collection)})


def record_of(kind: type[RecordT], values: Sequence[Any]) -> RecordT:
    """Give the record of a row whose columns come in the order of the fields; what is behind them is passed over."""
    readers = _readers(kind.collection)
    return kind(**{name: read(value) for (name, read), value in zip(readers, values, strict=False)})


def column_value(kind: type[Record], name: str, value: Any) -> Any:
    """
    Give the value that a column is compared with.

    Raises:
        LookupError: The record has no such field, or it cannot be searched by.
    """
    form = field_forms(kind).get(name)
    if form is None or form[0] == "json":
        raise LookupError(f"{kind.__name__} cannot be searched by {name!r}")
    return None if value is None else dict(_writers(kind.collection))[name](value)


def read_json(encoded: str | None) -> Any:
    """Read a value from JSON."""
    return None if encoded is None else msgspec.json.decode(encoded)


def read_members(encoded: str) -> dict[str, msgspec.Raw]:
    """Give the members of a JSON object as they are written."""
    return _MEMBERS.decode(encoded)


def read_member(encoded: str, key: str) -> tuple[bool, Any]:
    """Give whether a JSON object has a key, and its value; all other values are only passed over."""
    member = read_members(encoded).get(key)
    return (False, None) if member is None else (True, msgspec.json.decode(member))


def write_json(value: Any) -> str | None:
    """Write a value as JSON."""
    return None if value is None else msgspec.json.encode(value).decode()


def _same(value: Any) -> Any:
    return value


def _value(value: Any) -> Any:
    return None if value is None else value.value if hasattr(value, "value") else str(value)


def _write_time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _read_time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).astimezone(UTC)


@cache
def _writers(collection: str) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    forms = {"json": write_json, "time": _write_time, "enum": _value}
    return tuple((name, forms.get(form, _same)) for name, (form, _) in field_forms(KINDS[collection]).items())


@cache
def _readers(collection: str) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple((name, _reader(form, cls)) for name, (form, cls) in field_forms(KINDS[collection]).items())


def _reader(form: str, cls: Any) -> Callable[[Any], Any]:
    match form:
        case "json":
            return read_json
        case "time":
            return _read_time
        case "enum":
            return lambda value: None if value is None else cls(value)
        case "bool":
            return lambda value: None if value is None else bool(value)
        case _:
            return _same
