"""Comparing files by what they hold: images voxel by voxel, tables and JSON by value, anything else byte by byte."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xfworker.domain.errors import ImageError
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageFormats, PixelReader
from xfworker.services.comparison.difference import Difference, Tolerance
from xfworker.services.comparison.pixels import (
    ArrayVolume,
    PixelDifference,
    Pixels,
    Volume,
    compare_pixels,
    compare_shapes,
)
from xfworker.services.comparison.values import compare_values, formatted

BitmapReader = Callable[[Path], Pixels | None]
"""Gives the pixels of a picture (PNG, JPEG, ...) as an array, or ``None`` for a file that is none."""

_TABLES = {".csv", ".tsv", ".txt", ".tab"}
_LARGEST_TEXT = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
_SEPARATOR = re.compile(r"[,;\t]")


def compare_files(
    expected: Path,
    actual: Path,
    tolerance: Tolerance,
    formats: ImageFormats,
    *,
    read_bitmap: BitmapReader | None = None,
    path: str = "",
) -> list[Difference]:
    """
    List how two files differ.

    Args:
        expected: The file as it should be.
        actual: The file as it is.
        tolerance: By how much numbers and voxels (in raw values) may differ.
        formats: Recognises images by content.
        read_bitmap: Reads pictures, so that they are compared by pixels; without it they are compared by bytes.
        path: What the report calls the file; its name by default.
    """
    path = path or actual.name
    for file, what in ((expected, "expected"), (actual, "actual")):
        if not file.exists():
            return [Difference(path=path, message=f"the {what} file {file.name} is missing")]
    if _is_image(expected, formats):
        return compare_images(expected, actual, tolerance, formats, path=path)
    if read_bitmap is not None:
        pictures = read_bitmap(expected), read_bitmap(actual)
        if pictures[0] is not None and pictures[1] is not None:
            return compare_volumes(ArrayVolume(pictures[0]), ArrayVolume(pictures[1]), tolerance, path)
    by_text = _compare_texts(expected, actual, tolerance, path)
    return _compare_bytes(expected, actual, path) if by_text is None else by_text


def compare_images(
    expected: Path, actual: Path, tolerance: Tolerance, formats: ImageFormats, *, path: str = ""
) -> list[Difference]:
    """
    List how two images differ: size, pixel type, geometry, calibration, labels and every voxel.

    The formats may differ, and neither header nor processing log is compared: a log states when it was written.

    Args:
        expected: The file that describes the image as it should be.
        actual: The file that describes the image as it is.
        tolerance: By how much lengths, calibrations and voxels (in raw values) may differ.
        formats: Reads the images.
        path: What the report calls the image; its file's name by default.
    """
    path = path or actual.name
    try:
        with formats.reader(expected) as left, formats.reader(actual) as right:
            differences = compare_descriptions(left.info, right.info, tolerance, path)
            return differences + compare_volumes(OpenImage(left), OpenImage(right), tolerance, path)
    except ImageError as error:
        return [Difference(path=path, message=f"cannot be compared as an image: {error}")]


def compare_descriptions(expected: ImageInfo, actual: ImageInfo, tolerance: Tolerance, path: str) -> list[Difference]:
    """List how two images differ in what is said of them; their sizes are compared with their voxels."""
    return compare_values(_described(expected), _described(actual), tolerance, path)


def compare_volumes(expected: Volume, actual: Volume, tolerance: Tolerance, path: str) -> list[Difference]:
    """List how two volumes differ: their shapes, or else their voxels."""
    other_shape = compare_shapes(expected, actual, path)
    if other_shape is not None:
        return [other_shape]
    voxels: PixelDifference = compare_pixels(expected, actual, tolerance)
    return [Difference(path=path, message=str(voxels), figures=voxels.figures())] if voxels.differing else []


class OpenImage:
    """An open image as a volume."""

    def __init__(self, reader: PixelReader) -> None:
        self._reader = reader

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, slowest axis first: ``(z, y, x)``."""
        return self._reader.info.shape

    def read(self, start: int, stop: int) -> Pixels:
        """Give slices along the slowest axis."""
        return self._reader.read(start, stop)


def _is_image(path: Path, formats: ImageFormats) -> bool:
    try:
        return formats.probe(path) is not None
    except ImageError:
        # A broken image is a file like any other.
        return False


def _described(info: ImageInfo) -> dict[str, Any]:
    return {
        "kind": info.kind,
        "axes": info.axes,
        "pixel_type": info.pixel_type.value,
        "spacing_mm": list(info.spacing_mm),
        "origin_mm": list(info.origin_mm),
        "calibrations": {line.unit_type: line.metadata for line in info.calibrations},
        "labels": [dict(label) for label in info.labels],
    }


def _compare_texts(expected: Path, actual: Path, tolerance: Tolerance, path: str) -> list[Difference] | None:
    suffix = expected.suffix.lower()
    if suffix not in _TABLES | {".json"} or max(expected.stat().st_size, actual.stat().st_size) > _LARGEST_TEXT:
        return None
    try:
        left, right = expected.read_text("utf-8-sig"), actual.read_text("utf-8-sig")
        if suffix == ".json":
            return compare_values(json.loads(left), json.loads(right), tolerance, path)
    except ValueError:
        return None
    return compare_tables(left, right, tolerance, path)


def compare_tables(expected: str, actual: str, tolerance: Tolerance, path: str) -> list[Difference]:
    """
    List how two tables (CSV) differ, cell by cell; a difference's path ends with its line and column, both from 1.

    Args:
        expected: The table as it should be.
        actual: The table as it is.
        tolerance: By how much numbers may differ.
        path: What the report calls the table.
    """
    differences: list[Difference] = []
    left, right = expected.splitlines(), actual.splitlines()
    if len(left) != len(right):
        differences.append(Difference(path=path, message=f"expected {len(left)} lines, got {len(right)}"))
    for number, (expected_line, actual_line) in enumerate(zip(left, right, strict=False), 1):
        if expected_line != actual_line:
            differences += _compare_lines(expected_line, actual_line, tolerance, f"{path} line {number}")
    return differences


def _compare_lines(expected: str, actual: str, tolerance: Tolerance, path: str) -> list[Difference]:
    left, right = _SEPARATOR.split(expected), _SEPARATOR.split(actual)
    if len(left) != len(right):
        return [Difference(path=path, message=f"expected {formatted(expected)}, got {formatted(actual)}")]
    differences: list[Difference] = []
    for column, (expected_cell, actual_cell) in enumerate(zip(left, right, strict=True), 1):
        differences += compare_values(_cell(expected_cell), _cell(actual_cell), tolerance, f"{path}, column {column}")
    return differences


def _cell(text: str) -> Any:
    stripped = text.strip().strip('"')
    for kind in (int, float):
        try:
            return kind(stripped)
        except ValueError:
            continue
    return text


def _compare_bytes(expected: Path, actual: Path, path: str) -> list[Difference]:
    sizes = expected.stat().st_size, actual.stat().st_size
    offset = _first_difference(expected, actual)
    if offset is None:
        return []
    size = f"; {sizes[0]:,} bytes were expected, {sizes[1]:,} are there" if sizes[0] != sizes[1] else ""
    return [Difference(path=path, message=f"the content differs from byte {offset:,} on{size}")]


def _first_difference(expected: Path, actual: Path) -> int | None:
    offset = 0
    with expected.open("rb") as left, actual.open("rb") as right:
        while True:
            one, other = left.read(_BLOCK), right.read(_BLOCK)
            if one != other:
                shared = zip(one, other, strict=False)
                return offset + next((i for i, (a, b) in enumerate(shared) if a != b), min(len(one), len(other)))
            if not one:
                return None
            offset += len(one)
