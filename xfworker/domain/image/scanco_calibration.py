"""The scale of values as SCANCO's files state it, and which calibrations it can hold."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from xfworker.domain.errors import ImageError
from xfworker.domain.image.calibration import (
    DENSITY,
    DENSITY_UNIT,
    HOUNSFIELD,
    HOUNSFIELD_UNIT,
    LINEAR_ATTENUATION,
    LINEAR_ATTENUATION_UNIT,
    Calibration,
    per_centimetre,
    resolve,
    unit_type_named,
)

_HU_OF_AIR: Final = -1000.0
_ROUNDING: Final = 1e-9
_LARGEST_SCALING: Final = 2**31 - 1

Line = tuple[float, float]


@attrs.frozen
class ScancoCalibration:
    """
    What a SCANCO header or processing log says of the scale of its values.

    Attributes:
        mu_scaling: Native values per 1/cm of linear attenuation (4096 or 8192; 1 where nothing is known).
        density_slope: mg HA/ccm per 1/cm, or None.
        density_intercept: mg HA/ccm at zero attenuation, or None.
        density_unit: The density's unit as written in the file, or None.
        mu_water: Linear attenuation of water in 1/cm, or None.
    """

    mu_scaling: float
    density_slope: float | None = None
    density_intercept: float | None = None
    density_unit: str | None = None
    mu_water: float | None = None

    def calibrations(self) -> tuple[Calibration, ...]:
        """
        Give the straight lines from native values, each stated directly on them.

        mu = native / mu_scaling; density = slope * mu + intercept; HU = 1000 * mu / mu_water - 1000.
        """
        lines: list[Calibration] = []
        usable = math.isfinite(self.mu_scaling) and self.mu_scaling > 0
        if not usable:
            return ()
        slope, intercept = self.density_slope, self.density_intercept
        if slope is not None and intercept is not None and math.isfinite(slope) and math.isfinite(intercept) and slope:
            lines.append(
                Calibration(
                    unit_type=DENSITY,
                    unit_name=self.density_unit or DENSITY_UNIT,
                    slope=slope / self.mu_scaling,
                    intercept=intercept,
                )
            )
        if self.mu_water is not None and math.isfinite(self.mu_water) and self.mu_water > 0:
            lines.append(
                Calibration(
                    unit_type=HOUNSFIELD,
                    unit_name=HOUNSFIELD_UNIT,
                    slope=1000 / (self.mu_scaling * self.mu_water),
                    intercept=_HU_OF_AIR,
                )
            )
        if self.mu_scaling != 1:
            lines.append(
                Calibration(
                    unit_type=LINEAR_ATTENUATION,
                    unit_name=LINEAR_ATTENUATION_UNIT,
                    slope=1 / self.mu_scaling,
                    intercept=0.0,
                )
            )
        return tuple(lines)

    @classmethod
    def of(cls, calibrations: Iterable[Calibration], *, whole_scaling: bool = False) -> "ScancoCalibration":
        """
        Give the SCANCO statement of straight lines, for a file that is to be written.

        A line that the formulas cannot hold is left out, never bent: linear attenuation that is not 0 at native 0, HU
        that are not -1000 there, falling ones, ones in a unit that is not known. ``calibrations()`` of the result says
        what is held.

        Args:
            calibrations: The lines; of a unit type that comes several times, the first.
            whole_scaling: Whether the file states ``mu_scaling`` as an integer, as an ISQ does.
        """
        lines: dict[str, Calibration] = {}
        for calibration in resolve(tuple(calibrations)):
            lines.setdefault(calibration.unit_type.casefold(), calibration)
        mu_scaling = _mu_scaling(lines, whole=whole_scaling)
        density = _line(lines, DENSITY)
        if density is not None and not math.isfinite(density[0] * mu_scaling):
            density = None
        water = _line(lines, HOUNSFIELD)
        if water is not None and not _is_hounsfield(water, lines[HOUNSFIELD.casefold()].unit_name):
            water = None
        return cls(
            mu_scaling=mu_scaling,
            density_slope=None if density is None else density[0] * mu_scaling,
            density_intercept=None if density is None else density[1],
            density_unit=None if density is None else lines[DENSITY.casefold()].unit_name,
            mu_water=None if water is None else _finite_quotient(1000, water[0] * mu_scaling),
        )


def _line(lines: Mapping[str, Calibration], unit_type: str) -> Line | None:
    """Give the line from raw values to a unit type, or None where there is none that can be resolved."""
    calibration = lines.get(unit_type.casefold())
    try:
        return None if calibration is None else calibration.line()
    except ImageError:
        return None


def _mu_scaling(lines: Mapping[str, Calibration], *, whole: bool) -> float:
    attenuation = _line(lines, LINEAR_ATTENUATION)
    if attenuation is None:
        return 1.0
    factor = per_centimetre(lines[LINEAR_ATTENUATION.casefold()].unit_name)
    slope, intercept = attenuation
    if factor is None or slope <= 0 or abs(intercept) > _ROUNDING * slope:
        return 1.0
    scaling = _finite_quotient(1, slope * factor)
    if scaling is None:
        return 1.0
    if math.isclose(scaling, round(scaling), rel_tol=_ROUNDING):
        return float(round(scaling)) if not whole or scaling <= _LARGEST_SCALING else 1.0
    return 1.0 if whole else scaling


def _finite_quotient(above: float, below: float) -> float | None:
    """Divide, or give None where the result is more than a float can hold."""
    quotient = above / below if below else math.inf
    return quotient if math.isfinite(quotient) else None


def _is_hounsfield(line: Line, unit_name: str | None) -> bool:
    """Return whether a line is HU = 1000 mu / mu_water - 1000 for some water."""
    slope, intercept = line
    known = unit_name is None or unit_type_named(unit_name) == HOUNSFIELD
    return known and slope > 0 and math.isclose(intercept, _HU_OF_AIR, rel_tol=_ROUNDING)
