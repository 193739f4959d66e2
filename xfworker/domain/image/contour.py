"""
Contours: closed chains of neighbouring pixels around what is set in a slice, and the way back to a mask.

A chain runs through pixel centres. The outside of an object is traced counter-clockwise on screen from its first pixel
in reading order, entered from the west; the rim of a hole likewise, from the object's pixel right behind the hole's
first run. Filling an outer chain sets its pixels and what lies strictly inside (even-odd); an inner chain keeps its
pixels and clears what lies strictly inside. (How IPL does it, as the authors of ipldt read from its
files. IPL smooths chains besides; this does not, so that mask -> contours -> mask changes nothing.)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

Point = tuple[int, int]

_AROUND: Final = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours (x, y) counter-clockwise on screen, from the west."""


@attrs.frozen
class Contour:
    """
    One closed chain in one slice.

    Attributes:
        z: The slice.
        points: Pixels (x, y), each next to the one before, the last next to the first.
    """

    z: int
    points: tuple[Point, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest and largest x, then the smallest and largest y."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return min(xs), max(xs), min(ys), max(ys)

    @property
    def is_inner(self) -> bool:
        """Whether the chain runs clockwise on screen: around a hole, as chains are traced here and by IPL."""
        return _doubled_area(self.points) < 0


class Cells(Protocol):
    """
    Which pixels are set, by number: row after row, with one that is not set on every side.

    Pixel (x, y) has the number ``(y + 1) * row + x + 1``, where ``row`` is larger than the width by two.
    """

    def __getitem__(self, number: int, /) -> int: ...


def trace(mask: "Mask", z: int) -> list[Contour]:
    """
    Trace every object (8-connected) and every hole (4-connected) of one slice.

    Args:
        mask: Shape (y, x).
        z: The slice's number, for the contours.

    Returns:
        Outer contours, then inner ones, each in reading order of where they begin.
    """
    import numpy as np

    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.bool_)
    padded[1:-1, 1:-1] = mask
    row = width + 2
    cells = padded.tobytes()
    begins = np.flatnonzero(padded[:, 1:-1] & ~padded[:, :-2])
    seen: set[int] = set()
    outer: list[Contour] = []
    inner: list[Contour] = []
    for begin in begins.tolist():
        at = begin // width * row + begin % width + 1
        if at not in seen:
            contour = Contour(z, follow(cells, at, row, seen))
            (inner if contour.is_inner else outer).append(contour)
    return outer + inner


def follow(cells: Cells, begin: int, row: int, seen: set[int]) -> tuple[Point, ...]:
    """
    Follow the rim of what is set.

    Args:
        cells: What is set.
        begin: The number of a pixel on the rim, whose western neighbour is not set.
        row: How many numbers a row has.
        seen: Gets the pixels whose western neighbours turn out to be background on the way.
    """
    return tuple((cell % row - 1, cell // row - 1) for cell in _walk(cells, begin, row, seen))


def _walk(cells: Cells, begin: int, row: int, seen: set[int]) -> list[int]:
    offsets = tuple(dy * row + dx for dx, dy in _AROUND)
    chain = [begin]
    at, behind = begin, 0
    second: int | None = None
    while True:
        for turn in range(8):
            direction = (behind + turn) % 8
            if cells[at + offsets[direction]]:
                break
            if direction == 0:
                seen.add(at)
        else:
            return chain
        following = at + offsets[direction]
        if at == begin and following == second:
            chain.pop()
            return chain
        if second is None:
            second = following
        # The background that was looked at last is the direction to look from next.
        last = at + offsets[(direction - 1) % 8]
        behind = offsets.index(last - following)
        at = following
        chain.append(at)


def fill(contours: Sequence[Contour], left: int, top: int, shape: tuple[int, int]) -> "Mask":
    """
    Give the mask that the contours of one slice enclose.

    A contour that lies within an odd number of others is the rim of a hole.

    Args:
        contours: The contours of one slice, in any order and direction.
        left: The x of the mask's first column.
        top: The y of its first row.
        shape: The mask's rows and columns; what lies outside is left out.
    """
    import numpy as np

    # What holds another one has the larger inside; the rim of the hole in a thin ring has as large a one and no tails.
    filled = sorted(map(_Filled, contours), key=lambda one: (one.area, one.length), reverse=True)
    # What has no inside (single pixels, thin lines) is not a rim of a hole: it comes last, as it may lie in one.
    depths = [
        sum(other.holds(one) for other in filled[:place]) if one.area else len(filled) * 2
        for place, one in enumerate(filled)
    ]
    mask: Mask = np.zeros(shape, np.bool_)
    for depth, one in sorted(zip(depths, filled, strict=True), key=lambda pair: pair[0]):
        one.put(mask, left, top, clear=depth % 2 == 1)
    return mask


class _Filled:
    """
    One contour and what lies strictly inside, by the even-odd rule on pixel centres.

    Pixels are numbered row after row of the contour's own box. No mask is kept: those of all contours at once would
    take many times the memory of the slice.
    """

    def __init__(self, contour: Contour) -> None:
        import numpy as np

        self.left, self.right, self.top, self.bottom = contour.box
        self.length = len(contour.points)
        chain = np.asarray(contour.points, np.int64) - (self.left, self.top)
        following = np.roll(chain, -1, axis=0)
        # A step between two rows crosses the upper one at its end there, right behind the pixel.
        steps = chain[:, 1] != following[:, 1]
        upper = np.where((chain[:, 1] < following[:, 1])[:, None], chain, following)[steps]
        self._rim = np.unique(self._number(chain))
        self._crossings = np.sort(self._number(upper))
        self._runs = self._crossings.reshape(-1, 2)
        # In front of an enclosed pixel there is an odd number of crossings, as each row has an even one.
        enclosed = np.count_nonzero(self._crossings.searchsorted(self._rim) % 2)
        self.area = int((self._runs[:, 1] - self._runs[:, 0]).sum()) - enclosed
        self.sample = self._first_inside() if self.area else None

    def holds(self, other: "_Filled") -> bool:
        """Return whether another contour, with an inside of its own, lies within this one."""
        if other.sample is None or not (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        ):
            return False
        x, y = other.sample
        sample = (y - self.top) * (self.right - self.left + 1) + x - self.left
        if self._crossings.searchsorted(sample) % 2 == 0:
            return False
        return bool(self._rim.searchsorted(sample) == self._rim.searchsorted(sample, "right"))

    def put(self, mask: "Mask", left: int, top: int, *, clear: bool) -> None:
        """Set (or clear) what the contour encloses in a mask whose first pixel is (left, top)."""
        import numpy as np

        enclosed: Mask = np.zeros((self.bottom - self.top + 1, self.right - self.left + 1), np.bool_)
        pixels = enclosed.ravel()
        for before, last in self._runs.tolist():
            pixels[before + 1 : last + 1] = True
        pixels[self._rim] = not clear
        height, width = mask.shape
        x0, x1 = np.clip((self.left, self.right + 1), left, left + width).tolist()
        y0, y1 = np.clip((self.top, self.bottom + 1), top, top + height).tolist()
        own = enclosed[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        mask[y0 - top : y1 - top, x0 - left : x1 - left][own] = not clear

    def _number(self, points: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
        return points[:, 1] * (self.right - self.left + 1) + points[:, 0]

    def _first_inside(self) -> Point:
        rim = set(self._rim.tolist())
        enclosed = (pixel for before, last in self._runs.tolist() for pixel in range(before + 1, last + 1))
        first = next(pixel for pixel in enclosed if pixel not in rim)
        y, x = divmod(first, self.right - self.left + 1)
        return x + self.left, y + self.top


def _doubled_area(points: Sequence[Point]) -> int:
    """Give twice the area, positive counter-clockwise on screen (y points down)."""
    before = (points[-1], *points[:-1])
    return sum(x1 * y0 - x0 * y1 for (x0, y0), (x1, y1) in zip(before, points, strict=True))
