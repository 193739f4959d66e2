"""Integers in header fields and query parameters: decimal digits and nothing else."""

_MOST_DIGITS = 19


def read_digits(value: str | None, *, most: int = _MOST_DIGITS) -> int | None:
    """Give the integer, or ``None`` where the value is anything but 1 to ``most`` ASCII digits."""
    if value is None or not (value.isascii() and value.isdigit() and len(value) <= most):
        return None
    return int(value)
