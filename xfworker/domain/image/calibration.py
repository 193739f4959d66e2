"""How raw pixel values become physical ones: density, Hounsfield units, linear attenuation."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from xfworker.domain.errors import ImageError
from xfworker.domain.image.length_units import known_length_unit

SLOPE_INTERCEPT: Final = "slope_intercept"
SLOPE_INTERCEPT_INDIRECT: Final = "slope_intercept_indirect"

DENSITY: Final = "Density"
HOUNSFIELD: Final = "HU"
LINEAR_ATTENUATION: Final = "LinearAttenuation"

DENSITY_UNIT: Final = "mg HA/ccm"
HOUNSFIELD_UNIT: Final = "HU"
LINEAR_ATTENUATION_UNIT: Final = "1/cm"

_HOUNSFIELD_NAMES: Final = frozenset({"hu", "hounsfield", "hounsfield unit", "hounsfield units", "ct number"})
_DENSITY_NAME: Final = re.compile(
    r"(?:[kmu\u00b5\u03bc]?g)\s*(?:ha|k2hpo4|caha|hydroxyapatite)?\s*"
    r"(?:/|\s+per\s+)\s*(?:[cmd]?m(?:\^?3|\u00b3|\*\*3)|ccm|cc|m?l)"
)
_PER_LENGTH: Final = re.compile(r"(?:1?/|per)([^\d/^*-]+)|([^\d/^*-]+?)(?:\^?-1|\*\*-1|\u207b\u00b9)")

_FIELDS: Final = ("type", "unit_type", "unit_name", "slope", "intercept", "indirect_base_unit_type")


class Calibration:
    """
    A straight line from raw pixel values to values in a unit: ``calibrated = slope * raw + intercept``.

    A calibration of type ``slope_intercept_indirect`` is stated on top of another unit: its line starts at the values
    of the calibration named by ``indirect_base_unit_type``, not at raw ones. Taken from an image
    (``Image.pixel_calibrations_of_unit_type``) it knows that base and converts all the way from raw.

    Args:
        metadata: The calibration as it stands in an OMNI document; keys that are not known are kept.
        type: ``slope_intercept`` or ``slope_intercept_indirect``.
        unit_type: What is measured, such as ``Density``, ``HU`` or ``LinearAttenuation``.
        unit_name: The unit's name as people write it, such as ``mg HA/ccm``.
        slope: Units per raw value (or per unit of the base). Finite, not zero.
        intercept: The calibrated value of raw 0 (or of 0 in the base's unit). Finite.
        indirect_base_unit_type: The unit type that an indirect calibration is stated on.

    Raises:
        ImageError: A value is missing or is not a finite number.
    """

    __slots__ = ("_base", "_metadata")

    def __init__(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the attested name of the parameter
        unit_type: str | None = None,
        unit_name: str | None = None,
        slope: float | None = None,
        intercept: float | None = None,
        indirect_base_unit_type: str | None = None,
    ) -> None:
        arguments = (type, unit_type, unit_name, slope, intercept, indirect_base_unit_type)
        stated = dict(metadata or {})
        stated.update({key: value for key, value in zip(_FIELDS, arguments, strict=True) if value is not None})
        stated.setdefault("type", SLOPE_INTERCEPT)
        self._metadata = _checked(stated)
        self._base: Calibration | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """The calibration as it stands in an OMNI document."""
        return dict(self._metadata)

    @property
    def type(self) -> str:
        """``slope_intercept`` or ``slope_intercept_indirect``."""
        return str(self._metadata["type"])

    @property
    def unit_type(self) -> str:
        """What is measured."""
        return str(self._metadata["unit_type"])

    @property
    def unit_name(self) -> str | None:
        """The unit's name as people write it, or None."""
        name = self._metadata.get("unit_name")
        return None if name is None else str(name)

    @property
    def slope(self) -> float:
        """Units per raw value, or per unit of the base for an indirect calibration."""
        return float(self._metadata["slope"])

    @property
    def intercept(self) -> float:
        """The calibrated value of raw 0, or of 0 in the base's unit for an indirect calibration."""
        return float(self._metadata["intercept"])

    @property
    def indirect_base_unit_type(self) -> str | None:
        """The unit type that an indirect calibration is stated on, or None."""
        name = self._metadata.get("indirect_base_unit_type")
        return None if name is None else str(name)

    def on_base(self, base: "Calibration") -> "Calibration":
        """Give the same indirect calibration, knowing the calibration that it is stated on."""
        resolved = Calibration(self._metadata)
        resolved._base = base
        return resolved

    def raw_to_calibrated(self, x: Any) -> Any:
        """Convert raw values (a number or an array) to the unit."""
        slope, intercept = self.line()
        return x * slope + intercept

    def calibrated_to_raw(self, x: Any) -> Any:
        """Convert values in the unit (a number or an array) to raw ones; not rounded."""
        slope, intercept = self.line()
        return (x - intercept) / slope

    def raw_stddev_to_calibrated_stddev(self, s: Any) -> Any:
        """Convert a standard deviation of raw values to the unit: no intercept, and never negative."""
        return s * abs(self.line()[0])

    def raw_variance_to_calibrated_variance(self, v: Any) -> Any:
        """Convert a variance of raw values to the unit squared."""
        return v * self.line()[0] ** 2

    def line(self) -> tuple[float, float]:
        """
        Give slope and intercept from raw values all the way to the unit.

        Raises:
            ImageError: The calibration is indirect and does not know its base.
        """
        if self.type != SLOPE_INTERCEPT_INDIRECT:
            return self.slope, self.intercept
        if self._base is None:
            raise ImageError(
                f"The calibration to {self.unit_type} is stated on top of {self.indirect_base_unit_type}, which is not"
                " known here; take it from an image with pixel_calibrations_of_unit_type(), which knows both."
            )
        slope, intercept = self._base.line()
        return self.slope * slope, self.slope * intercept + self.intercept

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self._metadata == other._metadata

    def __hash__(self) -> int:
        return hash((self.type, self.unit_type, self.slope, self.intercept))

    def __repr__(self) -> str:
        unit = f" [{self.unit_name}]" if self.unit_name else ""
        return f"<Calibration {self.unit_type}{unit} = {self.slope!r} * raw + {self.intercept!r} ({self.type})>"


def _checked(stated: dict[str, Any]) -> dict[str, Any]:
    """Give the calibration's metadata with numbers as floats, or say what is wrong with it."""
    unit_type = stated.get("unit_type")
    if not isinstance(unit_type, str) or not unit_type:
        raise ImageError(f"A pixel calibration needs a unit_type, such as 'Density'; it has {unit_type!r}.")
    if stated["type"] not in (SLOPE_INTERCEPT, SLOPE_INTERCEPT_INDIRECT):
        raise ImageError(
            f"The pixel calibration to {unit_type} has type {stated['type']!r}; known are {SLOPE_INTERCEPT!r} and"
            f" {SLOPE_INTERCEPT_INDIRECT!r}."
        )
    for field in ("slope", "intercept"):
        value = stated.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ImageError(f"The pixel calibration to {unit_type} needs a finite {field}; it has {value!r}.")
        stated[field] = float(value)
    if stated["slope"] == 0:
        raise ImageError(f"The pixel calibration to {unit_type} has slope 0, so that all raw values become one.")
    if stated["type"] == SLOPE_INTERCEPT_INDIRECT and not isinstance(stated.get("indirect_base_unit_type"), str):
        raise ImageError(f"The indirect pixel calibration to {unit_type} does not name its indirect_base_unit_type.")
    return stated


def resolve(calibrations: "tuple[Calibration, ...] | list[Calibration]") -> "tuple[Calibration, ...]":
    """
    Give the calibrations with every indirect one knowing its base.

    One whose base is absent, or that leads back to itself, stays unresolved and says so when it is used.
    """
    direct = {calibration.unit_type: calibration for calibration in calibrations if calibration.type == SLOPE_INTERCEPT}
    known = dict(direct)
    pending = [calibration for calibration in calibrations if calibration.type != SLOPE_INTERCEPT]
    resolved: dict[int, Calibration] = {}
    while True:
        ready = [
            calibration
            for calibration in pending
            if id(calibration) not in resolved and calibration.indirect_base_unit_type in known
        ]
        if not ready:
            break
        for calibration in ready:
            base = known[calibration.indirect_base_unit_type or ""]
            resolved[id(calibration)] = calibration.on_base(base)
            known.setdefault(calibration.unit_type, resolved[id(calibration)])
    return tuple(resolved.get(id(calibration), calibration) for calibration in calibrations)


def unit_type_named(unit_name: str) -> str | None:
    """
    Give the unit type that the name of a unit stands for, or None where it is not known.

    For formats that name a unit and not what is measured, as DICOM's ``RescaleType`` and ImageJ's ``vunit`` do.
    """
    word = unit_name.strip().casefold()
    if word in _HOUNSFIELD_NAMES:
        return HOUNSFIELD
    if per_centimetre(unit_name) is not None:
        return LINEAR_ATTENUATION
    return DENSITY if _DENSITY_NAME.fullmatch(word) else None


def per_centimetre(unit_name: str | None) -> float | None:
    """
    Give the factor that turns values in a unit of attenuation, such as 1/mm, into 1/cm; None for another unit.

    No name is taken as 1/cm, the unit that the values of this unit type have here.
    """
    if unit_name is None:
        return 1.0
    match = _PER_LENGTH.fullmatch(unit_name.strip().replace(" ", ""))
    if match is None:
        return None
    unit = known_length_unit(match.group(1) or match.group(2))
    return None if unit is None else float(10 / unit.in_mm)
