"""What can be kept of what callers send: checked before any lock is taken, because large values take their time."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from xfworker.domain.change import Change, pointer_keys
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.json_value import is_larger, json_violations
from xfworker.domain.record import Record

MOST_BYTES = 4 * 1024 * 1024
"""How much JSON each field of a record may hold, such as a job's outputs."""

_MOST_SHOWN = 20
_MOST_CHARACTERS = 65_536
# Every later job of the workflow sorts behind it, and so has a longer one.
_MOST_OF_SORT_ORDER = 1_000
_MAX_NUMBER = 2**63 - 1
_BEYOND = "the number is larger than a database can hold"


def check_json(record: Record) -> None:
    """
    Refuse a record with values that cannot be kept.

    Raises:
        InvalidRecord: With every error and its path.
    """
    name = str(record) if record.serial else record.noun
    _refuse(name, _too_large({**record.extra, **_objects(record)}))
    fields = to_json(record)
    _refuse(name, _too_long(fields))
    _refuse(name, [*json_violations(fields), *_beyond(fields)])


def check_change(kind: type[Record], serial: int, change: Change) -> None:
    """
    Refuse a change with values that cannot be kept.

    Raises:
        InvalidRecord: With every error and its path.
    """
    name = f"{kind.noun} {serial}"
    named = {".".join(pointer_keys(text)): value for text, value in change.values.items()}
    _refuse(name, [*_too_large(named), *_too_long(named)])
    violations = [violation for path, value in named.items() for violation in json_violations(value, path)]
    _refuse(name, [*violations, *_beyond(named)])


def check_size(record: Record, change: Change) -> None:
    """
    Refuse a record that grew too large by a change which is not too large itself.

    Raises:
        InvalidRecord: Naming the field.
    """
    reached = {keys[0] for keys in map(pointer_keys, change.values) if len(keys) > 1}
    _refuse(str(record), _too_large({name: value for name, value in _objects(record).items() if name in reached}))


def _objects(record: Record) -> dict[str, Any]:
    fields = ((field.name, getattr(record, field.name)) for field in attrs.fields(type(record)))
    return {name: value for name, value in fields if name != "extra" and isinstance(value, dict | list)}


def _too_large(values: Mapping[str, Any]) -> Iterator[str]:
    for path, value in values.items():
        if is_larger(value, MOST_BYTES):
            yield (
                f"{path}: is larger than the {MOST_BYTES >> 20} MiB of JSON that a field may hold; store it as a file "
                "(upload_output_file) and keep a reference to the file"
            )


def _too_long(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        most = _MOST_OF_SORT_ORDER if name == "sort_order" else _MOST_CHARACTERS
        if "." not in name and isinstance(value, str) and len(value) > most:
            yield f"{name}: has more than {most} characters"


def _beyond(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, int) and not -_MAX_NUMBER <= value <= _MAX_NUMBER:
            yield f"{name}: {_BEYOND}"


def _refuse(name: str, violations: Any) -> None:
    listed = list(violations)
    if listed:
        more = f"; and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
        raise InvalidRecord(f"{name}: " + "; ".join(listed[:_MOST_SHOWN]) + more, listed)
