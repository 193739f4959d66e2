"""What may be kept and sent as JSON: the same on every database and for every reader."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_DEPTH = 64


def json_faults(value: Any, path: str = "") -> Iterator[str]:
    """
    List what makes a value unfit to be kept as JSON, each with its path: ``outputs.mean: NaN is no JSON number``.

    NaN and infinities are no JSON (RFC 8259), and a number that a float cannot hold is none to most readers; a NUL or
    half of a surrogate pair in a text is refused by some databases and cannot be written as UTF-8; more than 64 levels
    are refused because readers refuse them.
    """
    yield from _faults(value, path or "$", 0)


def is_finite(number: float) -> bool:
    """Tell whether a number is one that a float can hold: readers of JSON take larger whole numbers for infinite."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def clean_text(text: str) -> str:
    """Give a text as it can be kept: NUL characters and halves of surrogate pairs become question marks."""
    return text.replace("\x00", "?").encode("utf-8", "replace").decode()


def _faults(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        yield f"{path}: more than {_MAX_DEPTH} levels deep"
    elif isinstance(value, str):
        yield from _text_faults(value, path)
    elif isinstance(value, int | float):
        yield from _number_faults(value, path)
    elif isinstance(value, Mapping):
        yield from _object_faults(value, path, depth)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _faults(item, f"{path}[{index}]", depth + 1)
    elif value is not None:
        yield f"{path}: a {type(value).__name__} is no JSON value"


def _number_faults(value: float, path: str) -> Iterator[str]:
    if isinstance(value, int):
        if not is_finite(value):
            yield f"{path}: a number of more than 308 digits is too large"
    elif not is_finite(value):
        yield f"{path}: {'NaN' if math.isnan(value) else 'an infinite number'} is no JSON number"


def _object_faults(value: Mapping[Any, Any], path: str, depth: int) -> Iterator[str]:
    for key, item in value.items():
        if not isinstance(key, str):
            yield f"{path}: the key {key!r} is no text"
            continue
        yield from _text_faults(key, path)
        yield from _faults(item, f"{path}.{key}" if path != "$" else key, depth + 1)


def _text_faults(text: str, path: str) -> Iterator[str]:
    if "\x00" in text:
        yield f"{path}: the text contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield f"{path}: the text contains half of a surrogate pair"
