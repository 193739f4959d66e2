"""What is known of an image and of its values, as JSON and as a table."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.console import results
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    from xfworker.services.images.statistics import Statistics

_PERCENTILES = (1, 50, 99)
_MOST_LISTED = 20


def image_document(image: ImageInfo, found: "Statistics | None") -> dict[str, Any]:
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
    if found is not None:
        document["statistics"] = statistics_document(image, found)
    return document


def statistics_document(image: ImageInfo, found: "Statistics") -> dict[str, Any]:
    values = _values(found)
    result: dict[str, Any] = {
        **_counts(found),
        "raw": {**values, "standard_deviation": found.standard_deviation},
    }
    for line in image.calibrations:
        result.setdefault("calibrated", {})[line.unit_type] = calibrated_document(line, found)
    return result


def unit_document(line: Calibration, found: "Statistics") -> dict[str, Any]:
    """Give statistics in one unit only, in the shape of ``statistics_document``."""
    return {**_counts(found), "calibrated": {line.unit_type: calibrated_document(line, found)}}


def calibrated_document(line: Calibration, found: "Statistics") -> dict[str, Any]:
    """Give statistics in the unit of a calibration."""
    values = found.calibrated(line)
    return {
        "unit_name": line.unit_name,
        **{name: _finite(value) for name, value in _values(values).items()},
        "standard_deviation": _finite(values.standard_deviation),
    }


def _counts(found: "Statistics") -> dict[str, Any]:
    return {
        "pixels": found.count,
        "not_numbers": found.not_numbers,
        "nonzero": found.nonzero,
        "nonzero_fraction": found.nonzero / found.count,
    }


def _values(found: "Statistics") -> dict[str, float]:
    return {
        "minimum": found.minimum,
        "maximum": found.maximum,
        "mean": found.mean,
        **{f"percentile_{percent}": found.percentile(percent) for percent in _PERCENTILES},
    }


def _finite(value: float) -> float | None:
    """Give a number, or None where a calibration led beyond what numbers can be: JSON has no infinity."""
    return value if math.isfinite(value) else None


def print_table(document: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(document):
        table.add_row(name, value)
    results().print(table)


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
            yield label, _listed(value) if isinstance(value, list) else _shown(value)


def _statistics_rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not found["pixels"]:
        yield "values", f"none of the {found['not_numbers']} pixels is a number"
        return
    yield "pixels", f"{found['pixels']}, {found['nonzero']} of them not 0 ({100 * found['nonzero_fraction']:.4f} %)"
    if found["not_numbers"]:
        yield "not numbers", str(found["not_numbers"])
    raw = {"raw": found["raw"]} if "raw" in found else {}
    for unit_type, values in {**raw, **found.get("calibrated", {})}.items():
        unit = values.get("unit_name")
        yield (
            f"values {unit_type}",
            f"{_shown(values['minimum'])} to {_shown(values['maximum'])}, mean {_shown(values['mean'])}, standard"
            f" deviation {_shown(values['standard_deviation'])}, median {_shown(values['percentile_50'])}"
            + (f" [{unit}]" if unit else ""),
        )


def _listed(values: list[Any]) -> str:
    more = len(values) - _MOST_LISTED
    return ", ".join(map(_shown, values[:_MOST_LISTED])) + (f", and {more} more" if more > 0 else "")


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
