"""Comparing the outputs of two runs of a job: values with a tolerance, files by what they hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.domain.errors import ImageError
from xfworker.domain.files import SERIAL_KEYS
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.comparison.difference import Difference, Tolerance
from xfworker.services.comparison.files import BitmapReader, compare_files
from xfworker.services.comparison.values import compare_values

OWN = "this job"
"""What stands for the serial of the job itself in neutral outputs."""
OTHER = "another record"
"""What stands for every other serial in neutral outputs."""


@define(frozen=True, kw_only=True)
class RecordedOutputs:
    """
    What a run of a job gave.

    Attributes:
        values: The outputs, neutral: see :func:`neutral_outputs`.
        files: The files that the job stored, by name. Files that belong together lie in one folder.
        units: The unit of each output.
    """

    values: Mapping[str, Any]
    files: Mapping[str, Path] = field(factory=dict)
    units: Mapping[str, Any] = field(factory=dict)


def neutral_outputs(outputs: Mapping[str, Any], job_serial: int) -> dict[str, Any]:
    """Give outputs without the serials in their file references, which are different for each run."""
    return {key: _neutral(value, job_serial) for key, value in outputs.items()}


def compare_outputs(
    expected: RecordedOutputs,
    actual: RecordedOutputs,
    tolerance: Tolerance,
    formats: ImageFormats,
    *,
    read_bitmap: BitmapReader | None = None,
) -> list[Difference]:
    """
    List how the outputs of two runs differ.

    Args:
        expected: The outputs as they should be.
        actual: The outputs as they are.
        tolerance: By how much numbers and voxels (in raw values) may differ.
        formats: Recognises images.
        read_bitmap: Reads pictures.
    """
    differences = compare_values(expected.values, actual.values, tolerance, "outputs")
    differences += compare_values(expected.units, actual.units, tolerance, "units")
    part_of_images = _pixel_files(expected.files, formats)
    for name, path in expected.files.items():
        output_path = f"files[{name!r}]"
        if name not in actual.files:
            differences.append(Difference(path=output_path, message="was not stored"))
        elif name not in part_of_images:
            differences += compare_files(
                path, actual.files[name], tolerance, formats, read_bitmap=read_bitmap, path=output_path
            )
    differences += [
        Difference(path=f"files[{name!r}]", message="was not expected")
        for name in actual.files
        if name not in expected.files
    ]
    return differences


def _pixel_files(files: Mapping[str, Path], formats: ImageFormats) -> set[str]:
    """Name the files that are compared with the image whose pixels they hold."""
    parts: set[str] = set()
    for name, path in files.items():
        try:
            info = formats.probe(path)
        except ImageError:
            continue
        if info is not None and name not in parts:
            parts.update(part.name for part in info.files if part.name != name)
    return parts


def _neutral(value: Any, job_serial: int) -> Any:
    if isinstance(value, Mapping):
        key = SERIAL_KEYS.get(str(value.get("source")))
        return {
            name: (OWN if item == job_serial and key == "job_serial" else OTHER)
            if name == key and item is not None
            else _neutral(item, job_serial)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_neutral(item, job_serial) for item in value]
    return value
