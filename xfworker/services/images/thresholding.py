"""Making segments of what lies between two values, block after block."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.images.blocks import blocks
from xfworker.services.images.conversion import SliceProgress, check_apart


def threshold(
    formats: ImageFormats,
    source: Path,
    target: Path,
    *,
    lower: float | None = None,
    upper: float | None = None,
    unit_type: str | None = None,
    label: str = "object",
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> ImageInfo:
    """
    Write segments: pixels from ``lower`` to ``upper`` (both included) become objects, all others 0.

    Objects are 1 of uint8 in OMNI and other formats, and 127 of int8 in an AIM, as IPL has them.

    Args:
        formats: The image formats.
        source: The image to threshold.
        target: The file to write.
        lower: The smallest value that belongs, or None.
        upper: The largest value that belongs, or None.
        unit_type: What the limits are stated in, such as ``Density``; None for raw values.
        label: What the objects are called.
        encoding: How the target is to store pixels; None for binCmp in an AIM and what suits elsewhere.
        progress: Told how far it is.

    Raises:
        UsageError: Neither limit is given, or the target would replace a file of the source.
        ImageError: The image has no calibration to the unit.
    """
    if lower is None and upper is None:
        raise UsageError(f"A threshold of {source} needs a lower or an upper limit.")
    is_aim = target.name.lower().split(";", 1)[0].endswith(".aim")
    value = 127 if is_aim else 1
    with formats.reader(source) as reader:
        limits = _raw_limits(reader.info, lower, upper, unit_type)
        image = attrs.evolve(
            reader.info,
            kind="segments",
            pixel_type=PixelType.INT8 if is_aim else PixelType.UINT8,
            byte_order="little",
            calibrations=(),
            default_unit_type=None,
            labels=({"value": value, "name": label},),
        )
        with formats.writer(target, image, encoding=encoding or ("binCmp" if is_aim else None)) as writer:
            check_apart(reader.info, (writer.info.path, *writer.info.files))
            for block in blocks(reader):
                writer.write(_within(block.pixels, limits).view(image.pixel_type.code) * image_value(value, image))
                if progress is not None:
                    progress(block.stop, image.size[-1])
        return writer.info


def image_value(value: int, image: ImageInfo) -> Any:
    """Give a number in the image's own type, so that multiplying does not widen."""
    import numpy as np

    return np.dtype(image.pixel_type.code).type(value)


def _raw_limits(
    info: ImageInfo, lower: float | None, upper: float | None, unit_type: str | None
) -> Sequence[float | None]:
    if unit_type is None:
        return lower, upper
    line = info.calibration(unit_type)
    limits = [None if limit is None else float(line.calibrated_to_raw(limit)) for limit in (lower, upper)]
    return limits if line.line()[0] > 0 else limits[::-1]


def _within(pixels: Any, limits: Sequence[float | None]) -> Any:
    import numpy as np

    lower, upper = limits
    inside = np.ones(pixels.shape, np.bool_) if lower is None else np.greater_equal(pixels, lower)
    if upper is not None:
        np.logical_and(inside, np.less_equal(pixels, upper), out=inside)
    return inside
