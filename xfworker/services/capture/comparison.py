"""Compares what a script did when a capture was played back with what the captured job did."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.ports.image_codec import ImageFormats
from xfworker.services.capture.calls import RecordedCall, described
from xfworker.services.capture.stored import StoredFile, with_data
from xfworker.services.comparison.difference import Difference, Tolerance
from xfworker.services.comparison.files import BitmapReader, compare_files, compare_volumes
from xfworker.services.comparison.pixels import ArrayVolume
from xfworker.services.comparison.values import compare_values

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_ENDINGS = frozenset({"XFWorkerJob.finish", "XFWorkerJob.error", "XFWorkerJob.switch_to_interactive_mode"})
"""Calls that are compared by what the job ended with."""
_CHANGES = re.compile(r"(spawn_|update_|create_xf_|save_job)")
"""Calls by which a job changes more than its own outputs."""


@define(frozen=True)
class PlayedResult:
    """
    What a script did.

    Attributes:
        ending: How it ended.
        message: The error message that it left.
        outputs: What it finished with, encoded.
        units: The units that it stated.
        files: The files that it stored, by name.
        layouts: Pixel type and shape ``(z, y, x)`` of raw files among them, where their images state them.
        new: Calls that no recorded call answered: name and encoded arguments.
        left_out: The numbers of recorded calls that it did not make.
        notes: What people should know.
    """

    ending: str
    message: str | None = None
    outputs: Any = None
    units: Any = None
    files: Mapping[str, Path] = field(factory=dict)
    layouts: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    new: Sequence[tuple[str, Mapping[str, Any]]] = ()
    left_out: Sequence[int] = ()
    notes: Sequence[str] = ()


@define(frozen=True)
class CaptureComparison:
    """
    What is not as it was.

    Attributes:
        differences: Of outputs, units, files and changes of records.
        new_calls: What the script asks that the captured one did not, for people.
        left_out_calls: What the captured script asked and this one does not.
        notes: What could not be compared, or only in another way.
    """

    differences: list[Difference] = field(factory=list)
    new_calls: list[str] = field(factory=list)
    left_out_calls: list[str] = field(factory=list)
    notes: list[str] = field(factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the comparison as a JSON object."""
        return {
            "same": not self.differences,
            "differences": [difference.to_json() for difference in self.differences],
            "calls": {"new": self.new_calls, "left_out": self.left_out_calls},
            "notes": self.notes,
        }


def compare_played(
    outcome: Mapping[str, Any],
    calls: Sequence[RecordedCall],
    stored: Mapping[str, StoredFile],
    content: Callable[[str, str], Path | None],
    played: PlayedResult,
    tolerance: Tolerance,
    formats: ImageFormats,
    *,
    read_bitmap: BitmapReader | None = None,
) -> CaptureComparison:
    """
    Compare.

    Args:
        outcome: How the captured script ended.
        calls: Its calls.
        stored: The files that it stored.
        content: Gives a file with the content of a SHA-256 under a name, or ``None`` where the capture lacks it.
        played: What the script did now.
        tolerance: By how much numbers and voxels (in raw values) may differ.
        formats: Recognises images.
        read_bitmap: Reads pictures.
    """
    comparison = CaptureComparison()
    by_number = {call.number: call for call in calls}
    new = [(name, args) for name, args in played.new if name not in _ENDINGS]
    comparison.new_calls.extend(dict.fromkeys(described(name, args) for name, args in new))
    left_out = [by_number[number] for number in played.left_out if not _is_read(by_number[number])]
    comparison.left_out_calls.extend(dict.fromkeys(described(call.name, call.args) for call in left_out))
    ending = str(outcome.get("ending"))
    if ending != played.ending:
        reason = f": {played.message}" if played.message else ""
        message = f"the script ended otherwise: {ending} then, {played.ending} now{reason}"
        comparison.differences.append(Difference(path="ending", message=message))
        return comparison
    args = outcome.get("args")
    expected = args if isinstance(args, dict) else {}
    if ending == "finished":
        left, right = (
            _neutral([with_data(expected.get("outputs"), calls), _units(expected, calls)]),
            _neutral([played.outputs, played.units]),
        )
        comparison.differences.extend(compare_values(left[0], right[0], tolerance, "outputs"))
        comparison.differences.extend(compare_values(left[1] or {}, right[1] or {}, tolerance, "units"))
    _compare_files(comparison, stored, content, played, tolerance, formats, read_bitmap)
    for name, changes in (("left out", [call.name for call in left_out]), ("new", [name for name, _ in new])):
        for call in changes:
            if _CHANGES.match(call.rpartition(".")[2]):
                comparison.differences.append(Difference(path=f"calls.{call}", message=f"is {name}"))
    return comparison


def _is_read(call: RecordedCall) -> bool:
    """Return whether a call is compared otherwise, or only looks at data that are there."""
    return call.is_data or call.function == "__enter__" or call.name in _ENDINGS


def plain(value: Any) -> Any:
    """Give an encoded value as JSON that is compared and shown: tuples as lists, paths by name, objects by class."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("$")
    if kind is None:
        return {key: plain(item) for key, item in value.items()}
    if kind in ("tuple", "list", "set", "frozenset"):
        return [plain(item) for item in value.get("items", ())]
    if kind == "dict":
        return {str(plain(key)): plain(item) for key, item in value.get("items", ())}
    if kind == "float":
        return float(value["value"])
    if kind in ("scalar", "uuid", "datetime", "date", "time", "timedelta", "decimal"):
        return plain(value.get("value"))
    if kind == "enum":
        return value.get("name")
    return (
        f"[{kind}]" if kind in ("secret", "array", "omitted") else str(value.get("name") or value.get("class") or kind)
    )


def _units(expected: Mapping[str, Any], calls: Sequence[RecordedCall]) -> Any:
    if expected.get("units") is not None:
        return expected["units"]
    stated = [call.args.get("units") for call in calls if call.function == "set_output_units"]
    return stated[-1] if stated else None


def _neutral(value: Any) -> Any:
    """Give plain values in which each fresh UUID is a number in the order of their appearance."""
    seen: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return seen.setdefault(match[0].lower(), f"uuid {len(seen) + 1}")

    def walk(item: Any) -> Any:
        if isinstance(item, str):
            return _UUID.sub(number, item)
        if isinstance(item, dict):
            return {key: walk(inner) for key, inner in item.items()}
        return [walk(inner) for inner in item] if isinstance(item, list) else item

    return walk(plain(value))


def _compare_files(
    comparison: CaptureComparison,
    stored: Mapping[str, StoredFile],
    content: Callable[[str, str], Path | None],
    played: PlayedResult,
    tolerance: Tolerance,
    formats: ImageFormats,
    read_bitmap: BitmapReader | None,
) -> None:
    for name, file in stored.items():
        path = f"files[{name!r}]"
        actual = played.files.get(name)
        if actual is None:
            comparison.differences.append(Difference(path=path, message="was not stored"))
            continue
        expected = None if file.key is None or file.omitted else content(file.key, name)
        if expected is None:
            comparison.notes.append(f"{name} was not compared: {file.omitted or 'its content is not in the capture'}")
            continue
        layout = played.layouts.get(name)
        if layout is not None:
            comparison.differences.extend(_voxels(expected, actual, layout, tolerance, path))
            continue
        as_json = _json(expected), _json(actual)
        if Path(name).suffix.lower() == ".omni" and None not in as_json:
            comparison.differences.extend(compare_values(as_json[0], as_json[1], tolerance, path))
            continue
        found = compare_files(expected, actual, tolerance, formats, read_bitmap=read_bitmap, path=path)
        comparison.differences.extend(found)
        if found and Path(name).suffix.lower() == ".raw":
            comparison.notes.append(
                f"nothing tells the layout of the pixels of {name}, so it was compared byte by byte"
            )
    comparison.differences.extend(
        Difference(path=f"files[{name!r}]", message="was not expected") for name in played.files if name not in stored
    )


def _voxels(
    expected: Path, actual: Path, layout: Mapping[str, Any], tolerance: Tolerance, path: str
) -> list[Difference]:
    import numpy as np

    dtype = np.dtype(str(layout["dtype"]))
    volumes = []
    for file in (expected, actual):
        shape = tuple(int(n) for n in layout["shape"])
        if file.stat().st_size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
            return [Difference(path=path, message=f"has {file.stat().st_size} bytes, not those of {shape} {dtype}")]
        volumes.append(ArrayVolume(np.memmap(file, dtype, "r", 0, shape)))
    return compare_volumes(volumes[0], volumes[1], tolerance, path)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, OSError):
        return None
