"""Integers in header fields, paths and query parameters: decimal digits and nothing else."""

from collections.abc import Mapping
from typing import Any

_MOST_DIGITS = 19


def read_digits(value: str | None, *, most: int = _MOST_DIGITS) -> int | None:
    """Give the integer, or ``None`` where the value is anything but 1 to ``most`` ASCII digits."""
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= most):
        return None
    return int(value)


def read_integer(value: str) -> int | None:
    """Give the integer, which may have a minus sign, or ``None`` where the value is anything else."""
    number = read_digits(value.removeprefix("-"))
    return -number if number is not None and value.startswith("-") else number


def are_plain(path: str, parameters: Mapping[str, Any]) -> bool:
    """
    Return whether the integers that a web framework read out of a path are written there as integers are.

    Python reads ``1_0``, ``+10``, ``010`` and the digits of other scripts as 10 as well, and a path that two programs
    read differently passes rules of a proxy or a log that are about another record.
    """
    segments = path.split("/")
    for number in parameters.values():
        if isinstance(number, int):
            if str(number) not in segments:
                return False
            segments.remove(str(number))
    return True
