"""Units of length as image files write them, and how many millimetres each one is: one table for every format."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Final

import attrs

from xfworker.domain.errors import ImageFormatError


@attrs.frozen
class LengthUnit:
    """
    A unit of length.

    Attributes:
        in_mm: Millimetres per unit.
    """

    in_mm: Decimal

    def mm(self, length: float) -> float:
        """Give a length in mm, as decimals are counted: 60.7 um are 0.0607 mm, not 0.060700000000000004."""
        length = float(length)
        return float(Decimal(repr(length)) * self.in_mm) if math.isfinite(length) else length


MILLIMETRE: Final = LengthUnit(Decimal(1))

_UNITS: Final = {
    "km": LengthUnit(Decimal(1_000_000)),
    "m": LengthUnit(Decimal(1000)),
    "dm": LengthUnit(Decimal(100)),
    "cm": LengthUnit(Decimal(10)),
    "mm": MILLIMETRE,
    "um": LengthUnit(Decimal("1e-3")),
    "nm": LengthUnit(Decimal("1e-6")),
    "pm": LengthUnit(Decimal("1e-9")),
    "inch": LengthUnit(Decimal("25.4")),
    "foot": LengthUnit(Decimal("304.8")),
    "yard": LengthUnit(Decimal("914.4")),
    "thou": LengthUnit(Decimal("0.0254")),
    "point": LengthUnit(Decimal("25.4") / 72),
    "\u00e5": LengthUnit(Decimal("1e-7")),
}

_PREFIXES: Final = {
    "kilo": "k",
    "": "",
    "deci": "d",
    "centi": "c",
    "milli": "m",
    "micro": "u",
    "nano": "n",
    "pico": "p",
}

_NAMES: Final = {
    **{f"{prefix}{stem}": f"{symbol}m" for prefix, symbol in _PREFIXES.items() for stem in ("meter", "metre")},
    "micron": "um",
    "mu": "um",
    "in": "inch",
    '"': "inch",
    "inche": "inch",  # what is left of the plural
    "ft": "foot",
    "feet": "foot",
    "yd": "yard",
    "mil": "thou",
    "pt": "point",
    "angstrom": "\u00e5",
    "\u00e5ngstr\u00f6m": "\u00e5",
}

_NO_UNIT: Final = frozenset({"", "pixel", "pixels", "voxel", "voxels", "px", "none", "?", "???", "unknown", "n/a"})

_LARGE: Final = ("Mm", "Pm")
"""Mega and peta differ from milli and pico by the case of one letter; no image is a megametre wide."""

_SHORTEST_PLURAL: Final = 4


def known_length_unit(name: str) -> LengthUnit | None:
    """
    Give the unit of length that a name stands for, or None where it is not known.

    Singular and plural, British and American spelling, upper and lower case, symbol and word are the same; the micro
    sign may be either character, a plain ``u``, or written as an escape.
    """
    plain = _bare(name)
    if plain in _LARGE:
        return None
    # Folding makes the micro sign a Greek letter, and the sign of the Angstrom the letter that it looks like.
    word = plain.casefold().replace("\\u00b5", "u").replace("\u03bc", "u").replace("a\u030a", "\u00e5").rstrip(".")
    singular = word.removesuffix("s") if len(word) >= _SHORTEST_PLURAL else word
    for candidate in (word, singular):
        unit = _UNITS.get(_NAMES.get(candidate, candidate))
        if unit is not None:
            return unit
    return None


def length_unit(name: str, path: Path, field: str) -> LengthUnit:
    """
    Give the unit of length that a file names.

    Raises:
        ImageFormatError: The unit is not known; the message names it.
    """
    unit = known_length_unit(name)
    if unit is None:
        raise ImageFormatError(
            f"{name[:60]!r} is not a unit of length that is known here (m, cm, mm, micrometer, um, nm, angstrom, inch,"
            " ...), so that its lengths cannot be read.",
            path=path,
            field=field,
        )
    return unit


def is_not_a_unit(name: str) -> bool:
    """Return whether a word stands for the absence of a unit, such as ``pixel``."""
    return _bare(name).casefold() in _NO_UNIT


def _bare(name: str) -> str:
    """Give a name without the blanks and quotation marks around it; a lone quotation mark is the sign of an inch."""
    stripped = name.strip()
    return stripped if stripped == '"' else stripped.strip("\"'").strip()
