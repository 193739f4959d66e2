"""The bit8 encoding of AIM masks: a byte holds 2 x 2 x 2 voxels, bit ``(z & 1) * 4 + (y & 1) * 2 + (x & 1)``."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xfworker.adapters.images.parallel import WORTHWHILE_BYTES, in_parallel
from xfworker.domain.errors import UnsupportedImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PAIR: Final = 0x0101
_MASK_VALUE: Final = 127
_AT_ONCE_BYTES: Final = 1 << 19
"""What is packed at once stays within a core's cache."""


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
    columns = blocks.shape[2]
    wide: npt.NDArray[np.uint16] = np.empty((blocks.shape[1], columns), np.uint16)
    pair: npt.NDArray[np.uint16] = np.empty_like(wide)
    shifted: npt.NDArray[np.uint16] = np.empty_like(wide)
    for plane in range(depth):
        at = plane + skip
        wide[:] = blocks[at // 2]
        for row in (0, 1):
            np.right_shift(wide, np.uint16((at & 1) * 4 + row * 2), out=pair)
            np.left_shift(pair, np.uint16(7), out=shifted)
            np.bitwise_or(pair, shifted, out=pair)
            np.bitwise_and(pair, np.uint16(_PAIR), out=pair)
            np.multiply(pair, np.uint16(value), out=pair)
            voxels = pair.astype("<u2", copy=False).view(np.uint8)
            count = (height - row + 1) // 2
            out[plane, row::2] = voxels[:count, :width]


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
        step = max(1, _AT_ONCE_BYTES // max(1, planes[:1].nbytes))
        groups = [planes[begin : begin + step] for begin in range(0, len(planes), step)]
        pieces: list[Bytes] = []
        for bits in (
            in_parallel(self._row_bits, groups) if len(voxels) > WORTHWHILE_BYTES else map(self._row_bits, groups)
        ):
            rows = bits if self._waiting is None else np.concatenate((self._waiting, bits))
            pairs = len(rows) // 2
            self._waiting = rows[2 * pairs :].copy() if len(rows) % 2 else None
            if pairs:
                both = rows[0 : 2 * pairs : 2] | rows[1 : 2 * pairs : 2] << np.uint8(4)
                pieces.append(both.reshape(-1))
        return pieces

    def finish(self) -> bytes:
        """Give the blocks of a last odd plane, and the byte that states the value of set voxels."""
        last = b"" if self._waiting is None else self._waiting.tobytes()
        return last + bytes([self._value or _MASK_VALUE])

    def _row_bits(self, planes: "Bytes") -> "Bytes":
        """Give the four bits of every block that one plane fills, for some planes: shape (planes, rows, columns)."""
        import numpy as np

        set_bits = _packed(planes)
        if not np.array_equal(set_bits, _packed(planes == np.uint8(self._value or 1))):
            raise UnsupportedImage(
                f"{self._path} cannot be written as bit8, which holds 0 and one other value; the voxels have more."
                " Write charCmp or int8, or threshold first."
            )
        count, height, width = set_bits.shape
        whole = set_bits
        if height % 2 or width % 2:
            whole = np.zeros((count, height + height % 2, width + width % 2), np.uint8)
            whole[:, :height, :width] = set_bits
        spread = np.take(_pairs_of_bits(), whole.view("<u2"))
        together = spread[:, 0::2] | spread[:, 1::2] << np.uint64(2)
        return together.view(np.uint8)[:, :, : (self._width + 1) // 2]

    def _find_value(self, planes: "Bytes") -> None:
        """Take the first set voxel's value for that of all; ``_row_bits`` checks it."""
        for plane in planes if self._value == 0 else ():
            largest = int(plane.max())
            if largest:
                self._value = largest
                return


def _packed(planes: "npt.NDArray[Any]") -> "Bytes":
    """Give a bit per voxel, 1 where it is not 0, rows beginning with a byte each."""
    import numpy as np

    if planes.shape[2] % 8 == 0:
        # One call over all is quicker than one a row.
        shape = (*planes.shape[:2], planes.shape[2] // 8)
        return np.packbits(planes.reshape(-1), bitorder="little").reshape(shape)
    return np.packbits(planes, axis=-1, bitorder="little")


@functools.cache
def _pairs_of_bits() -> "npt.NDArray[np.uint64]":
    """Give a table that spreads the sixteen bits of a row's voxels over eight bytes, two in each."""
    import numpy as np

    bits = np.arange(1 << 16, dtype=np.uint64)
    spread = np.zeros_like(bits)
    for at in range(8):
        spread |= ((bits >> np.uint64(2 * at)) & np.uint64(3)) << np.uint64(8 * at)
    return spread.astype("<u8")
