"""The ``Range`` of a request (RFC 9110, section 14), as far as one range goes."""

import re

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")


class UnsatisfiableRange(ValueError):
    """The range begins behind the end of the file."""


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """
    Give start and end (exclusive) of the range, or ``None`` where the whole file is to be sent.

    What is malformed, in another unit, or several ranges at once is passed over, as the standard allows.

    Raises:
        UnsatisfiableRange: No byte of the file is in the range.
    """
    found = _ONE_RANGE.fullmatch(text) if text else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableRange
    return start, end
