"""Values that scripts compute, as the plain JSON that records are made of."""

from datetime import datetime
from typing import Any

from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.json_value import JsonWalk

_LONGEST_ARRAY = 100_000
_DEEPEST = 61
"""A record holds the value some levels deep."""


def plain_json(value: Any, what: str) -> Any:
    """
    Give the value as plain JSON that shares nothing with it: numpy scalars become numbers, tuples become
    lists, times RFC 3339 strings.

    Args:
        value: What a script wants to save.
        what: What it is, for messages: the path of the value begins with it.

    Raises:
        InvalidParameter: With every value that JSON cannot hold (``NaN``, an infinity, bytes, a path, an image) and its
            path.
    """
    walk = JsonWalk(deepest=_DEEPEST, unwrap=_unwrapped)
    plain = walk.plain(value, what)
    if walk.errors:
        raise InvalidParameter(f"cannot be saved as JSON: {'; '.join(walk.errors)}", walk.errors)
    return plain


def _unwrapped(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if type(value).__name__ == "UUID":
        return str(value)
    # numpy's scalars and arrays are known by what they can do, so that numpy need not be imported to save a string.
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        size = getattr(value, "size", 1)
        if size > _LONGEST_ARRAY:
            raise TypeError(f"an array of {size} values is too long for a record; upload it as a file")
        plain = value.tolist()
        if not isinstance(plain, complex | bytes) and type(plain) is not type(value):
            return plain
    raise TypeError(f"expected a JSON value, got {type(value).__name__} {repr(value)[:60]}")
