"""Searches in addresses: ``?state=Done&state=Failed&null=run_serial&limit=500&cursor=...``."""

import base64
import binascii
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, get_args

import attrs

from xfworker.adapters.wire.digits import read_digits, read_integer
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Record

PAGE = 1000
"""How many records a page holds unless fewer are asked for."""

_RESERVED = frozenset({"limit", "cursor", "null"})
_UNSEARCHABLE = (dict, list, datetime, float)
_MAX_INT = 2**63 - 1


def searchable_fields(kind: type[Record]) -> dict[str, Any]:
    """Give the fields of a record that can be searched by, with their types."""
    searchable: dict[str, Any] = {}
    for field in attrs.fields(attrs.resolve_types(kind)):
        origin = getattr(field.type, "__origin__", None)
        choices = [choice for choice in get_args(field.type) if choice is not type(None)] or [field.type]
        if origin in _UNSEARCHABLE or any(
            choice in _UNSEARCHABLE or getattr(choice, "__origin__", None) in _UNSEARCHABLE for choice in choices
        ):
            continue
        searchable[field.name] = choices[0]
    return searchable


def conditions(kind: type[Record], parameters: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """
    Read which values each field must have.

    Raises:
        UsageError: A field cannot be searched by, or a value is not of its type.
    """
    fields = searchable_fields(kind)
    allowed: dict[str, list[Any]] = {}
    for name, value in parameters:
        if name == "null":
            allowed.setdefault(_known(kind, fields, value), []).append(None)
        elif name not in _RESERVED:
            allowed.setdefault(_known(kind, fields, name), []).append(_value(name, fields[name], value))
    return {name: tuple(values) for name, values in allowed.items()}


def page_limit(value: str | None) -> int:
    """
    Read how many records a page may hold.

    Raises:
        UsageError: The number is not between 1 and 1000.
    """
    if value is None:
        return PAGE
    limit = read_digits(value)
    if limit is None or not 1 <= limit <= PAGE:
        raise UsageError(f"limit: expected a number from 1 to {PAGE}, got {value[:40]!a}")
    return limit


def cursor_after(position: tuple[str, int]) -> str:
    """Write the position of the last record on a page, for the next one."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[str, int] | None:
    """
    Read the position behind a record.

    Raises:
        UsageError: The cursor was not made by :func:`cursor_after`.
    """
    if cursor is None:
        return None
    try:
        order, serial = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        order.encode()  # half of a surrogate pair is nothing that a database could compare
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        order = serial = None
    if not isinstance(order, str) or type(serial) is not int or not 0 <= serial <= _MAX_INT or "\x00" in order:
        raise UsageError("cursor: use the 'next' of the page before, as it is")
    return order, serial


def _known(kind: type[Record], fields: dict[str, Any], name: str) -> str:
    if name not in fields:
        raise UsageError(f"{kind.nouns()} cannot be searched by {name[:60]!a}; fields are {', '.join(sorted(fields))}")
    return name


def _value(name: str, kind: Any, value: str) -> Any:
    if kind is str:
        if "\x00" in value:
            raise UsageError(f"{name}: the string contains a NUL character")
        return value
    if kind is bool:
        if value not in {"true", "false"}:
            raise UsageError(f"{name}: expected true or false, got {value[:40]!a}")
        return value == "true"
    if kind is int:
        number = read_integer(value)
        if number is None or abs(number) > _MAX_INT:
            raise UsageError(f"{name}: expected an integer, got {value[:40]!a}")
        return number
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{name}: expected one of {', '.join(kind)}, got {value[:40]!a}") from None
