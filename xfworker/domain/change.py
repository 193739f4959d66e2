"""
Changes to records, as intents that can be applied again to a fresher record.

A change names what it wants by JSON pointer (RFC 6901): ``/name`` or ``/metadata/error_message``. Below the top level
it reaches one level into object fields (metadata, inputs, outputs), so two writers of different keys of ``metadata``
never undo each other, and one composite value is never mixed from two.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
from attrs import define, field

from xfworker.domain.conversion import field_names, from_json, read_fields, to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.record import Record

RecordT = TypeVar("RecordT", bound=Record)

SERVER_FIELDS = frozenset({"serial", "occ_lock_version", "created_at", "modified_at"})
"""Fields that only the server sets; a change that names them is refused, a difference in them is not a change."""

_MAX_DEPTH = 2
_SCALARS = frozenset({str, int, float, bool, type(None)})


@define(frozen=True, kw_only=True)
class Change:
    """
    What a caller wants different about one record.

    Attributes:
        values: New values by JSON pointer.
        removals: JSON pointers of keys to remove; removing an absent key is not an error.
        expected_version: The lock version that the caller saw, or ``None`` where the change may apply to any. For a
            task it is the version of its workflow.
        bump: Whether the lock version counts on. Progress and estimates do not bump, so they cause no conflicts.
    """

    values: dict[str, Any] = field(factory=dict)
    removals: tuple[str, ...] = ()
    expected_version: int | None = None
    bump: bool = True

    def __bool__(self) -> bool:
        return bool(self.values or self.removals)


def pointer(*keys: str) -> str:
    """Write keys as a JSON pointer."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def pointer_keys(text: str) -> tuple[str, ...]:
    """
    Read a JSON pointer of one or two keys.

    Raises:
        InvalidRecord: The string is not such a pointer.
    """
    if not text.startswith("/"):
        raise InvalidRecord(f"{text!r} is not a JSON pointer: it must start with '/'")
    keys = tuple(key.replace("~1", "/").replace("~0", "~") for key in text[1:].split("/"))
    if len(keys) > _MAX_DEPTH or not keys[0]:
        raise InvalidRecord(f"{text!r} is not a pointer to a field (/name) or to a key of a field (/metadata/key)")
    if keys[0] in SERVER_FIELDS or keys[0] == "extra":
        raise InvalidRecord(f"{text!r}: {keys[0]} is set by the server only")
    return keys


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """Give the change that leads from one JSON record to another, as fine as changes are."""
    values: dict[str, Any] = {}
    removals: list[str] = []
    for key in sorted(set(before) | set(after)):
        if key in SERVER_FIELDS:
            continue
        if key not in after:
            removals.append(pointer(key))
            continue
        old, new = before.get(key), after[key]
        if key in before and isinstance(old, Mapping) and isinstance(new, Mapping):
            values |= {
                pointer(key, name): item for name, item in new.items() if name not in old or not _same(old[name], item)
            }
            removals += [pointer(key, name) for name in old if name not in new]
        elif key not in before or not _same(old, new):
            values[pointer(key)] = new
    return Change(values=values, removals=tuple(removals))


def _same(old: Any, new: Any) -> bool:
    if type(old) is type(new) and type(old) in _SCALARS:
        return bool(old == new)
    # Python's == takes 1, 1.0 and True for equal; as JSON they differ.
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    numbers = isinstance(old, bool) == isinstance(new, bool) and isinstance(old, float) == isinstance(new, float)
    return numbers and bool(old == new)


def apply(record: RecordT, change: Change) -> RecordT:
    """
    Give the record with the change applied; the lock version is the caller's business.

    Raises:
        InvalidRecord: A pointer is wrong, or the result would not be a valid record.
    """
    after = _applied_to_touched(record, change)
    return _applied_to_all(record, change) if after is None else after


def _applied_to_touched(record: RecordT, change: Change) -> RecordT | None:
    """Apply a change by reading the fields that it touches alone; ``None`` where that does not give a valid record."""
    kind = type(record)
    names = {pointer_keys(text)[0] for text in (*change.values, *change.removals)}
    if not names <= field_names(kind):
        return None
    objects = {name: value for name in names if isinstance(value := getattr(record, name), dict)}
    fields: dict[str, Any] = {name: dict(value) for name, value in objects.items()}
    apply_to_json(fields, change)
    if not names <= fields.keys():
        return None
    try:
        return attrs.evolve(record, **read_fields(kind, fields))
    except (TypeError, ValueError):
        return None  # the other way says what is wrong, and where


def _applied_to_all(record: RecordT, change: Change) -> RecordT:
    kind = type(record)
    # Objects and arrays can be large, so they are neither copied nor looked through where the change does not reach in.
    large = {name for name in field_names(kind) if isinstance(getattr(record, name), dict | list)}
    light = attrs.evolve(record, **{name: type(getattr(record, name))() for name in large}, extra={})
    fields = {**record.extra, **to_json(light), **{name: getattr(record, name) for name in large}}
    reached = {keys[0] for keys in map(pointer_keys, (*change.values, *change.removals)) if len(keys) > 1}
    fields |= {name: dict(fields[name]) for name in reached if isinstance(fields.get(name), dict)}
    apply_to_json(fields, change)
    whole = {name: fields.pop(name) for name in list(fields) if _is_whole(record, name, large, fields[name])}
    after = from_json(kind, fields)
    extra = {name: whole.pop(name) for name in list(whole) if name not in large}
    return attrs.evolve(after, **whole, extra=extra)


def _is_whole(record: Record, name: str, large: set[str], value: Any) -> bool:
    """Return whether a field needs no further reading: it is an object or array as before, or a key nobody knows."""
    if name not in field_names(type(record)):
        return True
    if name not in large:
        return False
    if isinstance(getattr(record, name), dict):
        return isinstance(value, dict)
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def apply_to_json(fields: dict[str, Any], change: Change) -> None:
    """
    Apply the change to a record's JSON object, in place.

    Raises:
        InvalidRecord: A pointer is wrong.
    """
    for text, value in change.values.items():
        *parents, last = pointer_keys(text)
        _parent(fields, parents, text)[last] = value
    for text in change.removals:
        *parents, last = pointer_keys(text)
        _parent(fields, parents, text).pop(last, None)


def _parent(fields: dict[str, Any], parents: list[str], text: str) -> dict[str, Any]:
    if not parents:
        return fields
    target = fields.setdefault(parents[0], {})
    if target is None:
        target = fields[parents[0]] = {}
    if not isinstance(target, dict):
        raise InvalidRecord(f"{text!r}: {parents[0]} is not an object")
    return target
