"""Where pyramids of bricks are kept: copies of images in small cubes, which can be made again and so be dropped."""

from collections.abc import Iterator
from typing import Protocol

from xfworker.ports.image_codec import Pixels


class StoredPyramid(Protocol):
    """
    The bricks of one image, in volumes of one level each, in layers of bricks that lie beside each other.

    A layer appears when it is complete; every brick is checked when it is read. Safe for threads.
    """

    def has_layer(self, volume: str, layer: int) -> bool:
        """Return whether a layer is complete."""
        ...

    def write_layer(self, volume: str, layer: int, count: int, bricks: Iterator[Pixels]) -> None:
        """
        Keep a layer, replacing one that is there.

        Args:
            volume: The name of the level, such as ``0``.
            layer: Which layer along z.
            count: How many bricks it has.
            bricks: Its bricks row by row, each as it is.

        Raises:
            NotEnoughSpace: The disk is full; nothing of the layer is kept.
        """
        ...

    def read_brick(self, volume: str, layer: int, brick: int) -> bytes:
        """
        Read the bytes of a brick, little-endian in C order; of one whose voxels are all equal, those of one voxel.

        Raises:
            FileNotInStore: The layer is not there (any more).
            ChecksumMismatch: It is damaged; the layer was removed.
        """
        ...


class BrickStore(Protocol):
    """Pyramids under keys that say which content they are of."""

    def pyramid(self, key: str) -> StoredPyramid:
        """Give the pyramid of a content, which may have no layers yet; it counts as used now."""
        ...

    def make_room(self, key: str, byte_count: int) -> int:
        """
        Drop the pyramids that were used longest ago, as far as another needs their room within the store's limit.

        Args:
            key: The pyramid that is to grow, which stays.
            byte_count: How large it will be.

        Returns:
            How many bytes it may have, which are fewer than ``byte_count`` where all the room is not enough; nothing is
            dropped then.
        """
        ...
