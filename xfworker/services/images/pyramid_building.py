"""
Building the pyramid of a volume: from the front to the back, once, layer after layer.

A layer of a coarse level is made as soon as those below it are there, while they still are in the system's memory. What
is complete stays, so that building goes on where it ended. Memory does not grow with the volume.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from xfworker.domain.image.pyramid import Level
from xfworker.services.images.bricks import BRICK, BrickVolume, bricks_along
from xfworker.services.images.downsampling import shrunk
from xfworker.services.images.volume import Volume

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_BAND_BYTES: Final = 16 << 20
"""How much of the level below is read at once."""
_DECODED_BYTES: Final = 128 << 20
"""The same where slices are decoded whole: each further part decodes all of them again."""


@define(frozen=True)
class PyramidBuilder:
    """
    Builds the levels of one volume.

    Attributes:
        source: The volume.
        levels: The levels to keep, finest first; its first one is made from the source, each other from the one before.
        volumes: Where each is kept.
        is_labels: Whether the values are labels: of eight the commonest is taken instead of the mean.
    """

    source: Volume
    levels: Sequence[Level]
    volumes: Sequence[BrickVolume]
    is_labels: bool

    def build(self, pause: Callable[[float], None]) -> None:
        """
        Build what is missing.

        Args:
            pause: Called after each piece of work, with the part that is done, 0 to 1; it may raise to end.

        Raises:
            NotEnoughSpace: The disk is full.
            ImageFormatError: The image is shorter or otherwise than its header says.
        """
        layers = self.volumes[0].layers
        for layer in range(layers):
            self._build_layer(0, layer, _part_of(pause, layer, layers))
        # The last layers of coarse levels, whose other half lies behind the end.
        for number, volume in enumerate(self.volumes):
            for layer in range(volume.layers):
                self._build_layer(number, layer, lambda _: pause(1.0))

    def _build_layer(self, number: int, layer: int, pause: Callable[[float], None]) -> None:
        volume = self.volumes[number]
        if not volume.has_layer(layer):
            volume.write_layer(layer, self._bands(number, layer, pause))
        above = number + 1
        if layer % 2 and above < len(self.volumes):
            self._build_layer(above, layer // 2, pause)

    def _bands(self, number: int, layer: int, pause: Callable[[float], None]) -> "Iterator[Pixels]":
        level = self.levels[number]
        columns, rows, depth = level.size
        slices = range(layer * BRICK, min((layer + 1) * BRICK, depth))
        below = self.source if number == 0 else self.volumes[number - 1]
        factors = level.factors if number == 0 else self.levels[number - 1].halving_to(level)
        tall, wide = self._band_size(number, factors)
        for y in range(0, rows, tall):
            for x in range(0, columns, wide):
                ranges = (slices, range(y, min(y + tall, rows)), range(x, min(x + wide, columns)))
                box = below.box(*(_times(one, by) for one, by in zip(ranges, factors[::-1], strict=True)))
                yield box if factors == (1, 1, 1) else shrunk(box, factors, is_labels=self.is_labels)
                del box
                pause(min(1.0, (y + tall) / rows))

    def _band_size(self, number: int, factors: tuple[int, int, int]) -> tuple[int, int]:
        """Give how many rows and columns of a level are made at once: whole bricks, and only of one row in parts."""
        columns, rows, _ = self.levels[number].size
        brick_bytes = BRICK**3 * factors[0] * factors[1] * factors[2] * self.volumes[number].dtype.itemsize
        if number == 0 and not self.source.has_boxes:
            per_row = brick_bytes * bricks_along(columns)
            return BRICK * max(1, min(bricks_along(rows), _DECODED_BYTES // per_row)), columns
        return BRICK, BRICK * max(1, min(bricks_along(columns), _BAND_BYTES // brick_bytes))


def _times(voxels: range, factor: int) -> range:
    return range(voxels.start * factor, voxels.stop * factor)


def _part_of(pause: Callable[[float], None], layer: int, layers: int) -> Callable[[float], None]:
    return lambda part: pause((layer + part) / layers)
