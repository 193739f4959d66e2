"""What an image means, as JSON text that other formats carry in a field for notes, so that it comes back."""

import json
import math
from typing import Any

import attrs

from xfworker.domain.errors import XFWorkerError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo, Kind

KEY = "xfworker"


def carried(info: ImageInfo) -> str:
    """Give calibrations, kind and labels as JSON on one line."""
    document = {
        "kind": info.kind,
        "pixel_calibrations": [line.metadata for line in info.calibrations],
        "default_pixel_calibration_unit_type": info.default_unit_type,
        "labels": [dict(label) for label in info.labels],
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


def rescaled(slope: float, intercept: float, unit_type: str, unit_name: str | None = None) -> tuple[Calibration, ...]:
    """Give the calibration of a format that keeps one slope and intercept; none where they change nothing."""
    usable = math.isfinite(slope) and math.isfinite(intercept) and slope != 0
    if not usable or (slope, intercept) == (1, 0):
        return ()
    return (Calibration(unit_type=unit_type, unit_name=unit_name, slope=slope, intercept=intercept),)
