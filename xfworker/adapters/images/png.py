"""Writing grey pictures as PNG, the format that every viewer shows."""

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xfworker.adapters.images.incomplete_image import PartialFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_UP_FILTER: Final = 2
_METRE_MM: Final = 1000


def write_png(path: Path, picture: "npt.NDArray[np.uint8]", *, pixel_mm: tuple[float, float] | None = None) -> None:
    """
    Write a grey picture.

    Args:
        path: The file to appear.
        picture: Grey levels 0 to 255, shape (rows, columns).
        pixel_mm: Width and height of a pixel in mm, kept in the file where given.

    Raises:
        ImageError: The file cannot be written.
    """
    import numpy as np

    rows, columns = picture.shape
    filtered: npt.NDArray[Any] = np.empty((rows, columns + 1), np.uint8)
    filtered[:, 0] = _UP_FILTER
    filtered[0, 1:] = picture[0]
    np.subtract(picture[1:], picture[:-1], out=filtered[1:, 1:])
    data = _SIGNATURE + _chunk(b"IHDR", struct.pack(">2I5B", columns, rows, 8, 0, 0, 0, 0))
    if pixel_mm is not None:
        per_metre = [min(2**31 - 1, round(_METRE_MM / step)) for step in pixel_mm]
        data += _chunk(b"pHYs", struct.pack(">2IB", *per_metre, 1))
    data += _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)) + _chunk(b"IEND", b"")
    partial = PartialFile(path)
    try:
        partial.write(data)
    except BaseException:
        partial.discard()
        raise
    partial.finish()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
