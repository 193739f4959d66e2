"""Version numbers of packages: integers with dots, compared as numbers, never as strings."""

from collections.abc import Iterable

from xfworker.domain.errors import InvalidParameter

_MOST_DIGITS = 1000
"""Python reads and writes numbers of some thousand digits at most."""


def parse_version(version: str) -> tuple[int, ...]:
    """
    Read ``'1.10.7.0'`` as ``(1, 10, 7, 0)``.

    Raises:
        InvalidParameter: The string is not integers with dots between.
    """
    parts = version.split(".") if isinstance(version, str) else []
    if not parts or not all(part.isascii() and part.isdigit() and len(part) <= _MOST_DIGITS for part in parts):
        raise InvalidParameter(f"{version!r:.80} is not a version: it must be integers with dots, such as '1.10.7.0'")
    return tuple(int(part) for part in parts)


def format_version(version: Iterable[int]) -> str:
    """
    Write ``(1, 10, 7, 0)`` as ``'1.10.7.0'``.

    Raises:
        InvalidParameter: A part is not an integer of at least 0, or there is none.
    """
    parts = tuple(version)
    if not parts or not all(isinstance(part, int) and not isinstance(part, bool) and part >= 0 for part in parts):
        raise InvalidParameter(f"{parts!r:.80} is not a version: it must be integers of at least 0")
    if any(part >= 10**_MOST_DIGITS for part in parts):
        raise InvalidParameter(f"this is not a version: its numbers have at most {_MOST_DIGITS} digits")
    return ".".join(str(part) for part in parts)
