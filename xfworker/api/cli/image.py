"""``xfworker image``: look at image files, convert them, cut slices."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    from xfworker.services.images.conversion import Progress
    from xfworker.services.images.statistics import Statistics

app = App(name="image", help="Look at images, convert them and cut slices.", help_format="plaintext")

_PERCENTILES = (1, 50, 99)


@app.command
def info(
    path: Path,
    *,
    json: bool = False,
    statistics: bool = True,
    log: bool = False,
) -> int:
    """
    Show what an image file holds: header, calibration and statistics.

    The format is recognised by content. Statistics read every pixel, block after block.

    Args:
        path: The image file or folder.
        json: Print one JSON document on stdout.
        statistics: Whether to take statistics of the pixels.
        log: Print the processing log too.
    """
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images.statistics import statistics as taken

    found = None
    with image_formats().reader(path) as reader:
        image = reader.info
        if statistics:
            with _progress(f"reading {path.name}", quiet=json) as progress:
                found = taken(reader, progress)
    document = _document(image, found)
    _name_assumptions(image)
    if json:
        document["processing_log"] = image.processing_log
        print_json(document)
        return 0
    _print_table(document)
    if log and image.processing_log:
        results().print(image.processing_log, markup=False, soft_wrap=True)
    return 0


@app.command
def convert(
    source: Path,
    target: Path,
    *,
    encoding: str | None = None,
    pixel_type: Annotated[str | None, Parameter(name=["--pixel-type", "--type"])] = None,
    deidentify: bool = False,
    json: bool = False,
) -> int:
    """
    Convert an image file to the format that the target's suffix asks for.

    Values never change; a type that cannot hold them is refused. Header and processing log of an AIM are kept through
    OMNI and back. Volumes larger than memory are converted block after block.

    Args:
        source: The image file or folder; its format is recognised by content.
        target: The file to write, such as scan.omni, scan.AIM, scan.ISQ, mask.gobj or scan.nii.
        encoding: How to store pixels, in the target format's words: int16, binCmp, charCmp, bit8, vaxF, ... for AIM.
        pixel_type: The number type to convert to: uint8 ... float64. Fractions are rounded to the nearest integer.
        deidentify: Leave out patient name and indices, and say what was left out.
        json: Print one JSON document on stdout.
    """
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images.conversion import convert as converted

    with _progress(f"converting {source.name}", quiet=json) as progress:
        done = converted(
            image_formats(),
            source,
            target,
            encoding=encoding,
            pixel_type=None if pixel_type is None else _pixel_type(pixel_type),
            without_person=deidentify,
            progress=progress,
        )
    files = [str(path) for path in done.target.files]
    _name_assumptions(done.source)
    for loss in done.losses:
        messages().print(f"not in {target.name}: {loss}", markup=False, soft_wrap=True)
    if json:
        print_json(
            {
                "files": files,
                "removed": list(done.removed),
                "assumptions": list(done.source.assumptions),
                "losses": list(done.losses),
                "image": _document(done.target, None),
            }
        )
        return 0
    console = results()
    for path in files:
        console.print(path, markup=False, soft_wrap=True)
    if deidentify:
        for item in done.removed or ("nothing: no name or index was found",):
            messages().print(f"removed {item}", markup=False)
    return 0


@app.command(name="slice")
def cut(
    path: Path,
    picture: Path,
    *,
    axis: Literal["x", "y", "z", "all"] = "z",
    index: int | None = None,
    window: str = "0.5%:99.5%",
    unit: str | None = None,
    json: bool = False,
) -> int:
    """
    Write an orthogonal slice, or a montage of three, as a grey PNG.

    Args:
        path: The image file or folder.
        picture: The PNG file to write.
        axis: The axis that the slice is orthogonal to; all for the three middle slices side by side.
        index: Where on that axis, from the end when negative; the middle by default.
        window: The values that become black and white: percentiles of the slice (0.5%:99.5%) or values (0:1200).
        unit: What the window's values are stated in, such as Density or HU; raw values by default.
        json: Print one JSON document on stdout.
    """
    from xfworker.adapters.images.png import write_png
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.services.images import slices
    from xfworker.services.images.conversion import check_apart

    if axis == "all" and index is not None:
        raise UsageError("--index goes with one axis; --axis all shows the middle of each.")
    with image_formats().reader(path) as reader:
        image = reader.info
        check_apart(image, [picture])
        values = slices.montage(reader) if axis == "all" else slices.plane(reader, axis, index)
    shown = _window(image, window, unit, values)
    write_png(picture, slices.picture(values, shown), pixel_mm=_pixel_mm(image, axis))
    if json:
        rows, columns = values.shape
        print_json({"file": str(picture), "size": [columns, rows], "window": [shown.low, shown.high]})
    else:
        results().print(str(picture), markup=False, soft_wrap=True)
    return 0


def _name_assumptions(image: ImageInfo) -> None:
    """Say on stderr what an image file does not state."""
    for assumption in image.assumptions:
        messages().print(f"{image.path.name}: {assumption}", markup=False, soft_wrap=True)


def _pixel_mm(image: ImageInfo, axis: str) -> tuple[float, float]:
    x, y, z = image.spacing_mm
    finest = min(x, y, z)
    return {"z": (x, y), "y": (x, z), "x": (y, z), "all": (finest, finest)}[axis]


def _window(image: ImageInfo, text: str, unit: str | None, values: Any) -> Any:
    from xfworker.services.images.slices import Window, window_of

    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError(text)  # noqa: TRY301 - the two ways of being malformed are reported in one sentence
        limits = [float(part.strip().removesuffix("%")) for part in (low, high)]
    except ValueError:
        raise UsageError(f"A window is two values or two percentiles, 0:1200 or 0.5%:99.5%; got {text!r}.") from None
    if low.strip().endswith("%") != high.strip().endswith("%"):
        raise UsageError(f"Both ends of a window are values, or both are percentiles; got {text!r}.")
    if low.strip().endswith("%"):
        if not 0 <= limits[0] < limits[1] <= 100:  # noqa: PLR2004 - per cent
            raise UsageError(f"The percentiles of a window rise within 0 to 100; got {text!r}.")
        return window_of(values, *limits)
    if unit is not None:
        line = image.calibration(unit)
        limits = [float(line.calibrated_to_raw(limit)) for limit in limits]
    if not limits[0] < limits[1]:
        raise UsageError(f"The window {text!r} does not rise.")
    return Window(*limits)


def _pixel_type(name: str) -> PixelType:
    found = next((member for member in PixelType if member.value == name), None)
    if found is None:
        raise UsageError(f"{name!r} is not a pixel type; known are {', '.join(member.value for member in PixelType)}.")
    return found


def _document(image: ImageInfo, found: "Statistics | None") -> dict[str, Any]:
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
        "ipl_compatible": image.is_ipl_compatible,
        "calibrations": [line.metadata for line in image.calibrations],
        "default_unit_type": image.default_unit_type,
        "labels": [dict(label) for label in image.labels],
        "assumptions": list(image.assumptions),
        "files": [str(path) for path in image.files],
        "header": dict(image.header),
    }
    if found is not None:
        document["statistics"] = _statistics(image, found)
    return document


def _statistics(image: ImageInfo, found: "Statistics") -> dict[str, Any]:
    values = {
        "minimum": found.minimum,
        "maximum": found.maximum,
        "mean": found.mean,
        **{f"percentile_{percent}": found.percentile(percent) for percent in _PERCENTILES},
    }
    result: dict[str, Any] = {
        "pixels": found.count,
        "not_numbers": found.not_numbers,
        "nonzero": found.nonzero,
        "nonzero_fraction": found.nonzero / found.count,
        "raw": {**values, "standard_deviation": found.standard_deviation},
    }
    for line in image.calibrations:
        result.setdefault("calibrated", {})[line.unit_type] = {
            "unit_name": line.unit_name,
            **{name: _finite(line.raw_to_calibrated(value)) for name, value in values.items()},
            "standard_deviation": _finite(line.raw_stddev_to_calibrated_stddev(found.standard_deviation)),
        }
    return result


def _finite(value: float) -> float | None:
    """Give a number, or None where a calibration led beyond what numbers can be: JSON has no infinity."""
    return value if math.isfinite(value) else None


def _print_table(document: dict[str, Any]) -> None:
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
            yield label, ", ".join(map(_shown, value)) if isinstance(value, list) else _shown(value)


def _statistics_rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "pixels", f"{found['pixels']}, {found['nonzero']} of them not 0 ({100 * found['nonzero_fraction']:.4f} %)"
    if found["not_numbers"]:
        yield "not numbers", str(found["not_numbers"])
    for unit_type, values in {"raw": found["raw"], **found.get("calibrated", {})}.items():
        unit = values.get("unit_name")
        yield (
            f"values {unit_type}",
            f"{_shown(values['minimum'])} to {_shown(values['maximum'])}, mean {_shown(values['mean'])}, standard"
            f" deviation {_shown(values['standard_deviation'])}, median {_shown(values['percentile_50'])}"
            + (f" [{unit}]" if unit else ""),
        )


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


@contextlib.contextmanager
def _progress(title: str, *, quiet: bool) -> "Iterator[Progress | None]":
    """Show progress on stderr where that is a terminal."""
    console = messages()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(title.replace("[", "\\["), total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
