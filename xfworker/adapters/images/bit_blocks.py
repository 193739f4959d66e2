"""The bit8 encoding of AIM masks: a byte holds 2 x 2 x 2 voxels, bit ``(z & 1) * 4 + (y & 1) * 2 + (x & 1)``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xfworker.domain.errors import UnsupportedImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PAIR: Final = 0x0101
_MASK_VALUE: Final = 127


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
        pieces = []
        for plane in planes:
            bits = self._row_bits(plane)
            if self._waiting is None:
                self._waiting = bits
            else:
                np.left_shift(bits, np.uint8(4), out=bits)
                np.bitwise_or(bits, self._waiting, out=bits)
                pieces.append(bits)
                self._waiting = None
        return pieces

    def finish(self) -> bytes:
        """Give the blocks of a last odd plane, and the byte that states the value of set voxels."""
        last = b"" if self._waiting is None else self._waiting.tobytes()
        return last + bytes([self._value or _MASK_VALUE])

    def _row_bits(self, plane: "Bytes") -> "Bytes":
        """Give the four bits of every block that one plane fills."""
        import numpy as np

        self._check_values(plane)
        height, width = plane.shape
        padded: Any = np.zeros((height + height % 2, width + width % 2), np.uint8)
        np.not_equal(plane, 0, out=padded[:height, :width].view(np.bool_))
        pairs = padded.view("<u2").astype(np.uint16, copy=False)
        pairs |= pairs >> np.uint16(7)
        pairs &= np.uint16(3)
        bits = pairs.astype(np.uint8)
        result: Bytes = bits[0::2] | bits[1::2] << np.uint8(2)
        return result

    def _check_values(self, plane: "Bytes") -> None:
        import numpy as np

        largest = int(plane.max())
        if largest == 0:
            return
        if self._value == 0:
            self._value = largest
        if largest != self._value or not bool(np.all((plane == 0) | (plane == np.uint8(self._value)))):
            raise UnsupportedImage(
                f"{self._path} cannot be written as bit8, which holds 0 and one other value; the voxels have more."
                " Write charCmp or int8, or threshold first."
            )
