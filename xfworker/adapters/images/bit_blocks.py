"""The bit8 encoding of AIM masks: a byte holds 2 x 2 x 2 voxels, bit ``(z & 1) * 4 + (y & 1) * 2 + (x & 1)``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xfworker.adapters.images.parallel import in_parallel, parts
from xfworker.domain.errors import UnsupportedImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PAIR: Final = 0x0101
_MASK_VALUE: Final = 127
_WORD_BYTES: Final = 8
_AT_ONCE_BYTES: Final = 1 << 20
"""What is packed at once: with less, the calls cost more than the caches gain."""


def block_rows(size: tuple[int, ...]) -> tuple[int, int, int]:
    """Give the shape (z, y, x) of the blocks that hold a volume of size (x, y, z)."""
    x, y, z = (*size, 1, 1)[:3]
    return (z + 1) // 2, (y + 1) // 2, (x + 1) // 2


def expand_blocks(blocks: "Bytes", value: int, out: "Bytes", *, skip: int = 0) -> None:
    """
    Expand blocks into voxels.

    Args:
        blocks: Shape (z, y, x) of blocks.
        value: The value of set voxels, 1 to 255; others become 0.
        out: Shape (z, y, x) of voxels, uint8.
        skip: How many voxel planes of the first blocks to leave out: 0 or 1.
    """
    import numpy as np

    depth, height, width = out.shape
    wide: npt.NDArray[np.uint16] = np.empty((blocks.shape[1], blocks.shape[2]), np.uint16)
    pair: npt.NDArray[np.uint16] = np.empty_like(wide)
    for plane in range(depth):
        at = plane + skip
        if plane == 0 or at % 2 == 0:
            # Bit n also goes to bit n + 7: a row's two voxels then stand eight bits apart, a byte for each.
            pair[:] = blocks[at // 2]
            np.left_shift(pair, np.uint16(7), out=wide)
            np.bitwise_or(wide, pair, out=wide)
        for row in (0, 1):
            count = (height - row + 1) // 2
            np.right_shift(wide, np.uint16((at & 1) * 4 + row * 2), out=pair)
            np.bitwise_and(pair, np.uint16(_PAIR), out=pair)
            rows = out[plane, row::2]
            if width % 2 == 0 and sys.byteorder == "little":
                np.multiply(pair[:count], np.uint16(value), out=rows.view(np.uint16))
                continue
            np.multiply(pair, np.uint16(value), out=pair)
            rows[:] = pair.astype("<u2", copy=False).view(np.uint8)[:count, :width]


class BitBlocksEncoder:
    """
    Turns voxels into blocks, slab after slab; an odd plane at a slab's end waits for the next slab.

    Args:
        size: The volume's size (x, y, z).
        path: The file to be, for messages.
    """

    def __init__(self, size: tuple[int, ...], path: Path) -> None:
        self._width, self._height = (*size, 1, 1)[0], (*size, 1, 1)[1]
        self._path = path
        self._waiting: Bytes | None = None
        self._value = 0

    def encode(self, voxels: "Bytes") -> "list[Bytes]":
        """Give the blocks of all complete pairs of planes; ``voxels`` is uint8 in one dimension."""
        import numpy as np

        planes = voxels.reshape(-1, self._height, self._width)
        self._find_value(planes)
        pieces: list[Bytes] = []
        if self._waiting is not None and len(planes):
            pieces.append(self._blocks(np.concatenate((self._waiting, planes[:1]))))
            planes, self._waiting = planes[1:], None
        even = len(planes) - len(planes) % 2
        if even < len(planes):
            self._waiting = planes[even:].copy()
        pairs = parts(even // 2, planes[:2].nbytes)
        return pieces + in_parallel(self._blocks, [planes[2 * begin : 2 * end] for begin, end in pairs])

    def finish(self) -> bytes:
        """Give the blocks of a last odd plane, and the byte that states the value of set voxels."""
        last = b"" if self._waiting is None else self._blocks(self._waiting).tobytes()
        return last + bytes([self._value or _MASK_VALUE])

    def _blocks(self, planes: "Bytes") -> "Bytes":
        """Give the blocks of an even number of planes, or of one with zeros behind it, in one dimension."""
        import numpy as np

        depth, height, width = planes.shape
        blocks = np.empty(((depth + 1) // 2, (height + 1) // 2, (width + 1) // 2), np.uint8)
        columns = width + -width % _WORD_BYTES
        rows_at_once = max(2, _AT_ONCE_BYTES // (2 * columns) // 2 * 2)
        for begin in range(0, height, rows_at_once):
            rows = min(rows_at_once, height - begin)
            # Zeros stand where a last row, plane or word goes beyond the volume.
            is_set = np.zeros((2, rows + rows % 2, columns), np.bool_)
            joined = np.empty((len(is_set[0]) // 2, columns // _WORD_BYTES), np.uint64)
            shifted = np.empty_like(joined)
            for first in range(0, depth, 2):
                pair = planes[first : first + 2, begin : begin + rows]
                np.equal(pair, np.uint8(self._value or 1), out=is_set[: len(pair), :rows, :width])
                if _join(is_set, joined, shifted) != sum(map(np.count_nonzero, pair)):
                    raise self._third_value()
                low = joined.view(np.uint16)[:, : blocks.shape[2]]
                np.copyto(blocks[first // 2, begin // 2 : begin // 2 + len(low)], low, casting="unsafe")
        return blocks.reshape(-1)

    def _third_value(self) -> UnsupportedImage:
        return UnsupportedImage(
            f"{self._path} cannot be written as bit8, which holds 0 and one other value; the voxels have more."
            " Write charCmp or int8, or threshold first."
        )

    def _find_value(self, planes: "Bytes") -> None:
        """Take the first set voxel's value for that of all; ``_blocks`` checks it."""
        for plane in planes if self._value == 0 else ():
            largest = int(plane.max())
            if largest:
                self._value = largest
                return


def _join(is_set: "npt.NDArray[np.bool_]", joined: "npt.NDArray[np.uint64]", shifted: "npt.NDArray[np.uint64]") -> int:
    """
    Join the voxels of two planes into blocks, eight bytes at once; every voxel is a byte, 0 or 1. Gives how many are 1.

    Args:
        is_set: Shape (2, rows, columns), rows even, columns a multiple of 8.
        joined: Shape (rows / 2, columns / 8), for the result: the low byte of every 16 bits is a block.
        shifted: Room to work in, of the same shape.
    """
    import numpy as np

    words = is_set.view(np.uint64)
    two = np.uint64(2)
    np.left_shift(words[1, 1::2], two, out=joined)
    np.bitwise_or(joined, words[1, 0::2], out=joined)
    for rows in (words[0, 1::2], words[0, 0::2]):
        np.left_shift(joined, two, out=joined)
        np.bitwise_or(joined, rows, out=joined)
    # In a fourth of the bytes, where numpy counts bits (since 2.0).
    count = np.bitwise_count(joined).sum() if hasattr(np, "bitwise_count") else np.count_nonzero(is_set)
    # The odd column's bits stand in the byte behind the even one's (before it, where the highest byte comes first).
    if sys.byteorder == "little":
        np.right_shift(joined, np.uint64(7), out=shifted)
        np.bitwise_or(joined, shifted, out=joined)
    else:
        np.right_shift(joined, np.uint64(8), out=shifted)
        np.left_shift(joined, np.uint64(1), out=joined)
        np.bitwise_or(joined, shifted, out=joined)
    return int(count)
