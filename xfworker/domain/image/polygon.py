"""
Polygons in a slice as chains of neighbouring pixels, and chains as polygons of few corners.

Between two corners a chain steps once along the longer of the two ways for each pixel, to the pixel nearest to the
straight line (the lower one where two are as near).
"""

from collections.abc import Sequence

from xfworker.domain.image.contour import Point


def chain_of(corners: Sequence[Point]) -> tuple[Point, ...]:
    """Give the chain along a closed polygon: pixels, each next to the one before, the last next to the first."""
    chain: list[Point] = []
    for here, there in zip(corners, (*corners[1:], corners[0]), strict=True):
        chain += _line(here, there)[:-1] if here != there else []
    return tuple(chain) or (corners[0],)


def corners_of(chain: Sequence[Point]) -> tuple[Point, ...]:
    """
    Give few corners of a polygon that has a chain: ``chain_of`` gives the chain back.

    Args:
        chain: Pixels, each next to the one before, the last next to the first.
    """
    if len(chain) == 1:
        return tuple(chain)
    closed = (*chain, chain[0])
    corners = []
    at = 0
    while at < len(chain):
        corners.append(closed[at])
        at = _farthest(closed, at)
    return tuple(corners)


def _farthest(closed: Sequence[Point], begin: int) -> int:
    """Give the last place to which a straight line runs along the chain."""
    x0, y0 = closed[begin]
    ends = [begin + 1]
    # Every pixel of a line lies within half a pixel of it, so the slopes that it may have become ever fewer.
    flat, steep = [-1.0, 1.0], [-1.0, 1.0]
    for end in range(begin + 1, len(closed)):
        dx, dy = closed[end][0] - x0, closed[end][1] - y0
        count = end - begin
        if abs(dx) == count:
            _narrow(flat, dy, dx)
            ends += [end] if flat[0] <= dy / dx <= flat[1] else []
        if abs(dy) == count:
            _narrow(steep, dx, dy)
            ends += [end] if steep[0] <= dx / dy <= steep[1] else []
        if (abs(dx) != count or flat[0] > flat[1]) and (abs(dy) != count or steep[0] > steep[1]):
            break
    return next(end for end in reversed(ends) if _line(closed[begin], closed[end]) == list(closed[begin : end + 1]))


def _narrow(slopes: list[float], across: int, along: int) -> None:
    bounds = sorted(((across - 0.5) / along, (across + 0.5) / along))
    slopes[:] = max(slopes[0], bounds[0]), min(slopes[1], bounds[1])


def _line(here: Point, there: Point) -> list[Point]:
    """Give the pixels from one to a different one, both included."""
    (x0, y0), (x1, y1) = here, there
    dx, dy = x1 - x0, y1 - y0
    count = max(abs(dx), abs(dy))
    # Counted in whole numbers: halves would be rounded otherwise on the way back.
    return [
        (x0 + (2 * step * dx + count) // (2 * count), y0 + (2 * step * dy + count) // (2 * count))
        for step in range(count + 1)
    ]
