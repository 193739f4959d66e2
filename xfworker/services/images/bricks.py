"""Levels of a volume in bricks of 64 x 64 x 64 voxels, of which any plane is read without the rest of its slices."""

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from xfworker.domain.image.pyramid import Counts
from xfworker.ports.brick_store import StoredPyramid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

BRICK: Final = 64
"""Voxels along each edge of a brick; those at the far ends of a volume are smaller."""


_KEEPING_BYTES: Final = 512


@define(repr=False)
class RecentBricks:
    """
    The bricks that were read last, for all volumes together; safe for threads.

    Attributes:
        limit_bytes: What they may take together.
    """

    limit_bytes: int
    _bricks: "OrderedDict[tuple[Any, ...], Pixels]" = field(factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: Any = field(factory=Lock, init=False)

    def get(self, key: tuple[Any, ...]) -> "Pixels | None":
        """Give a brick that was read a short while ago, or None."""
        with self._lock:
            brick = self._bricks.get(key)
            if brick is not None:
                self._bricks.move_to_end(key)
            return brick

    def put(self, key: tuple[Any, ...], brick: "Pixels") -> None:
        """Keep a brick, and drop those that were used longest ago."""
        with self._lock:
            if key not in self._bricks:
                self._bricks[key] = brick
                self._bytes += _kept_bytes(brick)
            while self._bytes > self.limit_bytes and self._bricks:
                self._bytes -= _kept_bytes(self._bricks.popitem(last=False)[1])


@define(frozen=True)
class BrickVolume:
    """
    One level of a pyramid in bricks.

    Attributes:
        key: The pyramid's key.
        stored: Where its bricks are kept.
        name: The level's name there.
        size: Voxels along x, y and z.
        dtype: The type of the voxels.
        recent: The bricks that were read last.
    """

    key: str
    stored: StoredPyramid
    name: str
    size: Counts
    dtype: "np.dtype[Any]"
    recent: RecentBricks

    @property
    def layers(self) -> int:
        """How many layers of bricks there are along z."""
        return bricks_along(self.size[2])

    @property
    def bricks_per_layer(self) -> int:
        """How many bricks a layer has."""
        return bricks_along(self.size[0]) * bricks_along(self.size[1])

    def has_layer(self, layer: int) -> bool:
        """Return whether a layer is complete."""
        return self.stored.has_layer(self.name, layer)

    @property
    def is_complete(self) -> bool:
        """Whether all layers are there."""
        return all(self.has_layer(layer) for layer in range(self.layers))

    def write_layer(self, layer: int, bands: "Iterator[Pixels]") -> None:
        """
        Keep a layer.

        Args:
            layer: Which along z.
            bands: Its voxels ``(z, y, x)`` in the order of bricks: rows of bricks, or parts of a row.

        Raises:
            NotEnoughSpace: The disk is full.
        """

        def bricks() -> "Iterator[Pixels]":
            for band in bands:
                for y in range(0, band.shape[1], BRICK):
                    for x in range(0, band.shape[2], BRICK):
                        yield band[:, y : y + BRICK, x : x + BRICK]

        self.stored.write_layer(self.name, layer, self.bricks_per_layer, bricks())

    def brick(self, z: int, y: int, x: int) -> "Pixels":
        """
        Give a brick by its place among bricks, as an array ``(z, y, x)`` that is only read.

        Raises:
            FileNotInStore: Its layer is not there (any more).
            ChecksumMismatch: It is damaged.
        """
        import numpy as np

        at = (self.key, self.name, z, y, x)
        known = self.recent.get(at)
        if known is not None:
            return known
        data = self.stored.read_brick(self.name, z, y * bricks_along(self.size[0]) + x)
        shape = tuple(
            min(BRICK, count - place * BRICK) for count, place in zip(self.size[::-1], (z, y, x), strict=True)
        )
        values = np.frombuffer(data, self.dtype.newbyteorder("<"))
        brick: Pixels = np.broadcast_to(values, shape) if len(values) == 1 else values.reshape(shape)
        self.recent.put(at, brick)
        return brick

    def box(self, slices: range, rows: range, columns: range) -> "Pixels":
        """
        Read some neighbouring voxels, shape ``(z, y, x)``, in the machine's byte order.

        Raises:
            FileNotInStore: A layer is not there (any more).
            ChecksumMismatch: A brick is damaged.
        """
        import numpy as np

        result: Pixels = np.empty((len(slices), len(rows), len(columns)), self.dtype)
        for z, to_z, from_z in _parts(slices):
            for y, to_y, from_y in _parts(rows):
                for x, to_x, from_x in _parts(columns):
                    result[to_z, to_y, to_x] = self.brick(z, y, x)[from_z, from_y, from_x]
        return result


def bricks_along(count: int) -> int:
    """Give how many bricks hold so many voxels of one axis."""
    return -(-count // BRICK)


def _parts(voxels: range) -> Iterator[tuple[int, slice, slice]]:
    """Give each brick along one axis that some voxels are in, and where they are: in the result, and in the brick."""
    for place in range(voxels.start // BRICK, bricks_along(voxels.stop)):
        begin, end = max(voxels.start, place * BRICK), min(voxels.stop, (place + 1) * BRICK)
        yield (
            place,
            slice(begin - voxels.start, end - voxels.start),
            slice(begin - place * BRICK, end - place * BRICK),
        )


def _kept_bytes(brick: "Pixels") -> int:
    # Of a brick of one value only that is in memory, and what keeps it.
    return _KEEPING_BYTES + int(brick.itemsize if 0 in brick.strides else brick.nbytes)
