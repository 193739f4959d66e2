"""
What TIFF files state of lengths and values beside their pixels: resolution tags, ImageJ's description, OME-XML.

ImageJ: ``FileInfo``, ``TiffDecoder`` and ``FileSaver`` of ImageJ 1.x describe the keys. Lengths are in ``unit``
(``yunit``, ``zunit``); a ``spacing`` of 1 is left out; a line of values is ``c0 + c1 * value``, where signed 16 bits
count from -32768 as 0.
"""

import html
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import rescaled
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.image.calibration import Calibration, unit_type_named
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.length_units import LengthUnit, is_not_a_unit, length_unit
from xfworker.domain.image.pixel_type import PixelType

_INCH, _CENTIMETRE = 2, 3
_SCREEN: Final = 72.0
"""Dots per inch that programs write when they know of none; ImageJ takes it so too."""

_STRAIGHT_LINE, _NO_FUNCTION = 0, 20
_SIGNED_ZERO: Final = 32768
_MOST_DENOMINATOR: Final = 2**32 - 1
_OME_SIZE: Final = re.compile(r'PhysicalSize([XYZ](?:Unit)?)\s*=\s*"([^"]*)"')
_OME_UNIT: Final = "\u00b5m"
"""What OME-XML takes where no unit is stated."""

_NO_SPACING: Final = "states no spacing (resolution); 1 mm is taken"


@attrs.frozen
class Lengths:
    """
    What a file states of lengths.

    Attributes:
        spacing_mm: Along x, y and z.
        origin_mm: The position of the first voxel.
        assumptions: What it does not state, as ``ImageInfo.assumptions``.
    """

    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    assumptions: tuple[str, ...] = ()


def lengths_of(file: Any, page: Any, depth: int, path: Path) -> Lengths:
    """
    Give the lengths of an open TIFF.

    Args:
        file: tifffile's open file.
        page: Its first page.
        depth: How many slices there are.
        path: For messages.

    Raises:
        ImageFormatError: A unit of length is not known.
    """
    if file.is_ome:
        return _ome_lengths(file.ome_metadata or "", depth, path)
    x, y, resolution_unit = _per_unit(page)
    metadata: Mapping[str, Any] = file.imagej_metadata or {}
    word = str(metadata.get("unit", "")).strip()
    if is_not_a_unit(word):
        word = resolution_unit if not is_not_a_unit(resolution_unit) else ""
    if not word:
        return Lengths((1.0, 1.0, 1.0), assumptions=(_NO_SPACING,))
    unit = length_unit(word, path, "unit")
    if not file.is_imagej:
        # Per unit of ResolutionUnit; nothing says how far apart slices are.
        if x is None or y is None:
            return Lengths((1.0, 1.0, 1.0), assumptions=(_NO_SPACING,))
        steps = unit.mm(1 / x), unit.mm(1 / y)
        said = f"states no distance between slices; {steps[0]:.9g} mm, the spacing of x, is taken"
        return Lengths((*steps, steps[0]), assumptions=(said,) if depth > 1 else ())
    units = [unit, *(_own_unit(metadata, key, unit, path) for key in ("yunit", "zunit"))]
    between = metadata.get("spacing")
    stated = isinstance(between, int | float) and math.isfinite(between) and between != 0
    assumptions = []
    if depth > 1 and not stated:
        assumptions.append(f"states no distance between slices; 1 {word} is taken, which ImageJ leaves out")
    if x is None or y is None:
        assumptions.append(f"states no resolution; 1 {word} is taken")
    numbers = (1 / (x or 1.0), 1 / (y or 1.0), abs(float(between)) if stated and between is not None else 1.0)
    spacing = tuple(unit.mm(number) for unit, number in zip(units, numbers, strict=True))
    origins = [metadata.get(f"{axis}origin", 0) for axis in "xyz"]
    origin = [
        -float(at) * step + 0.0 if isinstance(at, int | float) and math.isfinite(at) else 0.0
        for at, step in zip(origins, spacing, strict=True)
    ]
    return Lengths((spacing[0], spacing[1], spacing[2]), (origin[0], origin[1], origin[2]), tuple(assumptions))


def _own_unit(metadata: Mapping[str, Any], key: str, unit: LengthUnit, path: Path) -> LengthUnit:
    word = str(metadata.get(key, "")).strip()
    return unit if is_not_a_unit(word) else length_unit(word, path, key)


def _per_unit(page: Any) -> tuple[float | None, float | None, str]:
    """Give the pixels per unit along x and y, None where they are not stated, and the unit of the tag."""
    per_unit: list[float | None] = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        top, bottom = tag.value if tag is not None else (0, 0)
        per_unit.append(top / bottom if top > 0 and bottom > 0 else None)
    # The tag's default is inches; without resolutions it says nothing.
    unit = int(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else _INCH
    word = {_INCH: "inch", _CENTIMETRE: "cm"}.get(unit, "")
    if per_unit == [None, None] or (word == "inch" and per_unit == [_SCREEN, _SCREEN]):
        word = ""
    return per_unit[0], per_unit[1], word


def _ome_lengths(xml: str, depth: int, path: Path) -> Lengths:
    stated = {name: html.unescape(value) for name, value in _OME_SIZE.findall(xml.partition("</Image>")[0])}
    steps, missing = [], []
    for axis in "XYZ":
        word = stated.get(f"{axis}Unit", _OME_UNIT)
        try:
            number = float(stated.get(axis, "nan"))
        except ValueError:
            number = math.nan
        usable = 0 < number < math.inf and not is_not_a_unit(word)
        if not usable and (axis != "Z" or depth > 1):
            missing.append(axis.lower())
        steps.append(length_unit(word, path, f"PhysicalSize{axis}Unit").mm(number) if usable else 1.0)
    assumptions = (f"states no spacing along {', '.join(missing)} (PhysicalSize); 1 mm is taken",) if missing else ()
    return Lengths((steps[0], steps[1], steps[2]), assumptions=assumptions)


def calibrations_of(file: Any, pixel_type: PixelType) -> tuple[tuple[Calibration, ...], tuple[str, ...]]:
    """Give the line of values that ImageJ's description states, and what it states that is not one."""
    metadata: Mapping[str, Any] = (file.imagej_metadata or {}) if file.is_imagej else {}
    unit = _unescaped(str(metadata.get("vunit", "")).strip())
    unit_type = unit_type_named(unit) if unit else None
    coefficients = [metadata.get(f"c{number}") for number in (0, 1)]
    function = metadata.get("cf", _STRAIGHT_LINE)
    if pixel_type.is_float or function == _NO_FUNCTION or None in coefficients:
        # ImageJ states the unit of values that are calibrated already.
        own = pixel_type.is_float and unit_type is not None
        return (Calibration(unit_type=unit_type, unit_name=unit, slope=1, intercept=0),) if own else (), ()
    if function != _STRAIGHT_LINE or "c2" in metadata:
        return (), (f"states values by a function that is not a straight line (cf={function}); they are raw here",)
    try:
        intercept, slope = (float(number) for number in coefficients if number is not None)
        if pixel_type is PixelType.INT16:
            intercept += slope * _SIGNED_ZERO
        if unit_type is None:
            return rescaled(slope, intercept, "Scaled", unit or None), ()
        return (Calibration(unit_type=unit_type, unit_name=unit, slope=slope, intercept=intercept),), ()
    except (TypeError, ValueError, XFWorkerError):
        return (), (f"states values by c0 = {coefficients[0]}, c1 = {coefficients[1]}, which is not a line",)


def _unescaped(text: str) -> str:
    """Give a string whose characters ImageJ wrote as a backslash, u and four digits."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def imagej_description(image: ImageInfo, line: Calibration | None, *, is_contiguous: bool, note: str) -> str:
    """
    Give the text in which ImageJ looks for distances and the line of values.

    Args:
        image: What is written.
        line: The line to state; of integers of 8 or 16 bits, the others have none in ImageJ.
        is_contiguous: Whether the pixels of all slices are behind one another; ImageJ takes ``images`` to say so.
        note: A line of this package's own, which ImageJ leaves alone.
    """
    depth = image.size_3d[2]
    lines = ["ImageJ=1.54f"]
    if depth > 1:
        lines += [f"images={depth}"] if is_contiguous else []
        lines += [f"slices={depth}"]
    lines.append("unit=mm")
    if line is not None:
        slope, intercept = line.line()
        begin = intercept - slope * _SIGNED_ZERO if image.pixel_type is PixelType.INT16 else intercept
        unit = (line.unit_name or line.unit_type).encode("ascii", "backslashreplace").decode("ascii")
        unit = re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", unit).replace("\n", " ")
        lines += ["cf=0", f"c0={begin!r}", f"c1={slope!r}", f"vunit={unit}"]
    if depth > 1:
        lines.append(f"spacing={image.spacing_mm[2]!r}")
    lines.append("loop=false")
    origin = [-at / step + 0.0 for at, step in zip(image.origin_mm, image.spacing_mm, strict=True)]
    lines += [f"{axis}origin={at!r}" for axis, at in zip("xyz", origin, strict=True) if at]
    return "\n".join((*lines, note)) + "\n"


def has_line_in_imagej(pixel_type: PixelType) -> bool:
    """Return whether ImageJ calibrates values of a type by a line; it takes those of others as they are."""
    return pixel_type in (PixelType.UINT8, PixelType.INT16, PixelType.UINT16)


def pixels_per(length_mm: float) -> tuple[int, int]:
    """Give the pixels per mm as the two integers of a resolution tag, as near as these can be."""
    step = Fraction(repr(length_mm))
    largest = min(_MOST_DENOMINATOR, max(1, int(_MOST_DENOMINATOR * step)))
    per_mm = (1 / step).limit_denominator(largest)
    return max(1, per_mm.numerator), per_mm.denominator
