"""
An image moved onto another one by a transformation, as tiles on the other one's grid of voxels.

A place of the fixed image is carried to the moving one, and the value there is taken between its voxels (of segments,
the nearest one's). Both are looked at on the levels of their pyramids whose voxels are about as large.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pyramid import Level
from xfworker.services.images.slices import AXES_OF_PLANE, Axis
from xfworker.services.images.viewed_image import TILE, ViewedImage

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

MOVED: Final = "moved"
"""The source of tiles of a moved image."""

_MATRIX: Final = 4
_PART: Final = 32
"""Tiles are made in parts, because a plane at an angle lies in a box that has far more voxels than itself."""
_SMALLEST: Final = 1e-6
_HALF: Final = 0.5


def matrix_of(numbers: Sequence[float]) -> "Array":
    """
    Give the 4 x 4 matrix of a transformation, row by row.

    Raises:
        UsageError: These are not 16 finite numbers, or it is not one that can be undone.
    """
    import numpy as np

    if len(numbers) != _MATRIX * _MATRIX or not all(math.isfinite(number) for number in numbers):
        raise UsageError(f"a transformation has 16 finite numbers, row by row; got {len(numbers)}")
    matrix = np.reshape(np.asarray(numbers, np.float64), (_MATRIX, _MATRIX))
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise UsageError("a transformation ends with the row 0 0 0 1")
    # Relative to the lengths of its axes, so that flatness does not depend on the unit or the voxel size.
    axes = matrix[:3, :3]
    most = float(np.prod(np.linalg.norm(axes, axis=0)))
    if abs(np.linalg.det(axes)) <= _SMALLEST * most or not most:
        raise UsageError("the transformation flattens space, so it cannot be undone")
    return matrix


class RegisteredImage:
    """
    A moving image on the grid of a fixed one.

    Attributes:
        fixed: The image whose voxels tiles have.
        moving: The image that is seen there.
        key: Names the two contents and the transformation.
    """

    def __init__(self, fixed: ViewedImage, moving: ViewedImage, transform: Sequence[float]) -> None:
        """
        Take two open images.

        Args:
            fixed: The fixed one.
            moving: The moving one.
            transform: A 4 x 4 matrix, row by row, that carries places of the moving image (mm) to the fixed one (mm).

        Raises:
            UsageError: The transformation cannot be undone, or one of the images is flat.
        """
        import numpy as np

        for image in (fixed, moving):
            if image.info.axes != "XYZ":
                raise UsageError(f"{image.info.path.name} has axes {image.info.axes}; volumes are moved onto volumes.")
        self.fixed, self.moving = fixed, moving
        carried = np.linalg.inv(matrix_of(transform))
        self._affine = np.linalg.inv(_to_mm(moving.info)) @ carried @ _to_mm(fixed.info)
        digest = hashlib.blake2b(f"{fixed.key} {moving.key} {list(transform)}".encode(), digest_size=16)
        self.key = digest.hexdigest()

    def sources(self, axis: Axis) -> list[str | None]:  # noqa: ARG002  volumes have the same along each axis
        """Give where tiles come from by now, for each level of the fixed image; None where there are none yet."""
        return [MOVED if self.moving.has_chunks(self._level_for(level).number) else None for level in self.fixed.levels]

    def tile(self, source: str, axis: Axis, level: int, index: int, row: int, column: int) -> "Array":
        """
        Give one tile of a plane of the fixed image, with the moving one's values.

        Returns:
            float32, at most ``TILE`` along each edge, rows and columns as ``ViewedImage.tile``; NaN where the moving
            image has nothing.

        Raises:
            UsageError: There is no such tile.
            ServerBusy: The moving image is being prepared.
        """
        import numpy as np

        name = self.fixed.info.path.name
        if source != MOVED or not 0 <= level < len(self.fixed.levels):
            raise UsageError(f"{name} has no tiles {source[:40]!a} at level {level}.")
        chosen = self.fixed.levels[level]
        down, right = ("xyz".index(letter) for letter in AXES_OF_PLANE[axis])
        across = "xyz".index(axis)
        height = min(TILE, chosen.size[down] - row * TILE)
        width = min(TILE, chosen.size[right] - column * TILE)
        if not 0 <= index < chosen.size[across] or min(row, column) < 0 or min(height, width) < 1:
            raise UsageError(f"{name} has no tile {row}, {column} of plane {index} across {axis} at level {level}.")
        beneath = self._level_for(chosen)
        affine = np.linalg.inv(_of_level(beneath)) @ self._affine @ _of_level(chosen)
        first = np.zeros(3)
        first[across], first[down], first[right] = index, row * TILE, column * TILE
        result: Array = np.full((height, width), np.nan, np.float32)
        for top in range(0, height, _PART):
            for left in range(0, width, _PART):
                part = result[top : top + _PART, left : left + _PART]
                corner = affine[:3, :3] @ (first + top * _unit(down) + left * _unit(right)) + affine[:3, 3]
                rows, columns = (np.arange(count)[:, None] for count in part.shape)
                places = (corner + rows * affine[:3, down])[:, None, :] + (columns * affine[:3, right])[None, :, :]
                self._fill(part, places, beneath)
        return result

    def _level_for(self, level: Level) -> Level:
        """Give the moving image's level whose voxels are at most about as large as those of a fixed level."""
        lengths = [math.dist((0, 0, 0), self._affine[:3, axis]) * level.factors[axis] for axis in range(3)]
        # The finest one always fits.
        return [one for one in self.moving.levels if max(one.factors) <= max(1.0, min(lengths) * 1.5)][-1]

    def _fill(self, part: "Array", places: "Array", level: Level) -> None:
        """Take the values at some places (x, y, z) in voxels of a level; those outside stay as they are."""
        import numpy as np

        size = np.asarray(level.size)
        # A voxel reaches half its size beyond its centre; there its own value counts.
        is_inside = ((places > -_HALF) & (places < size - _HALF)).all(axis=-1)
        if not is_inside.any():
            return
        inside = np.clip(places[is_inside], 0, size - 1)
        if self.moving.info.kind == "segments":
            inside = np.rint(inside)
        low = np.floor(inside.min(axis=0)).astype(np.int64)
        high = np.ceil(inside.max(axis=0)).astype(np.int64)
        box = self.moving.box(level.number, *(range(low[axis], high[axis] + 1) for axis in (2, 1, 0)))
        part[is_inside] = _between(box, inside - low)


def _between(box: "Array", places: "Array") -> "Array":
    """Give values between the voxels of a box (z, y, x), by the eight around each place (x, y, z)."""
    import numpy as np

    last = np.asarray(box.shape[::-1]) - 1
    base = np.floor(places).astype(np.int64)
    part = places - base
    values = np.zeros(len(places), np.float64)
    for corner in range(8):
        step = np.asarray([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        weight = np.where(step, part, 1 - part).prod(axis=1)
        x, y, z = np.minimum(base + step, last).T
        # What has no weight may be anything, also NaN.
        values += np.where(weight, weight * box[z, y, x], 0)
    return values


def _to_mm(info: ImageInfo) -> "Array":
    """Give the matrix from voxels (x, y, z) of an image to places in mm."""
    import numpy as np

    matrix = np.eye(_MATRIX)
    matrix[:3, :3] = np.reshape(info.direction, (3, 3)) * np.asarray(info.spacing_mm)
    matrix[:3, 3] = info.origin_mm
    return matrix


def _of_level(level: Level) -> "Array":
    """Give the matrix from voxels of a level to those of the image: centres of the former lie amid the latter."""
    import numpy as np

    factors = np.asarray(level.factors, np.float64)
    matrix = np.diag((*factors, 1.0))
    matrix[:3, 3] = factors / 2 - 0.5
    return matrix


def _unit(axis: int) -> "Array":
    import numpy as np

    unit: Array = np.eye(3)[axis]
    return unit
