"""``xfworker run --capture``: runs a captured job again without any server, and compares."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.api.capture.replay import Replay, inputs_of, replay
from xfworker.api.cli.console import messages, print_json, print_table
from xfworker.domain.errors import UsageError
from xfworker.domain.job_inputs import read_untyped
from xfworker.services.capture.comparison import CaptureComparison, plain
from xfworker.services.capture.manifest import FINISHED, HANDED_OVER
from xfworker.services.comparison.difference import Tolerance

_ITEM = re.compile(r"(?P<key>[^=:\s][^=:]*?)(?P<operator>:=|=)(?P<text>.*)", re.DOTALL)


@define(frozen=True, kw_only=True)
class CaptureRunOptions:
    """
    How a capture is played back.

    Attributes:
        out: Folder for the files that the script stores; made when there are any.
        as_json: Whether one JSON document is printed.
        keep: Whether the folder in which it runs stays.
    """

    out: Path
    as_json: bool = False
    keep: bool = False


def run_capture(
    path: Path, items: Sequence[str], options: CaptureRunOptions, *, target: Path | None, tolerance: Tolerance | None
) -> int:
    """
    Play a capture back.

    Args:
        path: The capture.
        items: Inputs in place of the captured ones: ``key=value`` or ``key:=json``.
        options: How it runs.
        target: A script or package instead of the captured one.
        tolerance: By how much numbers and voxels may differ, or ``None`` where nothing is compared.

    Returns:
        The exit code. Compared: 0 where everything is the same, else 1. Otherwise 0 finished, 1 failed, 3 handed over.

    Raises:
        UsageError: The capture cannot be read or holds no script, or an item is wrong.
    """
    from xfworker.adapters.disk.filesystem import LocalFilesystem
    from xfworker.adapters.process.owned_folder import owned_folder

    inputs = read_items(items, inputs_of(path) if items else {})
    with owned_folder("capture", LocalFilesystem(), keep=options.keep) as scratch:
        folder = scratch / "replay"
        folder.mkdir()
        played = replay(path, folder, target=target, inputs=inputs, stdout_is_taken=options.as_json)
        comparison = None if tolerance is None else played.compare(tolerance)
        files = _brought(played, options.out)
        if options.as_json:
            print_json(_document(played, files, comparison))
        else:
            _show(played, files, comparison, tolerance)
        if options.keep:
            messages().print(f"kept: {folder}")
    if comparison is not None:
        return int(bool(comparison.differences))
    return {FINISHED: 0, HANDED_OVER: 3}.get(played.result.ending, 1)


def read_items(items: Sequence[str], captured: Mapping[str, Any]) -> dict[str, Any]:
    """
    Read inputs that replace captured ones; a value is of the type of the captured one.

    Raises:
        UsageError: With every error, one line each.
    """
    import json

    values: dict[str, Any] = {}
    errors = []
    for word in items:
        match = _ITEM.fullmatch(word)
        if match is None:
            errors.append(f"{word!r} does not set an input; write key=value or key:=json")
            continue
        key, text = match["key"], match["text"]
        if key in values:
            errors.append(f"{key}: is given twice")
            continue
        try:
            values[key] = json.loads(text) if match["operator"] == ":=" else _like(captured.get(key), text)
        except ValueError as error:
            errors.append(f"{key}: {error}")
    if errors:
        raise UsageError("these inputs cannot be used:\n  " + "\n  ".join(errors))
    return values


def _like(captured: Any, text: str) -> Any:
    value = read_untyped(text)
    if isinstance(captured, str):
        return text
    if isinstance(captured, bool) != isinstance(value, bool) and isinstance(captured, bool):
        raise ValueError(f"{text!r} is not true or false, which the captured value is")
    if isinstance(captured, int | float) and not isinstance(captured, bool):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(  # noqa: TRY004  about a word of the command line
                f"{text!r} is not a number, which the captured value {captured} is"
            )
        return float(value) if isinstance(captured, float) else value
    if isinstance(captured, dict | list):
        raise ValueError(  # noqa: TRY004  as above
            "the captured value is an object or list; give another one as JSON with key:=json"
        )
    return value


def _brought(played: Replay, out: Path) -> dict[str, str]:
    """Bring the files that the script stored to the folder for them."""
    from xfworker.adapters.disk.filesystem import LocalFilesystem

    filesystem = LocalFilesystem()
    brought = {}
    for name, path in played.result.files.items():
        out.mkdir(parents=True, exist_ok=True)
        target = filesystem.unique_path(out / Path(name).name)
        filesystem.copy(path, target)
        brought[name] = str(target.resolve())
    return brought


def _document(played: Replay, files: Mapping[str, str], comparison: CaptureComparison | None) -> dict[str, Any]:
    result = played.result
    document = {
        "ending": result.ending,
        "message": result.message,
        "outputs": plain(result.outputs),
        "units": plain(result.units),
        "files": dict(files),
        "notes": list(result.notes),
    }
    return document if comparison is None else {**document, "comparison": comparison.to_json()}


def _show(
    played: Replay, files: Mapping[str, str], comparison: CaptureComparison | None, tolerance: Tolerance | None
) -> None:
    result, console = played.result, messages()
    units = plain(result.units) or {}
    if result.ending == FINISHED:
        outputs = plain(result.outputs) or {}
        rows = [(key, value, units.get(key)) for key, value in outputs.items()] if isinstance(outputs, dict) else []
        print_table(("output", "value", "unit"), rows, title="finished", text=("output", "value"))
    else:
        # What an uncaught exception says has been written by the script itself.
        reason = f": {result.message}" if result.message and result.ending != "exception" else ""
        console.print(f"the script ended: {result.ending}{reason}")
    for name, path in files.items():
        console.print(f"stored {name}: {path}")
    for note in result.notes:
        console.print(f"note: {note}")
    if comparison is None:
        return
    for difference in comparison.differences:
        console.print(f"different: {difference}", style="red")
    for call in comparison.new_calls:
        console.print(f"asked only now: {call}")
    for call in comparison.left_out_calls:
        console.print(f"asked only then: {call}")
    for note in comparison.notes:
        console.print(f"note: {note}")
    if not comparison.differences:
        console.print(f"everything is as it was captured (tolerance: {tolerance})", style="green")
