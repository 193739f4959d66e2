"""What an image means, as JSON text that other formats carry in a field for notes, so that it comes back."""

import json
import math
from typing import Any

import attrs

from xfworker.domain.errors import XFWorkerError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo, Kind

KEY = "xfworker"
_SCALED_TO = "scaled_to"


def line_for_others(info: ImageInfo) -> Calibration | None:
    """
    Give the one line that a format with a place for one states: to the image's default unit, or the only one there is.

    None where the image has none, or several and no default; labels have none.
    """
    if info.kind == "segments":
        return None
    unit = (info.default_unit_type or "").casefold()
    fitting = [line for line in info.calibrations if line.unit_type.casefold() == unit]
    candidates = fitting[:1] or (info.calibrations if len(info.calibrations) == 1 and not unit else ())
    for line in candidates:
        try:
            line.line()
        except XFWorkerError:
            continue
        return line
    return None


def unseen_calibrations(info: ImageInfo, seen: Calibration | None, where: str) -> tuple[str, ...]:
    """Say which calibrations stand where only this package looks; none where other programs see all that there are."""
    others = [line.unit_type for line in info.calibrations if line is not seen]
    if not others:
        return ()
    values = f"values in {seen.unit_name or seen.unit_type}" if seen is not None else "raw values"
    return (f"other programs read {values}; the calibrations to {', '.join(others)} are in {where}",)


def carried(info: ImageInfo, scaled_to: Calibration | None = None) -> str:
    """Give calibrations, kind and labels as JSON on one line, and which calibration the format itself states."""
    document = {
        "kind": info.kind,
        "pixel_calibrations": [line.metadata for line in info.calibrations],
        "default_pixel_calibration_unit_type": info.default_unit_type,
        "labels": [dict(label) for label in info.labels],
        _SCALED_TO: None if scaled_to is None else scaled_to.unit_type,
    }
    return json.dumps({KEY: document}, ensure_ascii=True, allow_nan=False)


def with_carried(info: ImageInfo, text: str) -> ImageInfo:
    """Give the image with what ``carried`` wrote; text that says something else is left alone."""
    try:
        document: Any = json.loads(text)[KEY]
        lines = tuple(Calibration(line) for line in document.get("pixel_calibrations", ()))
        labels = tuple(dict(label) for label in document.get("labels", ()))
        unit = document.get("default_pixel_calibration_unit_type")
        kind: Kind = "segments" if document.get("kind") == "segments" else "image"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, XFWorkerError):
        return info
    return attrs.evolve(
        info, calibrations=lines, labels=labels, default_unit_type=unit if isinstance(unit, str) else None, kind=kind
    )


def carried_scaling(text: str) -> str | None:
    """Give the unit type that the format itself states by the note, empty for none; None where no note says it."""
    try:
        document: Any = json.loads(text)[KEY]
        return str(document[_SCALED_TO] or "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def rescaled(slope: float, intercept: float, unit_type: str, unit_name: str | None = None) -> tuple[Calibration, ...]:
    """Give the calibration of a format that keeps one slope and intercept; none where they change nothing."""
    usable = math.isfinite(slope) and math.isfinite(intercept) and slope != 0
    if not usable or (slope, intercept) == (1, 0):
        return ()
    return (Calibration(unit_type=unit_type, unit_name=unit_name, slope=slope, intercept=intercept),)
