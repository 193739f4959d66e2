"""Pictures of slices: grey values, labels in colours, segments over an image, in true proportions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.placement import offset_in
from xfworker.services.images.slices import AXES_OF_PLANE, Axis, axes_shown, plane, slice_index

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Plane = npt.NDArray[Any]
    Bytes = npt.NDArray[np.uint8]

GAP_COLOUR: Final = (24, 44, 92)
"""Between and around pictures: blue, which no grey value and no label is."""

LABEL_COLOURS: Final = (
    (230, 25, 75), (60, 180, 75), (255, 225, 25), (70, 150, 255), (245, 130, 48), (145, 30, 180),
    (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (170, 110, 40),
)  # fmt: skip
"""The colours of labels 1, 2, ...; they begin again behind the last. 0 is transparent."""

_OVERLAY_OPACITY: Final = 0.5
_GREY_MAX: Final = 255
_LARGEST_SIDE: Final = 16384
_GAP: Final = 4
_ROWS_AT_ONCE: Final = 256
_VALUES_LOOKED_AT: Final = 1 << 22


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


ChooseWindow = Callable[["Plane"], Window]
"""Gives the window for the raw values of what is shown."""


@attrs.frozen(eq=False)
class View:
    """
    The picture of one slice, or of several side by side.

    Attributes:
        pixels: Grey ``(rows, columns)``, or red, green, blue and perhaps opacity ``(rows, columns, 3 or 4)``.
        pixel_mm: Edge of its square pixels in mm.
        window: The raw values that are black and white; None where only labels are shown.
        axis: What a single slice is orthogonal to; None for several.
    """

    pixels: "Bytes"
    pixel_mm: float
    window: Window | None
    axis: Axis | None = None


def window_of(values: "Plane", low_percent: float = 0.5, high_percent: float = 99.5) -> Window:
    """
    Give a window from percentiles of values; where nearly all are equal, from the extremes.

    Of more than 4 million values as many are taken in even steps, which moves no percentile that can be seen.
    """
    import numpy as np

    values = values.ravel()[:: max(1, values.size // _VALUES_LOOKED_AT)]
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return Window(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(finite, (low_percent, high_percent)))
    if low >= high:
        low, high = float(finite.min()), float(finite.max())
    return Window(low, high if high > low else low + 1)


def grey(values: "Plane", window: Window) -> "Bytes":
    """Give grey levels 0 to 255; what is not a number becomes black."""
    import numpy as np

    result: Bytes = np.empty(values.shape, np.uint8)
    for begin in range(0, len(values), _ROWS_AT_ONCE):
        some = values[begin : begin + _ROWS_AT_ONCE].astype(np.float64)
        scaled = (some - window.low) * _GREY_MAX / (window.high - window.low)
        result[begin : begin + len(some)] = np.rint(np.clip(np.nan_to_num(scaled, nan=0.0), 0, _GREY_MAX))
    return result


def coloured(labels: "Plane") -> "Bytes":
    """Give red, green, blue and opacity of labels: their fixed colours, 0 transparent."""
    import numpy as np

    table = np.array(LABEL_COLOURS, np.uint8)
    result: Bytes = np.zeros((*labels.shape, 4), np.uint8)
    there = np.nan_to_num(labels).astype(np.int64)
    result[..., :3] = table[(there - 1) % len(table)]
    result[..., 3] = _GREY_MAX
    result[there == 0] = 0
    return result


def slice_view(
    reader: PixelReader,
    axis: Axis,
    index: int | None = None,
    *,
    choose: ChooseWindow = window_of,
    overlay: PixelReader | None = None,
    step: int = 1,
    progress: SliceProgress | None = None,
) -> View:
    """
    Give the picture of one orthogonal slice in true proportions.

    Args:
        reader: The open image. Segments are shown in the colours of their labels.
        axis: The axis that the slice is orthogonal to.
        index: Where on that axis, from the end when negative; None for the middle.
        choose: Gives the window for the slice's values.
        overlay: Segments to lay over the slice; they are placed by their origin.
        step: Show every step-th pixel only.
        progress: Called with the slices that are read and all there are.

    Raises:
        UsageError: There is no such slice, or the overlay is of another grid.
    """
    return _views(reader, [axis], index, choose=choose, overlay=overlay, step=step, progress=progress)[0]


def montage_views(
    reader: PixelReader,
    *,
    choose: ChooseWindow = window_of,
    overlay: PixelReader | None = None,
    step: int = 1,
    progress: SliceProgress | None = None,
) -> list[View]:
    """
    Give the middle slices at one scale in mm: along z, along y, along x; of a flat image its only one.

    Args:
        reader: The open image.
        choose: Gives the window for the values of all slices together.
        overlay: Segments to lay over them; they are placed by their origin.
        step: Show every step-th pixel only.
        progress: Called with the slices that are read and all there are, for each axis again.

    Raises:
        UsageError: The image has other axes, or the overlay is of another grid.
    """
    return _views(reader, axes_shown(reader.info), None, choose=choose, overlay=overlay, step=step, progress=progress)


def side_by_side(views: Sequence[View], *, below: int = 0, least_width: int = 0) -> View:
    """
    Put pictures of one scale beside each other; gaps have a colour of their own.

    Args:
        views: The pictures.
        below: Rows of the gaps' colour to add below them.
        least_width: The fewest columns to have; what is added on the right has the gaps' colour.
    """
    import numpy as np

    height = max(len(view.pixels) for view in views) + below
    width = max(least_width, sum(view.pixels.shape[1] for view in views) + _GAP * (len(views) - 1))
    depth = max(3, *(view.pixels.shape[2] if view.pixels.ndim > 2 else 3 for view in views))  # noqa: PLR2004 - colours
    result: Bytes = np.full((height, width, depth), _GREY_MAX, np.uint8)
    result[..., :3] = GAP_COLOUR
    left = 0
    for view in views:
        rows, columns = view.pixels.shape[:2]
        result[:rows, left : left + columns] = in_colours(view.pixels, depth)
        left += columns + _GAP
    return View(result, views[0].pixel_mm, views[0].window)


def in_colours(pixels: "Bytes", depth: int = 3) -> "Bytes":
    """Give a picture, grey or in colours, as one of red, green and blue, and opacity where ``depth`` is 4."""
    import numpy as np

    if pixels.ndim > 2 and pixels.shape[2] == depth:  # noqa: PLR2004 - in colours
        return pixels
    result: Bytes = np.full((*pixels.shape[:2], depth), _GREY_MAX, np.uint8)
    result[..., :3] = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]  # noqa: PLR2004 - grey
    return result


def _views(
    reader: PixelReader,
    axes: Sequence[Axis],
    index: int | None,
    *,
    choose: ChooseWindow,
    overlay: PixelReader | None,
    step: int,
    progress: SliceProgress | None,
) -> list[View]:

    info = reader.info
    above = None if overlay is None else partial(_plane_over, overlay, offset_in(overlay.info, info), info)
    planes = [plane(reader, axis, index, step=step, progress=progress) for axis in axes]
    window = None
    if info.kind == "segments":
        pictures = [coloured(values) for values in planes]
    else:
        window = choose(_some_of(planes))
        pictures = [grey(values, window) for values in planes]
    del planes
    if above is not None:
        pictures = [
            _blended(picture, coloured(above(axis, index)[::step, ::step]))
            for picture, axis in zip(pictures, axes, strict=True)
        ]
    pixel_mm = _pixel_mm(info, axes, step)
    spacing = dict(zip("xyz", info.spacing_mm, strict=True))
    views = []
    for picture, axis in zip(pictures, axes, strict=True):
        down, right = (spacing[along] * step / pixel_mm for along in AXES_OF_PLANE[axis])
        views.append(View(_stretched(picture, down, right), pixel_mm, window, axis))
    return views


def _some_of(planes: Sequence["Plane"]) -> "Plane":
    """Give the values of all planes together; of more than 4 million as many in even steps."""
    import numpy as np

    step = max(1, sum(values.size for values in planes) // _VALUES_LOOKED_AT)
    return np.concatenate([values.ravel()[::step] for values in planes])


def _pixel_mm(info: ImageInfo, axes: Sequence[Axis], step: int) -> float:
    """Give the edge of the pictures' pixels: the finest visible spacing, or what keeps all within the largest side."""
    spacing = dict(zip("xyz", info.spacing_mm, strict=True))
    counts = dict(zip("xyz", info.size_3d, strict=True))
    lengths = {along: counts[along] * spacing[along] for along in counts}
    visible_axes = {along for axis in axes for along in AXES_OF_PLANE[axis]}
    finest = min(spacing[along] for along in visible_axes)
    is_stretched = any(lengths[along] >= (counts[along] + 1) * finest for along in visible_axes)
    if len(axes) == 1 and not is_stretched:
        return finest * step
    # Pictures of several slices stand side by side.
    longest = max(*(lengths[along] for along in visible_axes), sum(lengths[AXES_OF_PLANE[axis][1]] for axis in axes))
    return max(finest * step, longest / _LARGEST_SIDE)


def _plane_over(
    overlay: PixelReader, offset: tuple[int, int, int], whole: ImageInfo, axis: Axis, index: int | None
) -> "Plane":
    """Give the overlay's plane in the extent of the image's: 0 where the overlay has nothing."""
    import numpy as np

    sizes = dict(zip("xyz", whole.size_3d, strict=True))
    begins = dict(zip("xyz", offset, strict=True))
    own = dict(zip("xyz", overlay.info.size_3d, strict=True))
    down, right = AXES_OF_PLANE[axis]
    result: Plane = np.zeros((sizes[down], sizes[right]), np.dtype(overlay.info.pixel_type.code))
    at = slice_index(whole, axis, index) - begins[axis]
    if not 0 <= at < own[axis]:
        return result
    values = plane(overlay, axis, at)
    rows = range(max(0, begins[down]), min(sizes[down], begins[down] + own[down]))
    columns = range(max(0, begins[right]), min(sizes[right], begins[right] + own[right]))
    if rows and columns:
        y, x = begins[down], begins[right]
        result[rows.start : rows.stop, columns.start : columns.stop] = values[
            rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
        ]
    return result


def _blended(below: "Bytes", above: "Bytes") -> "Bytes":
    import numpy as np

    base = in_colours(below).astype(np.float64)
    opacity = np.where(above[..., 3:], _OVERLAY_OPACITY, 0)
    result: Bytes = np.rint(base * (1 - opacity) + above[..., :3] * opacity).astype(np.uint8)
    return result


def _stretched(picture: "Bytes", down: float, right: float) -> "Bytes":
    """Repeat rows and columns so that pixels become square; nearest neighbour, so that no value is made up."""
    import numpy as np

    rows, columns = picture.shape[:2]
    height, width = max(1, round(rows * down)), max(1, round(columns * right))
    if (height, width) == (rows, columns):
        return picture
    at_row = ((np.arange(height) + 0.5) * rows / height).astype(np.intp)
    at_column = ((np.arange(width) + 0.5) * columns / width).astype(np.intp)
    stretched: Bytes = picture[at_row[:, None], at_column]
    return stretched


def enlarged(views: Sequence[View], least: int) -> list[View]:
    """Give pictures enlarged by one whole factor, so that the longest side of all has at least ``least`` pixels."""
    factor = -(-least // max(side for view in views for side in view.pixels.shape[:2]))
    if factor < 2:  # noqa: PLR2004 - large enough
        return list(views)
    return [
        attrs.evolve(
            view, pixels=view.pixels.repeat(factor, axis=0).repeat(factor, axis=1), pixel_mm=view.pixel_mm / factor
        )
        for view in views
    ]
