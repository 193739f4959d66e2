"""Version numbers of packages: whole numbers with dots, compared as numbers, never as text."""

from collections.abc import Iterable

from xfworker.domain.errors import InvalidParameter

_MOST_DIGITS = 1000
"""Python reads and writes numbers of some thousand digits at most."""


def parse_version(version: str) -> tuple[int, ...]:
    """
    Read ``'1.10.7.0'`` as ``(1, 10, 7, 0)``.

    Raises:
        InvalidParameter: The text is not whole numbers with dots between.
    """
    parts = version.split(".") if isinstance(version, str) else []
    if not parts or not all(part.isascii() and part.isdigit() and len(part) <= _MOST_DIGITS for part in parts):
        raise InvalidParameter(f"{version!r:.80} is no version: it must be whole numbers with dots, such as '1.10.7.0'")
    return tuple(int(part) for part in parts)


def format_version(version: Iterable[int]) -> str:
    """
    Write ``(1, 10, 7, 0)`` as ``'1.10.7.0'``.

    Raises:
        InvalidParameter: A part is not a whole number of at least 0, or there is none.
    """
    parts = tuple(version)
    if not parts or not all(isinstance(part, int) and not isinstance(part, bool) and part >= 0 for part in parts):
        raise InvalidParameter(f"{parts!r:.80} is no version: it must be whole numbers of at least 0")
    if any(part >= 10**_MOST_DIGITS for part in parts):
        raise InvalidParameter(f"this is no version: its numbers have at most {_MOST_DIGITS} digits")
    return ".".join(str(part) for part in parts)
