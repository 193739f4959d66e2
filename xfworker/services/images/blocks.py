"""Walking through a volume in blocks that fit into memory, with a halo of neighbouring slices if needed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import PixelReader

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any

BLOCK_BYTES: Final = 32 * 2**20
"""How much is read at once unless stated otherwise; some three of these live at a time."""


@attrs.frozen(eq=False)
class Block:
    """
    Some neighbouring slices of a volume.

    Attributes:
        start: The first slice that belongs to the block, along the slowest axis (z).
        stop: The slice after its last.
        pixels: The slices with the halo around them, shape ``(z, y, x)``.
        before: How many slices of ``pixels`` are halo in front of ``start``.
    """

    start: int
    stop: int
    pixels: Pixels
    before: int

    @property
    def inner(self) -> Pixels:
        """The slices that belong to the block, without the halo."""
        return self.pixels[self.before : self.before + self.stop - self.start]

    def inner_of(self, result: Pixels) -> Pixels:
        """Cut the halo off an array that was computed from ``pixels`` and has as many slices."""
        return result[self.before : self.before + self.stop - self.start]


def slices_per_block(info: ImageInfo) -> int:
    """Give how many slices a block has: at least one, an even number where possible (bit8 pairs them)."""
    count = max(1, BLOCK_BYTES // info.slab_byte_count)
    return count if count == 1 else min(count - count % 2, info.size[-1] + 1)


def blocks(reader: PixelReader, *, slices: int | None = None, halo: int = 0) -> Iterator[Block]:
    """
    Read a volume block after block.

    Args:
        reader: The open image.
        slices: Slices per block along the slowest axis; None for as many as fit some 32 MiB.
        halo: How many neighbouring slices to add on either side, where the volume has them.

    Yields:
        Blocks that together hold every slice once, in order.

    Raises:
        UsageError: ``slices`` is below 1 or ``halo`` below 0.
    """
    import numpy as np

    depth = reader.info.size[-1]
    slices = slices_per_block(reader.info) if slices is None else slices
    if slices < 1 or halo < 0:
        raise UsageError(f"Blocks of {slices} slices with a halo of {halo} make no sense; give at least 1 and 0.")
    for start in range(0, depth, slices):
        stop = min(start + slices, depth)
        first, last = max(0, start - halo), min(depth, stop + halo)
        # Into memory of its own: a large block read otherwise may count twice, as mapped file and as copy.
        room = np.empty((last - first, *reader.info.shape[1:]), np.dtype(reader.info.pixel_type.code))
        yield Block(start, stop, reader.read(first, last, room), start - first)
        del room
