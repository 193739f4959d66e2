"""Keeping what lies inside a mask, block after block."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.services.images.blocks import blocks
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.derivation import Derived, write_derived
from xfworker.services.images.placement import PlacedReader
from xfworker.services.images.units import to_raw

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


class Mask:
    """
    Which pixels of an image lie inside a mask that is placed by its origin; it may cover a part of the image.

    Args:
        reader: The open mask. What is not 0 is inside.
        whole: The image.
        label: Only this label is inside; None for all.

    Raises:
        UsageError: The mask is of another grid.
    """

    def __init__(self, reader: PixelReader, whole: ImageInfo, label: int | None = None) -> None:
        self._placed = PlacedReader.over(reader, whole)
        self._is_flat = whole.axes != "XYZ"
        self._label = label
        self.path = reader.info.path

    def inside(self, start: int, stop: int) -> "Pixels":
        """Give whether pixels are inside, for slices ``start`` to ``stop`` along the image's slowest axis."""
        values = self._placed.read(0, 1)[0, start:stop] if self._is_flat else self._placed.read(start, stop)
        inside: Pixels = values != 0 if self._label is None else values == self._label
        return inside


def apply_mask(
    formats: ImageFormats,
    reader: PixelReader,
    mask: PixelReader,
    target: Path,
    *,
    label: int | None = None,
    outside: float = 0.0,
    unit_type: str | None = None,
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> Derived:
    """
    Write an image with one value outside a mask; inside nothing changes.

    Args:
        formats: The image formats.
        reader: The open image.
        mask: The open mask, placed by its origin; it may cover a part of the image. What is not 0 is inside.
        target: The file to write.
        label: Only this label of the mask is inside; None for all.
        outside: The value of all other pixels.
        unit_type: What ``outside`` is stated in, such as ``Density``; None for raw values. Of integer pixels it becomes
            the nearest integer.
        encoding: How the target is to store pixels; None for what suits.
        progress: Called with the slices that are done and all there are.

    Raises:
        UsageError: The mask is of another grid, or the value does not fit the image's pixels.
        ImageError: The image has no calibration to the unit.
    """
    value = _outside(reader.info, outside, unit_type)
    inside = Mask(mask, reader.info, label)
    slabs = _slabs(reader, inside, value)
    sources = [reader.info, mask.info]
    return write_derived(formats, sources, target, reader.info, slabs, encoding=encoding, progress=progress)


def _slabs(reader: PixelReader, mask: Mask, value: float) -> "Iterator[Pixels]":
    import numpy as np

    for block in blocks(reader):
        outside = mask.inside(block.start, block.stop)
        np.logical_not(outside, out=outside)
        pixels = block.pixels
        np.putmask(pixels, outside, np.asarray(value, pixels.dtype))
        del block, outside  # the next ones are read before the names are given away again
        yield pixels
        del pixels


def _outside(info: ImageInfo, outside: float, unit_type: str | None) -> float:
    raw = to_raw(info, outside, unit_type)
    bounds = info.pixel_type.bounds
    if bounds is None:
        return raw
    nearest = round(raw)
    if unit_type is None and nearest != raw:
        raise UsageError(f"{outside:g} is not an integer, and the pixels of {info.path} are {info.pixel_type.value}.")
    if not bounds[0] <= nearest <= bounds[1]:
        raise UsageError(
            f"{outside:g} {unit_type or ''}".strip() + f" is {nearest} as raw value, which {info.pixel_type.value}"
            f" pixels of {info.path} do not hold ({bounds[0]} to {bounds[1]})."
        )
    return nearest
