"""Cutting a box out of a volume: a volume of interest (VOI)."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.services.images.blocks import slices_per_block
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.derivation import Derived, write_derived
from xfworker.services.images.placement import voxels_along

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

Voxels = tuple[int, int, int]


@attrs.frozen
class Voi:
    """
    An upright box of voxels.

    Attributes:
        pos: Its first voxel (x, y, z), counted from the image's first.
        size: Voxels along (x, y, z).
    """

    pos: Voxels
    size: Voxels


def voi_of(
    info: ImageInfo,
    *,
    pos: Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    pos_mm: Sequence[float] | None = None,
    size_mm: Sequence[float] | None = None,
) -> Voi:
    """
    Give the box that is stated in voxels or in mm.

    Args:
        info: The image.
        pos: The first voxel (x, y, z), counted from the image's first; the image's first one where nothing is stated.
        size: Voxels along (x, y, z); up to the image's end where nothing is stated.
        pos_mm: Position (x, y, z) of the first voxel in mm, as of ``origin_mm``; the nearest voxel is taken.
        size_mm: Edges along the image's own x, y and z in mm; the nearest count of voxels is taken.

    Raises:
        UsageError: The image is not a volume, nothing or too much is stated, or the box is not inside the image.
    """
    if info.axes != "XYZ":
        raise UsageError(f"{info.path} has axes {info.axes}; boxes are cut out of volumes with axes XYZ.")
    if all(part is None for part in (pos, size, pos_mm, size_mm)):
        raise UsageError("A box needs a position or a size, in voxels or in mm.")
    if (pos is not None and pos_mm is not None) or (size is not None and size_mm is not None):
        raise UsageError("A box has one position and one size: in voxels or in mm, not in both.")
    first = _voxel_at(info, pos_mm) if pos_mm is not None else _three(pos, "position") if pos is not None else (0, 0, 0)
    if size_mm is not None:
        edges = [edge / step for edge, step in zip(_numbers(size_mm, "size"), info.spacing_mm, strict=True)]
        extent = (max(1, round(edges[0])), max(1, round(edges[1])), max(1, round(edges[2])))
    elif size is not None:
        extent = _three(size, "size")
    else:
        left = [count - at for count, at in zip(info.size, first, strict=True)]
        extent = (left[0], left[1], left[2])
    box = Voi(first, extent)
    fits = all(at >= 0 and n > 0 and at + n <= count for at, n, count in zip(first, extent, info.size, strict=True))
    if not fits:
        raise UsageError(
            f"A box of {_by(extent)} voxels at {first} is not inside {info.path}, which has {_by(info.size)}."
        )
    return box


def crop(
    formats: ImageFormats,
    reader: PixelReader,
    target: Path,
    box: Voi,
    *,
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> Derived:
    """
    Write the voxels of a box as an image of its own that stays at its place.

    Args:
        formats: The image formats.
        reader: The open volume.
        target: The file to write.
        box: Which voxels, as of ``voi_of``.
        encoding: How the target is to store pixels; None for what suits.
        progress: Called with the slices that are done and all there are.

    Raises:
        UsageError: The target would replace a file of another image.
        UnsupportedImage: The target's format cannot hold such an image.
    """
    info = reader.info
    image = attrs.evolve(info, size=box.size, origin_mm=position_mm(info, box.pos))
    slabs = _slabs(reader, box)
    return write_derived(formats, [info], target, image, slabs, encoding=encoding, progress=progress)


def position_mm(info: ImageInfo, voxel: Sequence[float]) -> Triple:
    """Give where a voxel (x, y, z; fractions are allowed) lies, in mm."""
    steps = [at * step for at, step in zip(voxel, info.spacing_mm, strict=True)]
    rows = [info.direction[3 * row : 3 * row + 3] for row in range(3)]
    x, y, z = (
        start + sum(part * step for part, step in zip(row, steps, strict=True))
        for start, row in zip(info.origin_mm, rows, strict=True)
    )
    return x, y, z


def _voxel_at(info: ImageInfo, at_mm: Sequence[float]) -> Voxels:
    apart = [at - start for at, start in zip(_numbers(at_mm, "position"), info.origin_mm, strict=True)]
    x, y, z = map(round, voxels_along(info, apart))
    return x, y, z


def _slabs(reader: PixelReader, box: Voi) -> "Iterator[Pixels]":
    import numpy as np

    info = reader.info
    (x, y, z), (columns, rows, slices) = box.pos, box.size
    step = slices_per_block(info)
    for begin in range(z, z + slices, step):
        end = min(begin + step, z + slices)
        slab = reader.read(begin, end, np.empty((end - begin, *info.shape[1:]), np.dtype(info.pixel_type.code)))
        yield slab[:, y : y + rows, x : x + columns]
        del slab  # the next one is read before the name is given away again


def _three(values: Sequence[int], what: str) -> Voxels:
    if len(values) != 3 or not all(isinstance(value, int) and not isinstance(value, bool) for value in values):  # noqa: PLR2004
        raise UsageError(f"The {what} of a box is three integers (x, y, z); got {values!r}.")
    return values[0], values[1], values[2]


def _numbers(values: Sequence[float], what: str) -> Sequence[float]:
    if len(values) != 3 or not all(map(math.isfinite, values)):  # noqa: PLR2004 - x, y, z
        raise UsageError(f"The {what} of a box is three finite numbers of mm (x, y, z); got {values!r}.")
    return values


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
