"""Values that people state in a unit, as raw values of an image."""

import math
from typing import Final

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo

_ROUNDING: Final = 1e-9
"""By how much a calibration's arithmetic may miss an integer, relative to it where it is large."""


def to_raw(info: ImageInfo, value: float, unit_type: str | None) -> float:
    """
    Give the raw value of one that is stated in a unit; near an integer it is that integer.

    Args:
        info: The image.
        value: The value.
        unit_type: Such as ``Density`` or ``HU``; None for raw values.

    Raises:
        UsageError: The value is not a finite number.
        ImageError: The image has no calibration to the unit.
    """
    if not math.isfinite(value):
        raise UsageError(f"{value} is not a finite number.")
    if unit_type is None:
        return value
    raw = float(info.calibration(unit_type).calibrated_to_raw(value))
    nearest = round(raw)
    return float(nearest) if math.isclose(raw, nearest, rel_tol=_ROUNDING, abs_tol=_ROUNDING) else raw


def raw_limits(
    info: ImageInfo, lower: float | None, upper: float | None, unit_type: str | None
) -> tuple[float | None, float | None]:
    """
    Give limits that are stated in a unit as raw ones; where the unit falls with raw values, the two change places.

    Raises:
        UsageError: Neither limit is given, one is not finite, or the lower one is above the upper one.
        ImageError: The image has no calibration to the unit.
    """
    if lower is None and upper is None:
        raise UsageError(f"A range of values of {info.path} needs a lower or an upper limit.")
    if lower is not None and upper is not None and lower > upper:
        raise UsageError(f"The lower limit {lower:g} is above the upper limit {upper:g}: nothing lies between.")
    low, high = (None if limit is None else to_raw(info, limit, unit_type) for limit in (lower, upper))
    falls = unit_type is not None and info.calibration(unit_type).line()[0] < 0
    return (high, low) if falls else (low, high)
