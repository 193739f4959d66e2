"""Making segments of what lies between two values, block after block."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.pixel_type import PixelType
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.services.images.blocks import blocks
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.derivation import Derived, write_derived
from xfworker.services.images.units import raw_limits

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

Result = Literal["segments", "mask"]

_UNNAMED = "object"
_MASK_VALUE = 127
"""What is inside a mask of IPL."""


def threshold(
    formats: ImageFormats,
    reader: PixelReader,
    target: Path,
    *,
    lower: float | None = None,
    upper: float | None = None,
    unit_type: str | None = None,
    to: Result = "segments",
    label: str = _UNNAMED,
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> Derived:
    """
    Write segments: pixels from ``lower`` to ``upper`` (both included) become objects, all others 0.

    Args:
        formats: The image formats.
        reader: The open image to threshold. What is not a number belongs to nothing.
        target: The file to write.
        lower: The smallest value that belongs, or None.
        upper: The largest value that belongs, or None.
        unit_type: What the limits are stated in, such as ``Density``; None for raw values.
        to: ``segments``: objects are 1 of uint8. ``mask``: they are 127 of int8, as IPL has them; an AIM always is one.
        label: What the objects are called.
        encoding: How the target is to store pixels; None for binCmp in an AIM and what suits elsewhere.
        progress: Called with the slices that are done and all there are.

    Raises:
        UsageError: Neither limit is given, they do not rise, or the target would replace a file of another image.
        ImageError: The image has no calibration to the unit.
    """
    if to not in ("segments", "mask"):
        raise UsageError(f"A threshold gives 'segments' or a 'mask', not {to!r}.")
    is_aim = target.name.lower().partition(";")[0].endswith(".aim")
    value = _MASK_VALUE if is_aim or to == "mask" else 1
    limits = _in_type(raw_limits(reader.info, lower, upper, unit_type), reader.info.pixel_type)
    image = attrs.evolve(
        reader.info,
        kind="segments",
        pixel_type=PixelType.UINT8 if value == 1 else PixelType.INT8,
        calibrations=(),
        default_unit_type=None,
        # An AIM has no place for names; that an unnamed object is called one is not a loss.
        labels=() if is_aim and label == _UNNAMED else ({"value": value, "name": label},),
    )
    slabs = _slabs(reader, limits, image.pixel_type, value)
    encoding = encoding or ("binCmp" if is_aim else None)
    return write_derived(formats, [reader.info], target, image, slabs, encoding=encoding, progress=progress)


def _slabs(
    reader: PixelReader, limits: "tuple[float | None, float | None] | None", pixel_type: PixelType, value: int
) -> "Iterator[Pixels]":
    import numpy as np

    number = np.dtype(pixel_type.code).type(value)
    for block in blocks(reader):
        inside = np.zeros(block.pixels.shape, np.bool_) if limits is None else _within(block.pixels, *limits)
        del block  # the next one is read before the name is given away again
        slab = inside.view(pixel_type.code)
        slab *= number
        yield slab


def _in_type(
    limits: tuple[float | None, float | None], pixel_type: PixelType
) -> tuple[float | None, float | None] | None:
    """
    Give limits as integers where pixels are: exact, and quicker to compare with.

    Returns:
        The limits, one None that every pixel meets, or None where none can.
    """
    bounds = pixel_type.bounds
    if bounds is None:
        return limits
    low, high = limits
    least = bounds[0] if low is None else math.ceil(low)
    largest = bounds[1] if high is None else math.floor(high)
    if least > min(largest, bounds[1]) or largest < bounds[0]:
        return None
    return (None if least <= bounds[0] else least), (None if largest >= bounds[1] else largest)


def _within(pixels: "Pixels", lower: float | None, upper: float | None) -> "Pixels":
    import numpy as np

    inside: Pixels = np.ones(pixels.shape, np.bool_) if lower is None else np.greater_equal(pixels, lower)
    if upper is not None:
        np.logical_and(inside, np.less_equal(pixels, upper), out=inside)
    return inside
