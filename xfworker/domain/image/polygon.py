"""
Polygons in a slice as chains of neighbouring pixels, and chains as polygons of few corners.

Between two corners a chain steps once along the longer of the two ways for each pixel, to the pixel nearest to the
straight line (the lower one where two are as near).
"""

import math
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
    closed = (*chain, chain[0])
    corners = []
    at = 0
    while at < len(chain):
        corners.append(closed[at])
        at = _farthest(closed, at)
    return tuple(corners)


def _farthest(closed: Sequence[Point], begin: int) -> int:
    """Give the last place to which a straight line runs along the chain."""
    return begin + max(_straight(closed, begin, along, across) for along, across in ((0, 1), (1, 0)))


def _straight(closed: Sequence[Point], begin: int, along: int, across: int) -> int:
    """Give how many pixels of the chain the longest line has that goes one pixel along an axis with each."""
    farthest = 1  # a neighbour
    least, largest = -math.inf, math.inf
    for count in range(1, len(closed) - begin):
        there = closed[begin + count]
        way = there[across] - closed[begin][across]
        # The slopes of lines that come nearest to this pixel; the least is among them, as ``_line`` has it.
        least, largest = max(least, (way - 0.5) / count), min(largest, (way + 0.5) / count)
        if abs(there[along] - closed[begin][along]) != count or least >= largest:
            break
        if least <= way / count < largest:
            farthest = count
    return farthest


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
