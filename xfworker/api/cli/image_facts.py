"""What is known of an image and of its values, as JSON and as a table."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.console import print_table
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    from xfworker.services.images.statistics import Statistics

_PERCENTILES = (1, 50, 99)
_MOST_LISTED = 20


def image_document(image: ImageInfo, statistics: "Statistics | None") -> dict[str, Any]:
    """Give everything that is known of an image as JSON values."""
    document: dict[str, Any] = {
        "path": str(image.path),
        "format": image.format,
        "format_version": image.format_version,
        "encoding": image.encoding,
        "kind": image.kind,
        "axes": image.axes,
        "size": list(image.size),
        "pixel_type": image.pixel_type.value,
        "byte_order": image.byte_order,
        "pixels_offset": image.pixels_offset,
        "spacing_mm": list(image.spacing_mm),
        "origin_mm": list(image.origin_mm),
        "direction": list(image.direction),
        "ipl_compatible": image.is_ipl_compatible,
        "calibrations": [line.metadata for line in image.calibrations],
        "default_unit_type": image.default_unit_type,
        "labels": [dict(label) for label in image.labels],
        "assumptions": list(image.assumptions),
        "files": [str(path) for path in image.files],
        "header": dict(image.header),
    }
    if statistics is not None:
        document["statistics"] = statistics_document(image, statistics)
    return document


def statistics_document(image: ImageInfo, statistics: "Statistics") -> dict[str, Any]:
    values = _values(statistics)
    result: dict[str, Any] = {
        **_counts(statistics),
        "raw": {**values, "standard_deviation": statistics.standard_deviation},
    }
    for line in image.calibrations:
        result.setdefault("calibrated", {})[line.unit_type] = calibrated_document(line, statistics)
    return result


def unit_document(line: Calibration, statistics: "Statistics") -> dict[str, Any]:
    """Give statistics in one unit only, in the shape of ``statistics_document``."""
    return {**_counts(statistics), "calibrated": {line.unit_type: calibrated_document(line, statistics)}}


def calibrated_document(line: Calibration, statistics: "Statistics") -> dict[str, Any]:
    """Give statistics in the unit of a calibration."""
    values = statistics.calibrated(line)
    return {
        "unit_name": line.unit_name,
        **{name: _finite(value) for name, value in _values(values).items()},
        "standard_deviation": _finite(values.standard_deviation),
    }


def _counts(statistics: "Statistics") -> dict[str, Any]:
    return {
        "pixels": statistics.count,
        "not_numbers": statistics.not_numbers,
        "nonzero": statistics.nonzero,
        "nonzero_fraction": statistics.nonzero / statistics.count,
    }


def _values(statistics: "Statistics") -> dict[str, float]:
    return {
        "minimum": statistics.minimum,
        "maximum": statistics.maximum,
        "mean": statistics.mean,
        **{f"percentile_{percent}": statistics.percentile(percent) for percent in _PERCENTILES},
    }


def _finite(value: float) -> float | None:
    """Give a number, or None where a calibration led beyond what numbers can be: JSON has no infinity."""
    return value if math.isfinite(value) else None


def print_facts(document: dict[str, Any]) -> None:
    """Print a line per fact: its name and its value."""
    print_table(("fact", "value"), _rows(document), text=("value",), show_headings=False)


def _rows(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if name == "statistics":
            yield from _statistics_rows(value)
        elif name == "calibrations":
            for line in value:
                unit = line.get("unit_name") or ""
                yield f"calibration {line['unit_type']}", f"{line['slope']!r} * raw + {line['intercept']!r} {unit}"
        elif isinstance(value, dict):
            yield from _rows(value, f"{label}: ")
        elif value not in (None, [], "", [0, 0, 0]):
            yield label, _listed(value) if isinstance(value, list) else _formatted(value)


def _statistics_rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not document["pixels"]:
        yield "values", f"none of the {document['not_numbers']} pixels is a number"
        return
    yield (
        "pixels",
        f"{document['pixels']}, {document['nonzero']} of them not 0 ({100 * document['nonzero_fraction']:.4f} %)",
    )
    if document["not_numbers"]:
        yield "not numbers", str(document["not_numbers"])
    raw = {"raw": document["raw"]} if "raw" in document else {}
    for unit_type, values in {**raw, **document.get("calibrated", {})}.items():
        unit = values.get("unit_name")
        yield (
            f"values {unit_type}",
            f"{_formatted(values['minimum'])} to {_formatted(values['maximum'])}, mean {_formatted(values['mean'])},"
            f" standard deviation {_formatted(values['standard_deviation'])},"
            f" median {_formatted(values['percentile_50'])}" + (f" [{unit}]" if unit else ""),
        )


def _listed(values: list[Any]) -> str:
    more = len(values) - _MOST_LISTED
    return ", ".join(map(_formatted, values[:_MOST_LISTED])) + (f", and {more} more" if more > 0 else "")


def _formatted(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
