"""Writing pictures as PNG, the format that every viewer shows."""

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xfworker.adapters.images.incomplete_image import PartialFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_UP_FILTER: Final = 2
_METRE_MM: Final = 1000
_ROWS_AT_ONCE: Final = 256
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}
"""PNG's numbers for grey, for red, green and blue, and for these with opacity."""


def write_png(path: Path, picture: "npt.NDArray[np.uint8]", *, pixel_mm: float | None = None) -> None:
    """
    Write a picture.

    Args:
        path: The file to appear.
        picture: As of ``png_bytes``.
        pixel_mm: As of ``png_bytes``.

    Raises:
        ImageError: The file cannot be written.
        NotEnoughSpace: The disk is full.
    """
    data = png_bytes(picture, pixel_mm=pixel_mm)
    partial = PartialFile(path)
    try:
        partial.write(data)
    except BaseException:
        partial.discard()
        raise
    partial.finish()


def png_bytes(picture: "npt.NDArray[np.uint8]", *, pixel_mm: float | None = None) -> bytes:
    """
    Give a picture as the content of a PNG file.

    Args:
        picture: Grey levels, shape (rows, columns), or red, green, blue and perhaps opacity, (rows, columns, 3 or 4).
        pixel_mm: Edge of a pixel in mm, kept in the file where given.
    """
    rows, columns = picture.shape[:2]
    depth = picture.shape[2] if picture.ndim > 2 else 1  # noqa: PLR2004 - in colours
    data = _SIGNATURE + _chunk(b"IHDR", struct.pack(">2I5B", columns, rows, 8, _COLOUR_TYPES[depth], 0, 0, 0))
    if pixel_mm is not None:
        per_metre = min(2**31 - 1, max(1, round(_METRE_MM / pixel_mm)))
        data += _chunk(b"pHYs", struct.pack(">2IB", per_metre, per_metre, 1))
    packer = zlib.compressobj(6)
    packed = [packer.compress(_filtered(picture, begin).data) for begin in range(0, rows, _ROWS_AT_ONCE)]
    return data + _chunk(b"IDAT", b"".join((*packed, packer.flush()))) + _chunk(b"IEND", b"")


def _filtered(picture: "npt.NDArray[np.uint8]", begin: int) -> "npt.NDArray[np.uint8]":
    """Give some rows as differences to the rows above them, each behind the number of that filter."""
    import numpy as np

    rows = picture[begin : begin + _ROWS_AT_ONCE].reshape(-1, picture[0].size)
    above = np.zeros_like(rows)
    above[1:] = rows[:-1]
    if begin:
        above[0] = picture[begin - 1].reshape(-1)
    result: npt.NDArray[np.uint8] = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    result[:, 0] = _UP_FILTER
    np.subtract(rows, above, out=result[:, 1:])
    return result


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
