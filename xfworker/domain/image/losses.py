"""What of an image's place and meaning a file does not hold, each in one sentence."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from xfworker.domain.errors import ImageError
from xfworker.domain.image.calibration import HOUNSFIELD_UNIT, Calibration, per_centimetre
from xfworker.domain.image.description import ImageInfo

_SAME: Final = 1e-7
"""Numbers of 24 bits, as VAX F and the header of a NIfTI-1, are as close as this to what they stand for."""

_SAME_PLACE: Final = 1e-6
_SAME_LINE: Final = 1e-9


def losses(stated: ImageInfo, held: ImageInfo) -> tuple[str, ...]:
    """
    Say what a file does not hold of the image that was written to it.

    Args:
        stated: What was to be written.
        held: What the file says when it is read.
    """
    return (
        *geometry_losses(stated, held),
        *calibration_losses(stated.calibrations, held.calibrations),
        *_units_taken(stated.calibrations, held.calibrations),
    )


def geometry_losses(stated: ImageInfo, held: ImageInfo) -> tuple[str, ...]:
    """Say what a file does not hold of spacing, origin, direction and labels; arguments as ``losses``."""
    lost = []
    axes = range(sum(letter in "XYZ" for letter in stated.axes))
    spacings = [(stated.spacing_mm[axis], held.spacing_mm[axis]) for axis in axes]
    if not all(math.isclose(before, after, rel_tol=_SAME) for before, after in spacings):
        lost.append(f"the spacing {_triple(stated.spacing_mm)} mm becomes {_triple(held.spacing_mm)} mm")
    origins = zip(stated.origin_mm, held.origin_mm, stated.spacing_mm, strict=True)
    if not all(math.isclose(was, now, rel_tol=_SAME, abs_tol=_SAME_PLACE * step) for was, now, step in origins):
        lost.append(f"the origin {_triple(stated.origin_mm)} mm becomes {_triple(held.origin_mm)} mm")
    if not all(
        math.isclose(was, now, abs_tol=_SAME_PLACE) for was, now in zip(stated.direction, held.direction, strict=True)
    ):
        lost.append(
            f"where the axes point to in space, {_numbers(stated.direction)}, becomes {_numbers(held.direction)}"
        )
    if stated.labels and not held.labels:
        lost.append(f"the names of {len(stated.labels)} labels are not kept")
    return tuple(lost)


def calibration_losses(stated: Iterable[Calibration], held: Sequence[Calibration]) -> tuple[str, ...]:
    """
    Say which calibrations a file does not hold, or holds otherwise.

    Args:
        stated: The calibrations to be written.
        held: The calibrations that the file states.
    """
    lost, names = [], set()
    for calibration in stated:
        name = calibration.unit_type
        names.add(name.casefold())
        try:
            calibration.line()
        except ImageError:
            lost.append(
                f"the calibration to {name} is not kept: it is stated on {calibration.indirect_base_unit_type}, which"
                " the image does not have"
            )
            continue
        other = next((one for one in held if one.unit_type.casefold() == name.casefold()), None)
        if other is None:
            lost.append(f"the calibration {_described(calibration)} is not kept")
        elif not _is_same(calibration, other):
            lost.append(f"the calibration {_described(calibration)} becomes {_described(other)}")
    lost += [
        f"the file states a calibration {_described(other)}, which the image does not have"
        for other in held
        if other.unit_type.casefold() not in names
    ]
    return tuple(lost)


def _units_taken(stated: Iterable[Calibration], held: Sequence[Calibration]) -> Iterator[str]:
    """Say in which units a file states values whose unit the image does not name; HU are one."""
    for calibration in stated:
        other = next((one for one in held if one.unit_type.casefold() == calibration.unit_type.casefold()), None)
        if other is None or calibration.unit_name or not other.unit_name or other.unit_name == HOUNSFIELD_UNIT:
            continue
        yield f"no unit of {calibration.unit_type} is named; the file states {other.unit_name}"


def _is_same(stated: Calibration, held: Calibration) -> bool:
    factors = per_centimetre(stated.unit_name), per_centimetre(held.unit_name)
    factor = 1.0
    if stated.unit_name and held.unit_name and stated.unit_name != held.unit_name:
        if factors[0] is None or factors[1] is None:
            return False
        factor = factors[0] / factors[1]
    slope, intercept = (number * factor for number in stated.line())
    other_slope, other_intercept = held.line()
    return math.isclose(slope, other_slope, rel_tol=_SAME_LINE) and math.isclose(
        intercept, other_intercept, rel_tol=_SAME_LINE, abs_tol=_SAME_LINE * abs(slope)
    )


def _described(calibration: Calibration) -> str:
    slope, intercept = calibration.line()
    unit = f" {calibration.unit_name}" if calibration.unit_name else ""
    return f"{calibration.unit_type} = {slope:.10g} * raw {'-' if intercept < 0 else '+'} {abs(intercept):.10g}{unit}"


def _triple(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.9g}" for number in numbers)


def _numbers(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.6g}" for number in numbers)
