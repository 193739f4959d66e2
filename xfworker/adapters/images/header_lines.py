"""Headers that are lines of text before the pixels: MetaImage and NRRD share how they are located and read."""

import math
from pathlib import Path
from typing import Final

from xfworker.adapters.images.opening import open_to_read
from xfworker.domain.errors import ImageFormatError

MOST_HEADER_BYTES: Final = 1 << 22
"""A text header beyond this is none."""

_MOST: Final = 2**53


def read_lines(path: Path) -> tuple[bytes, bytes]:
    """Give the file's beginning, as far as a header can reach, twice: as it is, and ended by a line feed."""
    with open_to_read(path) as file:
        data = file.read(MOST_HEADER_BYTES)
    return data, data if data.endswith(b"\n") else data + b"\n"


def numbers(text: str, count: int, path: Path, field: str) -> list[float]:
    """
    Read numbers from a line.

    Raises:
        ImageFormatError: They are too few, too many, or no finite numbers.
    """
    try:
        values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ImageFormatError(f"expected {count} numbers, got {text[:80]!r}.", path=path, field=field)
    return values


def whole_numbers(text: str, count: int, path: Path, field: str, *, least: int = 0) -> list[int]:
    """
    Read integers from a line: sizes and counts of bytes.

    Raises:
        ImageFormatError: They are too few, too many, not integers, below ``least``, or more than a file can have.
    """
    values = numbers(text, count, path, field)
    if not all(value.is_integer() and least <= value < _MOST for value in values):
        raise ImageFormatError(f"{text[:80]!r} cannot be right.", path=path, field=field)
    return [int(value) for value in values]


def sibling(path: Path, name: str, field: str) -> Path:
    """
    Give the file that a header names beside itself.

    Raises:
        ImageFormatError: The name leads elsewhere.
    """
    if not name or name in {".", ".."} or any(character in name for character in "/\\:\0"):
        raise ImageFormatError(f"{name[:120]!r} is not the name of a file beside the header.", path=path, field=field)
    return path.with_name(name)
