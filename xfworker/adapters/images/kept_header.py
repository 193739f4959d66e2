"""The header of a file as it is kept in the metadata of an image that came from it: bytes as JSON text."""

import base64
import binascii
import zlib
from typing import Any, Final

from xfworker.domain.errors import ImageError

MOST_BYTES: Final = 1 << 26
_PLAIN_BELOW: Final = 4096
_PACKED: Final = "zlib:"


def kept(data: bytes) -> str:
    """Give bytes as base64, compressed first (and marked so) when they are many."""
    if len(data) < _PLAIN_BELOW:
        return base64.b64encode(data).decode("ascii")
    return _PACKED + base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def restored(text: Any, what: str) -> bytes:
    """
    Give the bytes back.

    Raises:
        ImageError: The text is none that ``kept`` gave; ``what`` says in the message what it should be.
    """
    if not isinstance(text, str):
        raise ImageError(f"{what} is to be text in base64; it is {type(text).__name__}.")
    try:
        data = base64.b64decode(text.removeprefix(_PACKED), validate=True)
        if not text.startswith(_PACKED):
            return data
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(data, MOST_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise ImageError(f"{what} is not base64 that can be read: {error}.") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ImageError(f"{what} is cut short, or unpacks to more than {MOST_BYTES} bytes.")
    return plain
