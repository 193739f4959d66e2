"""Where one image lies within another of the same grid: a mask of part of a scan, segments over an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import PixelReader

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_SAME_VOXEL: Final = 0.05
"""Voxels that lie this part of their size apart are the same: formats round places and spacings."""
_SAME_DIRECTION: Final = 1e-3


def offset_in(part: ImageInfo, whole: ImageInfo) -> tuple[int, int, int]:
    """
    Give the voxel (x, y, z) of ``whole`` at which the first voxel of ``part`` lies; it may lie outside.

    Raises:
        UsageError: The two do not share a grid of voxels; the message says where they differ.
    """
    for info in (part, whole):
        if info.axes not in ("XYZ", "XY"):
            raise UsageError(f"{info.path} has axes {info.axes}; images are laid over each other along X, Y and Z.")
    both = f"{part.path} cannot be laid over {whole.path}"
    longest = [max(pair) for pair in zip(part.size_3d, whole.size_3d, strict=True)]
    for axis, count, mine, theirs in zip("xyz", longest, part.spacing_mm, whole.spacing_mm, strict=True):
        if abs(mine - theirs) * count > _SAME_VOXEL * theirs:
            raise UsageError(f"{both}: along {axis} its voxels are {mine:.9g} mm apart, not {theirs:.9g} mm.")
    if any(abs(mine - theirs) > _SAME_DIRECTION for mine, theirs in zip(part.direction, whole.direction, strict=True)):
        raise UsageError(f"{both}: its axes point elsewhere ({part.direction}, not {whole.direction}).")
    apart = [mine - theirs for mine, theirs in zip(part.origin_mm, whole.origin_mm, strict=True)]
    steps = voxels_along(whole, apart)
    if any(abs(step - round(step)) > _SAME_VOXEL for step in steps):
        formatted = ", ".join(f"{step:.3f}" for step in steps)
        raise UsageError(f"{both}: it begins between voxels, at ({formatted}); bring both to one grid first.")
    return round(steps[0]), round(steps[1]), round(steps[2])


def voxels_along(info: ImageInfo, apart_mm: Sequence[float]) -> list[float]:
    """
    Give a way in space (x, y, z) in mm as voxels along the axes of an image, which need not be at right angles.

    Args:
        info: The image.
        apart_mm: How far from one another two places are.
    """
    import numpy as np

    ways = np.linalg.solve(np.reshape(info.direction, (3, 3)), np.asarray(apart_mm, np.float64))
    return [float(way) / step for way, step in zip(ways, info.spacing_mm, strict=True)]


@attrs.frozen
class PlacedReader:
    """
    Reads an image as if it had the extent of another one of the same grid: 0 where it has nothing.

    Attributes:
        reader: The open image.
        whole: The image whose extent is asked for.
        offset: The voxel (x, y, z) of ``whole`` at which the image begins.
    """

    reader: PixelReader
    whole: ImageInfo
    offset: tuple[int, int, int]

    @classmethod
    def over(cls, reader: PixelReader, whole: ImageInfo) -> "PlacedReader":
        """Place an image by its origin; raises as ``offset_in``."""
        return cls(reader, whole, offset_in(reader.info, whole))

    def read(self, start: int, stop: int) -> "Pixels":
        """Read slices ``start`` to ``stop`` of the other image's extent, shape ``(n, y, x)``."""
        import numpy as np

        columns, rows, _ = self.whole.size_3d
        own_columns, own_rows, own_slices = self.reader.info.size_3d
        left, top, first = self.offset
        if self.offset == (0, 0, 0) and self.reader.info.size_3d == self.whole.size_3d:
            return self._slab(start, stop).reshape(stop - start, rows, columns)
        result: Pixels = np.zeros((stop - start, rows, columns), np.dtype(self.reader.info.pixel_type.code))
        begin, end = max(start, first), min(stop, first + own_slices)
        if begin < end:
            slab = self._slab(begin - first, end - first).reshape(end - begin, own_rows, own_columns)
            y, own_y = _overlap(top, own_rows, rows)
            x, own_x = _overlap(left, own_columns, columns)
            result[begin - start : end - start, y, x] = slab[:, own_y, own_x]
        return result

    def _slab(self, start: int, stop: int) -> "Pixels":
        flat = self.reader.info.axes != "XYZ"
        return self.reader.read(0, self.reader.info.size[-1]) if flat else self.reader.read(start, stop)


def _overlap(offset: int, own: int, count: int) -> tuple[slice, slice]:
    """Give where two ranges overlap, counted in the other one and in the own one."""
    begin, end = max(0, offset), min(count, offset + own)
    end = max(begin, end)
    return slice(begin, end), slice(begin - offset, end - offset)
