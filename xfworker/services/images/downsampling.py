"""Smaller copies of a volume for looking at: means of whole blocks of voxels, and of labels the commonest one."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.services.images.blocks import slices_per_block
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.cropping import position_mm
from xfworker.services.images.derivation import Derived, write_derived

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

Factors = tuple[int, int, int]


def factors_of(info: ImageInfo, factors: int | Sequence[int]) -> Factors:
    """
    Give the factors along x, y and z.

    Args:
        info: The image.
        factors: One for all axes, or one for each of x, y and z.

    Raises:
        UsageError: One is not an integer of at least 1, all are 1, or one is larger than the image.
    """
    three = [factors] * 3 if isinstance(factors, int) else list(factors)
    if info.axes != "XYZ":
        raise UsageError(f"{info.path} has axes {info.axes}; volumes with axes XYZ are downsampled.")
    if len(three) == 1:
        three *= 3
    integers = len(three) == 3 and all(isinstance(one, int) and not isinstance(one, bool) for one in three)  # noqa: PLR2004
    if not integers or min(three) < 1 or max(three) == 1:
        raise UsageError(f"Factors are integers of at least 1, one or three (x, y, z), not all 1; got {factors!r}.")
    for axis, factor, count in zip("xyz", three, info.size, strict=True):
        if factor > count:
            raise UsageError(f"{info.path} has {count} voxels along {axis}, fewer than the factor {factor}.")
    return three[0], three[1], three[2]


def downsampled_info(info: ImageInfo, factors: Factors) -> ImageInfo:
    """Give what a volume becomes: voxels that do not fill a block at the far end are left out."""
    middle = [(factor - 1) / 2 for factor in factors]
    columns, rows, slices = (count // factor for count, factor in zip(info.size, factors, strict=True))
    x, y, z = (step * factor for step, factor in zip(info.spacing_mm, factors, strict=True))
    return attrs.evolve(info, size=(columns, rows, slices), spacing_mm=(x, y, z), origin_mm=position_mm(info, middle))


def downsample(
    formats: ImageFormats,
    reader: PixelReader,
    target: Path,
    factors: int | Sequence[int],
    *,
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> Derived:
    """
    Write a volume with whole blocks of voxels as one: their mean, rounded to the pixels' type; of labels the commonest.

    The pixel type stays, so calibrations hold. Voxels that do not fill a block at the far end of an axis are left out.

    Args:
        formats: The image formats.
        reader: The open volume.
        target: The file to write.
        factors: Voxels that become one, for all axes or for each of x, y and z.
        encoding: How the target is to store pixels; None for what suits.
        progress: Called with the slices that are done and all there are.

    Raises:
        UsageError: As ``factors_of``, or the target would replace a file of another image.
    """
    info = reader.info
    chosen = factors_of(info, factors)
    image = downsampled_info(info, chosen)
    slabs = _slabs(reader, chosen)
    return write_derived(formats, [info], target, image, slabs, encoding=encoding, progress=progress)


def _slabs(reader: PixelReader, factors: Factors) -> "Iterator[Pixels]":
    if reader.info.kind == "segments":
        return _label_slabs(reader, factors)
    return _mean_slabs(reader, factors)


def _label_slabs(reader: PixelReader, factors: Factors) -> "Iterator[Pixels]":
    info = reader.info
    whole = info.size[2] // factors[2] * factors[2]
    step = max(1, slices_per_block(info) // factors[2]) * factors[2]
    for begin in range(0, whole, step):
        yield shrunk(reader.read(begin, min(begin + step, whole)), factors, is_labels=True)


def _mean_slabs(reader: PixelReader, factors: Factors) -> "Iterator[Pixels]":
    """Add slice after slice, so that a large factor along z needs no more memory than a small one."""
    import numpy as np

    info, by_z = reader.info, factors[2]
    whole = info.size[2] // by_z * by_z
    step = slices_per_block(info)
    sums: Pixels | None = None
    for begin in range(0, whole, step):
        end = min(begin + step, whole)
        slab = reader.read(begin, end, np.empty((end - begin, *info.shape[1:]), np.dtype(info.pixel_type.code)))
        for z, plane in enumerate(slab, begin):
            added = _sums(plane[None], (factors[0], factors[1], 1))
            sums = added if sums is None else sums + added
            if (z + 1) % by_z == 0:
                yield _means(sums, factors, plane.dtype)
                sums = None
        del slab, plane  # the next ones are read before the names are given away again


def shrunk(volume: "Pixels", factors: Factors, *, is_labels: bool) -> "Pixels":
    """
    Give an array ``(z, y, x)`` with whole blocks of voxels as one; what does not fill a block is left out.

    Args:
        volume: Pixels.
        factors: Voxels that become one along x, y and z.
        is_labels: Whether to take the commonest value (of equally common ones the smallest) instead of the mean.
    """
    if is_labels:
        return _commonest(_cells(volume, factors))
    return _means(_sums(volume, factors), factors, volume.dtype)


def _means(sums: "Pixels", factors: Factors, dtype: "np.dtype[Any]") -> "Pixels":
    """Give means in a type; the sums are used up, which saves the memory for two others."""
    import numpy as np

    sums /= math.prod(factors)
    if dtype.kind != "f":
        np.rint(sums, out=sums)
    return sums.astype(dtype)


def _cells(volume: "Pixels", factors: Factors) -> "Pixels":
    """See an array as blocks: (z, within z, y, within y, x, within x)."""
    by_x, by_y, by_z = factors
    slices, rows, columns = (count // factor for count, factor in zip(volume.shape, (by_z, by_y, by_x), strict=True))
    return volume[: slices * by_z, : rows * by_y, : columns * by_x].reshape(slices, by_z, rows, by_y, columns, by_x)


def _sums(volume: "Pixels", factors: Factors) -> "Pixels":
    """Give the sums of blocks; float64 holds those of voxels of up to 32 bits exactly."""
    import numpy as np

    cells = _cells(volume, factors)
    wide = np.longdouble if volume.dtype in (np.int64, np.uint64) else np.float64
    sums: Pixels = np.zeros(cells.shape[::2], wide)
    for z in range(cells.shape[1]):
        for y in range(cells.shape[3]):
            for x in range(cells.shape[5]):
                sums += cells[:, z, :, y, :, x]
    return sums


def _commonest(cells: "Pixels") -> "Pixels":
    import numpy as np

    layers = []
    for some in cells:
        best = np.zeros((some.shape[1], some.shape[3]), some.dtype)
        most = np.zeros(best.shape, np.int64)
        for value in np.unique(some):
            count = (some == value).sum(axis=(0, 2, 4))
            better = count > most
            best[better], most[better] = value, count[better]
        layers.append(best)
    return np.stack(layers)
