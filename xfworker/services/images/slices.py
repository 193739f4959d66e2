"""Slices and montages of a volume as grey pictures."""

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from xfworker.domain.errors import UsageError
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.blocks import slices_per_block

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]
    Plane = npt.NDArray[Any]

Axis = Literal["x", "y", "z"]

_GAP: Final = 4
_GREY_MAX: Final = 255
_LARGEST_SIDE: Final = 16384


@attrs.frozen
class Window:
    """
    Which values become black and white.

    Attributes:
        low: The raw value that becomes black.
        high: The raw value that becomes white; above ``low``.
    """

    low: float
    high: float


def plane(reader: PixelReader, axis: Axis, index: int | None = None) -> "Plane":
    """
    Give one orthogonal slice of a volume with axes XYZ.

    Args:
        reader: The open image.
        axis: The axis that the slice is orthogonal to.
        index: Where on that axis, from the end when negative; None for the middle.

    Returns:
        Raw values: ``(y, x)`` for z, ``(z, x)`` for y, ``(z, y)`` for x.

    Raises:
        UsageError: The image is no volume, or the index is beyond it.
    """
    import numpy as np

    info = reader.info
    if info.axes != "XYZ":
        raise UsageError(f"{info.path} has axes {info.axes}; slices are cut from volumes with axes XYZ.")
    count = info.size["xyz".index(axis)]
    at = count // 2 if index is None else index + count if index < 0 else index
    if not 0 <= at < count:
        raise UsageError(f"Slice {index} along {axis} was asked for; {info.path} has 0 to {count - 1}.")
    if axis == "z":
        slab = reader.read(at, at + 1)
        return slab.reshape(slab.shape[1:])
    across = (slice(None), at) if axis == "y" else (slice(None), slice(None), at)
    mapped = reader.memory_map()
    if mapped is not None:
        return np.ascontiguousarray(mapped[across])
    step = slices_per_block(info)
    rows = [reader.read(begin, min(begin + step, info.size[2]))[across] for begin in range(0, info.size[2], step)]
    return np.concatenate(rows)


def window_of(values: "Plane", low_percent: float = 0.5, high_percent: float = 99.5) -> Window:
    """Give a window from percentiles of values; where nearly all are equal, from the extremes."""
    import numpy as np

    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    if not finite.size:
        return Window(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(finite, (low_percent, high_percent)))
    if low >= high:
        low, high = float(finite.min()), float(finite.max())
    return Window(low, high if high > low else low + 1)


def picture(values: "Plane", window: Window) -> "Picture":
    """Give grey levels 0 to 255; what is not a number becomes black."""
    import numpy as np

    scaled = (values.astype(np.float64) - window.low) * _GREY_MAX / (window.high - window.low)
    result: Picture = np.rint(np.clip(np.nan_to_num(scaled, nan=0.0), 0, _GREY_MAX)).astype(np.uint8)
    return result


def montage(reader: PixelReader) -> "Plane":
    """
    Give the three middle slices beside each other at one scale in mm: along z, along y, along x.

    Returns:
        Raw values of the image's type, the smallest one in the gaps.
    """
    import numpy as np

    x, y, z = reader.info.spacing_mm
    finest = min(x, y, z)
    views: tuple[tuple[Axis, float, float], ...] = (("z", y, x), ("y", z, x), ("x", z, y))
    planes = [_stretched(plane(reader, axis), rows / finest, columns / finest) for axis, rows, columns in views]
    height = max(view.shape[0] for view in planes)
    width = sum(view.shape[1] for view in planes) + _GAP * (len(planes) - 1)
    result = np.full((height, width), min(view.min() for view in planes), planes[0].dtype)
    left = 0
    for view in planes:
        result[: view.shape[0], left : left + view.shape[1]] = view
        left += view.shape[1] + _GAP
    return result


def _stretched(values: "Plane", rows: float, columns: float) -> "Plane":
    """Repeat rows and columns so that pixels become square; nearest neighbour, so that no value is made up."""
    import numpy as np

    height = min(_LARGEST_SIDE, max(1, round(values.shape[0] * rows)))
    width = min(_LARGEST_SIDE, max(1, round(values.shape[1] * columns)))
    if (height, width) == values.shape:
        return values
    at_row = np.minimum((np.arange(height) + 0.5) * values.shape[0] / height, values.shape[0] - 1).astype(np.intp)
    at_column = np.minimum((np.arange(width) + 0.5) * values.shape[1] / width, values.shape[1] - 1).astype(np.intp)
    stretched: Plane = values[at_row[:, None], at_column]
    return stretched
