"""Opening image files for reading, and saying in a sentence why it did not work."""

from pathlib import Path
from typing import IO

from xfworker.domain.errors import ImageError

HEAD_BYTES = 4096
"""How many bytes a format may look at to recognise its files."""


def open_to_read(path: Path) -> IO[bytes]:
    """
    Open a file unbuffered.

    Raises:
        ImageError: It is absent, a folder, or not readable.
    """
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error


def head_of(path: Path) -> bytes:
    """Give the first bytes of a file, none for a folder; raises as ``open_to_read``."""
    if path.is_dir():
        return b""
    with open_to_read(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
