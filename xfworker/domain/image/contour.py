"""
Contours: closed chains of neighbouring pixels around what is set in a slice, and the way back to a mask.

A chain runs through pixel centres. The outside of an object is traced counter-clockwise on screen from its first pixel
in reading order, entered from the west; the rim of a hole likewise, from the object's pixel right behind the hole's
first run. Filling an outer chain sets its pixels and what lies strictly inside (even-odd); an inner chain keeps its
pixels and clears what lies strictly inside. (How IPL does it, as the authors of ipldt read from its
files. IPL smooths chains besides; this does not, so that mask -> contours -> mask changes nothing.)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

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
    offsets = tuple(dy * row + dx for dx, dy in _AROUND)
    seen: set[int] = set()
    outer: list[Contour] = []
    inner: list[Contour] = []
    for begin in begins.tolist():
        at = begin // width * row + begin % width + 1
        if at not in seen:
            chain = _walk(cells, at, offsets, seen)
            contour = Contour(z, tuple((cell % row - 1, cell // row - 1) for cell in chain))
            (inner if contour.is_inner else outer).append(contour)
    return outer + inner


def _walk(cells: bytes, begin: int, offsets: tuple[int, ...], seen: set[int]) -> list[int]:
    """Follow one rim; a pixel whose western neighbour turns out to be background on the way is put into ``seen``."""
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


def _inside(chain: "npt.NDArray[np.int64]") -> "Mask":
    """Give what lies strictly inside a chain (x, y) within its own box, by the even-odd rule on pixel centres."""
    import numpy as np

    columns, rows = (chain.max(axis=0) + 1).tolist()
    crossings: npt.NDArray[Any] = np.zeros((rows, columns + 1), np.uint8)
    following = np.roll(chain, -1, axis=0)
    # A step between two rows crosses the upper one at its end there.
    steps = chain[:, 1] != following[:, 1]
    upper = np.where((chain[:, 1] < following[:, 1])[:, None], chain, following)[steps]
    np.add.at(crossings, (upper[:, 1], upper[:, 0] + 1), 1)
    result: Mask = (np.add.accumulate(crossings, axis=1, dtype=np.uint8)[:, :-1] & 1).astype(np.bool_)
    result[chain[:, 1], chain[:, 0]] = False
    return result


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
    filled = sorted(map(_Filled, contours), key=lambda one: (one.area, len(one.points)), reverse=True)
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
    """One contour with its inside, within its own box."""

    def __init__(self, contour: Contour) -> None:
        import numpy as np

        self.left, self.right, self.top, self.bottom = contour.box
        self.points = np.asarray(contour.points, np.int64) - (self.left, self.top)
        self.inside = _inside(self.points)
        self.area = int(np.count_nonzero(self.inside))
        y, x = divmod(int(np.argmax(self.inside)), self.inside.shape[1])
        self.sample = x + self.left, y + self.top

    def holds(self, other: "_Filled") -> bool:
        """Return whether another contour, with an inside of its own, lies within this one."""
        if not (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        ):
            return False
        x, y = other.sample
        return bool(self.inside[y - self.top, x - self.left])

    def put(self, mask: "Mask", left: int, top: int, *, clear: bool) -> None:
        """Set (or clear) what the contour encloses in a mask whose first pixel is (left, top)."""
        import numpy as np

        enclosed = self.inside
        if not clear:
            enclosed = enclosed.copy()
            enclosed[self.points[:, 1], self.points[:, 0]] = True
        height, width = mask.shape
        x0, x1 = np.clip((self.left, self.right + 1), left, left + width).tolist()
        y0, y1 = np.clip((self.top, self.bottom + 1), top, top + height).tolist()
        own = enclosed[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        mask[y0 - top : y1 - top, x0 - left : x1 - left][own] = not clear


def _doubled_area(points: Sequence[Point]) -> int:
    """Give twice the area, positive counter-clockwise on screen (y points down)."""
    before = (points[-1], *points[:-1])
    return sum(x1 * y0 - x0 * y1 for (x0, y0), (x1, y1) in zip(before, points, strict=True))
