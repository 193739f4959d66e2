"""Values that scripts compute, as the plain JSON that records are made of."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.json_value import is_finite

_LONGEST_ARRAY = 100_000
_DEEPEST = 60


def plain_json(value: Any, what: str) -> Any:
    """
    Give the value as plain JSON that shares nothing with it: numpy scalars become numbers, tuples become
    lists, times RFC 3339 texts.

    Args:
        value: What a script wants to save.
        what: What it is, for messages: the path of the value begins with it.

    Raises:
        InvalidParameter: With every value that JSON cannot hold (``NaN``, an infinity, bytes, a path, an image) and its
            path.
    """
    faults: list[str] = []
    plain = _plain(value, what, faults, 0)
    if faults:
        raise InvalidParameter(f"cannot be saved as JSON: {'; '.join(faults)}", faults)
    return plain


def _plain(value: Any, path: str, faults: list[str], depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return _primitive(value, path, faults)
    if depth > _DEEPEST:
        faults.append(f"{path}: is nested more than {_DEEPEST} deep (does it contain itself?)")
        return None
    if isinstance(value, Mapping):
        return dict(_members(value, path, faults, depth))
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]", faults, depth + 1) for index, item in enumerate(value)]
    return _plain(_unwrapped(value, path, faults), path, faults, depth + 1)


def _primitive(value: bool | float | str | None, path: str, faults: list[str]) -> Any:  # noqa: FBT001  a JSON value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value), path, faults)
    # Subclasses (numpy.float64, IntEnum) become the plain number that they are.
    return _number(int(value) if isinstance(value, int) else float(value), path, faults)


def _members(value: Mapping[Any, Any], path: str, faults: list[str], depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if not isinstance(key, str):
            faults.append(f"{path}: the key {key!r} is not a text")
            continue
        yield _text(key, path, faults), _plain(item, f"{path}.{key}", faults, depth + 1)


def _text(value: str, path: str, faults: list[str]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        faults.append(f"{path}: {ascii(value)[:80]} is not valid Unicode")
    if "\0" in value:
        faults.append(f"{path}: {ascii(value)[:80]} holds a NUL character")
    return value


def _number(value: float, path: str, faults: list[str]) -> float:
    if isinstance(value, int):
        if not is_finite(value):
            faults.append(f"{path}: a number of more than 308 digits is too large")
    elif not is_finite(value):
        faults.append(f"{path}: {value} is no JSON number; leave the output out or give None")
    return value


def _unwrapped(value: Any, path: str, faults: list[str]) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if type(value).__name__ == "UUID":
        return str(value)
    # numpy's scalars and arrays are known by what they can do, so that numpy need not be imported to save a text.
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        size = getattr(value, "size", 1)
        if size > _LONGEST_ARRAY:
            faults.append(f"{path}: an array of {size} values is too long for a record; upload it as a file")
            return None
        plain = value.tolist()
        if not isinstance(plain, complex | bytes) and type(plain) is not type(value):
            return plain
    faults.append(f"{path}: expected a JSON value, got {type(value).__name__} {repr(value)[:60]}")
    return None
