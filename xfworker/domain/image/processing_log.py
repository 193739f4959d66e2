"""
The text that SCANCO's IPL keeps in an AIM file: what was measured, and what was done to it since.

Latin-1, one line per statement: the key up to column 30, then the value; ``!`` begins a comment. Keys repeat, so a log
is never rebuilt from its keys: it is kept as it is and appended to. Layout: gathered from files that IPL wrote.
"""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from xfworker.domain.image.calibration import (
    DENSITY,
    DENSITY_UNIT,
    HOUNSFIELD,
    LINEAR_ATTENUATION,
)
from xfworker.domain.image.scanco_calibration import ScancoCalibration

ENCODING: Final = "latin-1"
KEY_WIDTH: Final = 30
TEXT_WIDTH: Final = 50
NUMBER_WIDTH: Final = 23
TRIPLE_WIDTH: Final = 11
SEPARATOR: Final = "!" + "-" * 79

DEFAULT_UNITS: Final = {0: None, 1: HOUNSFIELD, 2: DENSITY}
"""Which unit type the number in ``Calib. default unit type`` means, as far as it was seen."""

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

Value = str | int | float | Sequence[int]


def text_of(log: str) -> str:
    """Give the log without the NUL that ends it and whatever stands behind."""
    return log.split("\0", 1)[0]


def last(log: str, key: str) -> str | None:
    """Give the value of the last line with a key that is not a comment, or None; a key may come several times."""
    # From one place where the key stands to the one before: a log may have millions of lines.
    text = text_of(log)
    start = len(text)
    while (at := text.rfind(key, 0, start)) >= 0:
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        line_text = text[start:] if end < 0 else text[start:end]
        if not line_text.startswith("!") and line_text[:KEY_WIDTH].strip() == key:
            return line_text[KEY_WIDTH:].strip()
    return None


def number(log: str, key: str) -> float | None:
    """Give the number that the last line with a key begins with, or None where it is none."""
    words = (last(log, key) or "").split()
    try:
        value = float(words[0]) if words else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def calibration_of(log: str) -> ScancoCalibration:
    """Give what the log says of the scale of its values."""
    mu_scaling = number(log, "Mu_Scaling")
    return ScancoCalibration(
        mu_scaling=1.0 if mu_scaling is None else mu_scaling,
        density_slope=number(log, "Density: slope"),
        density_intercept=number(log, "Density: intercept"),
        density_unit=last(log, "Density: unit") or None,
        mu_water=number(log, "HU: mu water"),
    )


def default_unit_type_of(log: str) -> str | None:
    """Give the unit type that values are to be shown in, or None for raw values."""
    stated = number(log, "Calib. default unit type")
    return None if stated is None else DEFAULT_UNITS.get(int(stated))


def line(key: str, value: Value) -> str:
    """Give one statement in IPL's columns."""
    head = f"{key:<{KEY_WIDTH}}"
    if isinstance(value, str):
        formatted = f"{value:<{TEXT_WIDTH}}"
    elif isinstance(value, int | float):
        formatted = f"{value:>{NUMBER_WIDTH}}" if isinstance(value, int) else _right_aligned(value, ".5f")
    else:
        formatted = " " + "".join(f"{number:>{TRIPLE_WIDTH}}" for number in value)
    return _one_line(head + formatted)


def timestamp(moment: dt.datetime) -> str:
    """Give a time the way VMS writes it, such as `` 4-APR-2023 12:38:59.06``."""
    month = _MONTHS[moment.month - 1]
    hundredths = moment.microsecond // 10_000
    return f"{moment.day:2d}-{month}-{moment.year:04d} {moment:%H:%M:%S}.{hundredths:02d}"


def appended(
    log: str,
    procedure: str,
    when: dt.datetime,
    values: Iterable[tuple[str, Value]] = (),
    scale: Sequence[str] = (),
) -> str:
    """
    Give the log with one more entry at its end, terminated by a NUL; what stood there stays as it was.

    Args:
        log: The log so far, with or without its NUL; may be empty.
        procedure: What was done, in a few words.
        when: When it was done.
        values: Further statements of the entry.
        scale: Lines about the scale of values, of ``changed_calibration_lines``.
    """
    body = text_of(log) or f"!\n! Processing Log\n!\n{SEPARATOR}\n"
    if not body.endswith("\n"):
        body += "\n"
    entry = [line("Procedure:", procedure), line("Time", timestamp(when))]
    entry += [line(key, value) for key, value in values]
    if scale:
        entry += [SEPARATOR, *scale]
    return body + "\n".join((*entry, SEPARATOR)) + "\n\0"


def changed_calibration_lines(log: str, scale: ScancoCalibration, default_unit_type: str | None) -> list[str]:
    """
    Give what is to be appended to a log so that its last statements about the scale of values are these; none where
    they are already.

    A calibration that the log states and the image does not have gets zeros, which stand for none, as in an ISQ.
    """
    before = calibration_of(log)
    default = default_unit_type if default_unit_type in DEFAULT_UNITS.values() else None
    if before.calibrations() == scale.calibrations() and default_unit_type_of(log) == default:
        return []
    stated = attrs.evolve(
        scale,
        density_slope=_or_none_stated(scale.density_slope, before.density_slope),
        density_intercept=_or_none_stated(scale.density_intercept, before.density_intercept),
        mu_water=_or_none_stated(scale.mu_water, before.mu_water),
    )
    return calibration_lines(stated, default)


def _or_none_stated(value: float | None, before: float | None) -> float | None:
    return 0.0 if value is None and before is not None else value


def calibration_lines(scale: ScancoCalibration, default_unit_type: str | None, name: str = "") -> list[str]:
    """Give the block of statements that IPL writes about the scale of values."""
    scaling = int(scale.mu_scaling) if scale.mu_scaling == int(scale.mu_scaling) else scale.mu_scaling
    lines = [line("Mu_Scaling", scaling)]
    if scale.density_slope is None and scale.mu_water is None:
        return lines
    unit = {HOUNSFIELD: "1 (HU)", DENSITY: "2 (Density)", LINEAR_ATTENUATION: "0 (Native)"}.get(
        default_unit_type or "", "0 (Native)"
    )
    if name:
        lines.append(line("Calibration Data", name))
    lines.append(line("Calib. default unit type", unit))
    if scale.density_slope is not None and scale.density_intercept is not None:
        lines.append(line("Density: unit", scale.density_unit or DENSITY_UNIT))
        lines.append(line("Density: slope", _right_aligned(scale.density_slope, ".8e")).rstrip())
        lines.append(line("Density: intercept", _right_aligned(scale.density_intercept, ".8e")).rstrip())
    if scale.mu_water is not None:
        lines.append(line("HU: mu water", scale.mu_water))
    return lines


def begun(
    created_by: str,
    when: dt.datetime,
    *,
    scan: Iterable[tuple[str, Value]],
    scale: ScancoCalibration,
    default_unit_type: str | None,
    calibration_name: str = "",
) -> str:
    """
    Give the log of an image that had none: who wrote it, how it was scanned, and the scale of its values.

    Args:
        created_by: The program.
        when: The time of writing.
        scan: Statements about the scan, in order; an empty key separates blocks.
        scale: The scale of the values.
        default_unit_type: The unit type to show values in.
        calibration_name: What describes the calibration.
    """
    lines = [
        "!",
        "! Processing Log",
        "!",
        SEPARATOR,
        line("Created by", created_by),
        line("Time", timestamp(when)),
        *(line(key, value) if key else SEPARATOR for key, value in scan),
        SEPARATOR,
        *calibration_lines(scale, default_unit_type, calibration_name),
        SEPARATOR,
    ]
    return "\n".join(lines) + "\n\0"


def _right_aligned(value: float, style: str) -> str:
    """Give a number as IPL writes it, or with as many digits as it needs where those would make it another."""
    formatted = format(value, style)
    return f"{formatted if float(formatted) == value else repr(value):>{NUMBER_WIDTH}}"


def _one_line(text: str) -> str:
    """Keep a value from breaking out of its line or out of Latin-1."""
    flat = "".join(character if character.isprintable() else " " for character in text)
    return flat.encode(ENCODING, "replace").decode(ENCODING)
