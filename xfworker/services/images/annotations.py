"""What is written around a picture, and covers none of it: where its sides point to, and a scale bar in mm."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs

from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo
from xfworker.services.images.lettering import draw, string_dots
from xfworker.services.images.pictures import GAP_COLOUR, View, enlarged, in_colours, side_by_side
from xfworker.services.images.slices import AXES_OF_PLANE, Axis

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

LEAST_SIDE: Final = 240
"""Smaller pictures are enlarged, so that what is written around them fits."""

INK: Final = (240, 240, 240)
_DIRECTIONS: Final = (("L", "R"), ("P", "A"), ("S", "I"))
"""What is at the ends of the axes of space (left, back, up): forwards, backwards."""
_STATE_DIRECTIONS: Final = frozenset({"DICOM", "NIfTI", "NRRD", "MetaImage"})
"""Formats whose files say where their axes point even when that is along the axes of space."""


def annotated(views: Sequence[View], info: ImageInfo) -> View:
    """Give pictures of slices side by side, each with the names of its sides around it, and a scale bar below."""
    return with_scale_bar([with_sides(view, info) for view in enlarged(views, LEAST_SIDE)])


def with_sides(view: View, info: ImageInfo) -> View:
    """
    Write where the four sides of a slice's picture point to: L, R, P, A, S, I where the file says so, else +x, -y, ...

    Args:
        view: The picture of one slice.
        info: The image.
    """
    import numpy as np

    assert view.axis is not None
    size = _letter_size(view.pixels)
    down, right = AXES_OF_PLANE[view.axis]
    names = {"bottom": _side(info, down, 0), "top": _side(info, down, 1)}
    names |= {"right": _side(info, right, 0), "left": _side(info, right, 1)}
    marks = {side: string_dots(name, size) for side, name in names.items()}
    margin = {side: _along(mark, side) + 4 * size for side, mark in marks.items()}
    (rows, columns), depth = view.pixels.shape[:2], _depth(view.pixels)
    height, width = margin["top"] + rows + margin["bottom"], margin["left"] + columns + margin["right"]
    result = _background(height, width, depth)
    result[margin["top"] : margin["top"] + rows, margin["left"] : margin["left"] + columns] = in_colours(
        view.pixels, depth
    )
    middle_row, middle_column = margin["top"] + rows // 2, margin["left"] + columns // 2
    centres = {
        "top": (margin["top"] // 2, middle_column),
        "bottom": (height - margin["bottom"] // 2, middle_column),
        "left": (middle_row, margin["left"] // 2),
        "right": (middle_row, width - margin["right"] // 2),
    }
    for side, (row, column) in centres.items():
        mark = marks[side]
        draw(result, mark, row - mark.shape[0] // 2, column - mark.shape[1] // 2, INK)
    return attrs.evolve(view, pixels=np.ascontiguousarray(result))


def with_scale_bar(views: Sequence[View]) -> View:
    """Put pictures side by side, with a bar of a round length in mm below them."""
    columns = sum(view.pixels.shape[1] for view in views)
    size = max(_letter_size(view.pixels) for view in views)
    pixel_mm = views[0].pixel_mm
    length_mm = _round_length(columns * pixel_mm / 3)
    bar = round(length_mm / pixel_mm)
    mark = string_dots(f"{length_mm:g} mm", size)
    strip = mark.shape[0] + 6 * size
    together = side_by_side(views, below=strip, least_width=bar + mark.shape[1] + 12 * size)
    top = together.pixels.shape[0] - strip + strip // 2
    together.pixels[top - size : top + size, 4 * size : 4 * size + bar, :3] = INK
    draw(together.pixels, mark, top - mark.shape[0] // 2, 8 * size + bar, INK)
    return together


def _side(info: ImageInfo, axis: Axis, end: int) -> str:
    """Give the name of an axis's far (0) or near (1) end."""
    stated = info.direction != ALONG_THE_AXES or info.format in _STATE_DIRECTIONS
    if not stated:
        return f"{'+-'[end]}{axis}"
    column = info.direction["xyz".index(axis) :: 3]
    towards = max(range(3), key=lambda along: abs(column[along]))
    return _DIRECTIONS[towards][end if column[towards] > 0 else 1 - end]


def _round_length(most: float) -> float:
    """Give the largest of 1, 2, 5, 10, ... times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(most))
    factor = max(factor for factor in (1, 2, 5) if factor * power <= most * (1 + 1e-9))
    return float(f"{factor * power:.3g}")


def _letter_size(pixels: "Bytes") -> int:
    """Give how many pixels a dot of the letters has, so that they can be read beside a picture of any size."""
    longest: int = max(pixels.shape[:2])
    return max(2, round(longest / 240))


def _along(mark: "Mask", side: str) -> int:
    rows: int
    columns: int
    rows, columns = mark.shape
    return rows if side in ("top", "bottom") else columns


def _background(rows: int, columns: int, depth: int) -> "Bytes":
    import numpy as np

    result: Bytes = np.full((rows, columns, depth), 255, np.uint8)
    result[..., :3] = GAP_COLOUR
    return result


def _depth(pixels: "Bytes") -> int:
    """Give 4 for a picture with opacity, else 3."""
    return 4 if pixels.shape[2:] == (4,) else 3
