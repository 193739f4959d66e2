"""The levels of a pyramid, each half as large along every axis as the one below, and how OME-Zarr states them."""

import math
from typing import Any, Final

import attrs

from xfworker.domain.image.description import ImageInfo

Counts = tuple[int, int, int]

SMALLEST_SIDE: Final = 256
"""A pyramid ends with the first level that is not larger along any axis."""

NGFF_VERSION: Final = "0.5"
"""The version of OME-Zarr (ngff.openmicroscopy.org) that is written and served."""


@attrs.frozen
class Level:
    """
    One level of a pyramid.

    Attributes:
        number: 0 for the image itself.
        factors: Voxels of the image along x, y and z that became one.
        size: Voxels along x, y and z; what does not fill a voxel at the far end is left out.
    """

    number: int
    factors: Counts
    size: Counts

    @property
    def shape(self) -> Counts:
        """The array's shape ``(z, y, x)``."""
        return self.size[2], self.size[1], self.size[0]

    def halving_to(self, above: "Level") -> Counts:
        """Give how many voxels of this level along x, y and z become one of the next."""
        x, y, z = (theirs // mine for theirs, mine in zip(above.factors, self.factors, strict=True))
        return x, y, z


def levels_of(size: Counts) -> tuple[Level, ...]:
    """
    Give the levels of a volume: along each axis half, until the largest side is at most :data:`SMALLEST_SIDE`.

    Args:
        size: Voxels along x, y and z; 1 along an axis that a flat image lacks.
    """
    levels = [Level(0, (1, 1, 1), size)]
    while max(levels[-1].size) > SMALLEST_SIDE:
        below = levels[-1]
        halving = [2 if count > 1 else 1 for count in below.size]
        factors = [old * new for old, new in zip(below.factors, halving, strict=True)]
        counts = [count // factor for count, factor in zip(below.size, halving, strict=True)]
        levels.append(Level(below.number + 1, _three(factors), _three(counts)))
    return tuple(levels)


def voxel_count(levels: tuple[Level, ...]) -> int:
    """Give how many voxels some levels have together."""
    return sum(math.prod(level.size) for level in levels)


def ngff_image(info: ImageInfo, levels: tuple[Level, ...], axes: str) -> dict[str, Any]:
    """
    Give what the attribute ``ome`` of a group states of an image and its levels; lengths in millimetres.

    A voxel of a coarse level lies in the middle of those that became it.

    Args:
        info: The image.
        levels: The levels, each an array that is named for its number.
        axes: The axes of the arrays, slowest first: ``zyx``, or ``yx`` of a flat image.
    """
    order = ["xyz".index(letter) for letter in axes]
    datasets = []
    for level in levels:
        scale = [info.spacing_mm[axis] * level.factors[axis] for axis in order]
        middle = [info.origin_mm[axis] + (level.factors[axis] - 1) / 2 * info.spacing_mm[axis] for axis in order]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": middle}]
        datasets.append({"path": str(level.number), "coordinateTransformations": transformations})
    image = {
        "name": info.path.name.partition(".")[0],
        "axes": [{"name": letter, "type": "space", "unit": "millimeter"} for letter in axes],
        "datasets": datasets,
        "type": "mode" if info.kind == "segments" else "mean",
    }
    return {"version": NGFF_VERSION, "multiscales": [image]}


def _three(counts: list[int]) -> Counts:
    x, y, z = counts
    return x, y, z
