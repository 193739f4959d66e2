"""Contours that people draw on an image: from polygons to the chains that files hold, and back from a mask."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from xfworker.domain.errors import InvalidParameter, UsageError
from xfworker.domain.image.contour import Contour, Point, fill, trace
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.polygon import chain_of, corners_of
from xfworker.domain.parameter_shapes import is_int
from xfworker.services.images.placement import offset_in
from xfworker.services.images.slices import Axis
from xfworker.services.images.viewed_image import IMAGE, TILE, ViewedImage, tiles_along

MOST_CORNERS: Final = 1_000_000
MOST_VOXELS: Final = 1 << 30
"""How large a mask may be of which contours are shown; larger ones would keep a person waiting for minutes."""

_ALONG_Z: Final[Axis] = "z"
_CORNERS: Final = 3


def traced(polygons: Any, image: ImageInfo) -> list[Contour]:
    """
    Give the contours of what some polygons enclose, as a mask of it would be traced.

    A polygon within another one cuts a hole; what is on a polygon's line belongs to the object.

    Args:
        polygons: ``[{z, points: [[x, y], ...]}, ...]`` in voxels of the image.
        image: What they are drawn on.

    Returns:
        The contours by slice.

    Raises:
        InvalidParameter: With every polygon that cannot be right, or there is none.
    """
    by_slice: dict[int, list[tuple[Point, ...]]] = {}
    for z, corners in _checked(polygons, image):
        by_slice.setdefault(z, []).append(chain_of(corners))
    return [contour for z in sorted(by_slice) for contour in _traced(z, by_slice[z])]


def _traced(z: int, chains: list[tuple[Point, ...]]) -> Iterator[Contour]:
    xs, ys = ([point[axis] for chain in chains for point in chain] for axis in (0, 1))
    left, top = min(xs), min(ys)
    shape = (max(ys) - top + 1, max(xs) - left + 1)
    for contour in trace(fill([Contour(z, chain) for chain in chains], left, top, shape), z):
        yield Contour(z, tuple((x + left, y + top) for x, y in contour.points))


def _checked(polygons: Any, image: ImageInfo) -> list[tuple[int, tuple[Point, ...]]]:
    if not isinstance(polygons, list) or not polygons:
        raise InvalidParameter("contours: draw at least one")
    columns, rows, slices = image.size_3d
    checked: list[tuple[int, tuple[Point, ...]]] = []
    violations: list[str] = []
    count = 0
    for index, polygon in enumerate(polygons):
        described: Mapping[str, Any] = polygon if isinstance(polygon, Mapping) else {}
        z: Any = described.get("z")
        points = described.get("points")
        if not is_int(z) or not 0 <= z < slices:
            violations.append(f"contours[{index}].z: expected a slice from 0 to {slices - 1}")
        elif not isinstance(points, list) or not all(_is_in(point, columns, rows) for point in points):
            violations.append(f"contours[{index}].points: expected voxels [x, y] of the image, {columns} x {rows}")
        elif len(points) < _CORNERS:
            violations.append(f"contours[{index}].points: expected at least {_CORNERS}, got {len(points)}")
        else:
            count += len(points)
            checked.append((z, tuple((x, y) for x, y in points)))
    if count > MOST_CORNERS:
        violations.append(f"contours: expected at most {MOST_CORNERS} points in all, got {count}")
    if violations:
        raise InvalidParameter("; ".join(violations[:10]), violations)
    return checked


def _is_in(point: Any, columns: int, rows: int) -> bool:
    if not isinstance(point, list) or len(point) != len("xy") or not all(is_int(at) for at in point):
        return False
    return bool(0 <= point[0] < columns and 0 <= point[1] < rows)


def polygons_of(mask: ViewedImage, whole: ImageInfo) -> list[dict[str, Any]]:
    """
    Give the outlines of what is not 0 in a mask, or in a file of contours, as polygons in voxels of another image.

    Args:
        mask: The mask.
        whole: The image that they are shown on.

    Returns:
        ``[{z, points: [[x, y], ...]}, ...]``; ``traced`` gives the same mask of them.

    Raises:
        UsageError: The two do not share a grid of voxels, or the mask is too large.
    """
    columns, rows, slices = mask.info.size_3d
    if columns * rows * slices > MOST_VOXELS:
        raise UsageError(f"{mask.info.path.name} has {columns} x {rows} x {slices} voxels; contours are shown of fewer")
    left, top, first = offset_in(mask.info, whole)
    return [
        {"z": z + first, "points": [[x + left, y + top] for x, y in corners_of(contour.points)]}
        for z in range(slices)
        for contour in trace(_plane(mask, z), z)
    ]


def _plane(mask: ViewedImage, z: int) -> Any:
    import numpy as np

    columns, rows, _ = mask.info.size_3d
    plane = np.zeros((rows, columns), np.bool_)
    for row in range(tiles_along(rows)):
        for column in range(tiles_along(columns)):
            tile = mask.tile(IMAGE, _ALONG_Z, 0, z, row, column)
            y, x = row * TILE, column * TILE
            plane[y : y + tile.shape[0], x : x + tile.shape[1]] = tile != 0
    return plane
