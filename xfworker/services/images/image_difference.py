"""The difference of two images of one grid, as tiles: values in the unit that both are calibrated to."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.services.images.pictures import Window
from xfworker.services.images.placement import offset_in
from xfworker.services.images.slices import Axis
from xfworker.services.images.viewed_image import IMAGE, SAMPLED, ViewedImage

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_HIGH_PERCENT: Final = 99.5


@attrs.frozen
class Unit:
    """
    The unit of differences.

    Attributes:
        unit_type: What is measured, or ``None`` for raw values.
        unit_name: The unit's name.
    """

    unit_type: str | None = None
    unit_name: str | None = None


class ImageDifference:
    """
    An image minus another one.

    Attributes:
        image: The one whose values count.
        other: The one that is subtracted.
        unit: What differences are in.
        key: Names the two contents and the unit.
    """

    def __init__(self, image: ViewedImage, other: ViewedImage) -> None:
        """
        Take two open images.

        Raises:
            UsageError: They are not of one grid of voxels and of one unit, or one has segments; the message says where
                they differ.
        """
        _require_one_grid(image.info, other.info)
        self.image, self.other = image, other
        self.unit = _shared_unit(image.info, other.info)
        self._lines = [_line(info, self.unit) for info in (image.info, other.info)]
        text = f"difference {image.key} {other.key} {self.unit.unit_type}"
        self.key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def sources(self, axis: Axis) -> list[str | None]:
        """Give where tiles come from by now, for each level; None where one of the two has none there yet."""
        pairs = zip(self.image.sources(axis), self.other.sources(axis), strict=True)
        return [_shared_source(one, other, is_direct=axis == "z") for one, other in pairs]

    def tile(self, source: str, axis: Axis, level: int, index: int, row: int, column: int) -> "Array":
        """
        Give one tile of a plane; arguments, shape and errors are those of ``ViewedImage.tile``.

        Returns:
            float32, in the unit. Coarse levels are means as their pyramids have them, of integers rounded ones.
        """
        one, other = (image.tile(source, axis, level, index, row, column) for image in (self.image, self.other))
        return self._difference(one, other)

    def window(self) -> Window:
        """Give as much below 0 as above it, by the differences in the middle slice of the coarsest level."""
        import numpy as np

        level = self.image.levels[-1]
        tile = self.tile(IMAGE, "z", level.number, level.size[2] // 2, 0, 0)
        finite = np.abs(tile[np.isfinite(tile)])
        if not finite.size:
            return Window(-1.0, 1.0)
        reach = float(np.percentile(finite, _HIGH_PERCENT)) or float(finite.max()) or 1.0
        return Window(-reach, reach)

    def _difference(self, one: "Array", other: "Array") -> "Array":
        import numpy as np

        (slope, intercept), (other_slope, other_intercept) = self._lines
        # In double precision: the difference of large values that are nearly equal is not lost to rounding.
        values = slope * one.astype(np.float64) - other_slope * other.astype(np.float64) + (intercept - other_intercept)
        result: Array = values.astype(np.float32)
        return result


def _require_one_grid(info: ImageInfo, other: ImageInfo) -> None:
    both = f"there is no difference of {info.path.name} and {other.path.name}"
    for one in (info, other):
        if one.kind == "segments":
            raise UsageError(f"{both}: {one.path.name} has segments; lay them over an image")
    if info.size_3d != other.size_3d:
        sizes = " and ".join(" x ".join(map(str, one.size_3d)) for one in (info, other))
        raise UsageError(f"{both}: they have {sizes} voxels; bring both to one grid first")
    # By their names alone: where they lie on the server is nobody's business.
    named = [attrs.evolve(one, path=Path(one.path.name)) for one in (info, other)]
    offset = offset_in(named[0], named[1])
    if offset != (0, 0, 0):
        raise UsageError(f"{both}: one begins {offset} voxels (x, y, z) beside the other; bring both to one grid first")


def _shared_unit(info: ImageInfo, other: ImageInfo) -> Unit:
    units = [{(c.unit_type, c.unit_name) for c in one.calibrations} for one in (info, other)]
    if not units[0] and not units[1]:
        return Unit()
    shared = units[0] & units[1]
    for wanted in (info.default_unit_type, other.default_unit_type):
        for unit_type, unit_name in sorted(shared, key=str):
            if unit_type == wanted:
                return Unit(unit_type, unit_name)
    if shared:
        return Unit(*min(shared, key=str))
    said = " and ".join(", ".join(sorted(str(name or kind) for kind, name in one)) or "no unit" for one in units)
    raise UsageError(
        f"there is no difference of {info.path.name} and {other.path.name}: their values are in {said}, and have no"
        " unit in common"
    )


def _line(info: ImageInfo, unit: Unit) -> tuple[float, float]:
    return (1.0, 0.0) if unit.unit_type is None else info.calibration(unit.unit_type).line()


def _shared_source(one: str | None, other: str | None, *, is_direct: bool) -> str | None:
    if one == other:
        return one
    if one is None or other is None:
        return None
    # One of them is prepared, the other is not: what both still have is as it was before.
    if is_direct:
        return IMAGE
    return SAMPLED if SAMPLED in (one, other) else IMAGE
