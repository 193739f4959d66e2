"""Plays a capture back with a script, its own or another one, and compares what came of it with what was captured."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.adapters.process.played_script import run_in_foreground
from xfworker.api.capture.play import CONTENTS, ORDER, RESULT
from xfworker.api.composition.target import load_target
from xfworker.domain.errors import UsageError
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.comparison import CaptureComparison, PlayedResult, compare_played
from xfworker.services.capture.inputs import captured_inputs, with_inputs
from xfworker.services.capture.manifest import CaptureManifest
from xfworker.services.capture.reading import OpenCapture
from xfworker.services.capture.stored import stored_files
from xfworker.services.comparison.difference import Tolerance


@define(frozen=True)
class Replay:
    """
    A capture that was played back.

    Attributes:
        manifest: What the capture says of itself.
        calls: What was captured.
        result: What the script did now.
        folder: Where its files lie.
        log: What it wrote, where that was kept.
    """

    manifest: CaptureManifest
    calls: list[RecordedCall]
    result: PlayedResult
    folder: Path
    log: str = ""

    def compare(self, tolerance: Tolerance) -> CaptureComparison:
        """Compare what the script did with what was captured."""
        from xfworker.adapters.images.bitmap_pixels import read_bitmap
        from xfworker.api.composition.image_formats import image_formats

        expected = self.folder / "expected"
        expected.mkdir(exist_ok=True)

        def content(key: str, name: str) -> Path | None:
            file = self.manifest.files.get(key)
            if file is None or file.entry is None or file.is_blanked:
                return None
            target = expected / Path(name).name
            shutil.copyfile(self.folder / CONTENTS / key, target)
            return target

        return compare_played(
            self.manifest.outcome,
            self.calls,
            stored_files(self.calls),
            content,
            self.result,
            tolerance,
            image_formats(),
            read_bitmap=read_bitmap,
        )


def replay(
    path: Path,
    folder: Path,
    *,
    target: Path | None = None,
    inputs: Mapping[str, Any] | None = None,
    keep_log: bool = False,
    stdout_is_taken: bool = False,
) -> Replay:
    """
    Play a capture back.

    Args:
        path: The capture.
        folder: An empty folder for everything that is written.
        target: A script or package to run instead of the captured one.
        inputs: Inputs in place of the captured ones, by key.
        keep_log: Whether what the script writes is kept rather than shown.
        stdout_is_taken: Whether the script must not write to this process's stdout.

    Raises:
        UsageError: The capture cannot be read, holds no script, or has no such input; or the target cannot be run.
        ChecksumMismatch: The capture is damaged.
        NotEnoughSpace: The disk has no room for its files.
    """
    with OpenCapture(path) as capture:
        calls = capture.calls()
        values = dict(inputs or {})
        with_inputs(calls, values)  # so that a wrong key is an error before anything is unpacked
        (folder / CONTENTS).mkdir()
        capture.unpack_files(folder / CONTENTS)
        script = _script(capture, target, folder)
        order = {"capture": str(path.resolve()), "script": str(script), "inputs": values}
        (folder / ORDER).write_text(json.dumps(order), "utf-8")
        work = folder / "cwd"
        work.mkdir()
        log = folder / "log.txt" if keep_log else None
        environment = {**os.environ, "XFCAPTURE_OFF": "1", "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([_own_root(), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "xfworker.api.capture.play", str(folder)]
        code = run_in_foreground(command, work, environment, log=log, stdout_is_taken=stdout_is_taken)
        return Replay(
            capture.manifest,
            calls,
            _result(folder, code),
            folder,
            "" if log is None else log.read_text("utf-8", "replace"),
        )


def inputs_of(path: Path) -> dict[str, Any]:
    """Give the inputs of a captured job by key, encoded. Raises as :func:`replay`."""
    with OpenCapture(path) as capture:
        return captured_inputs(capture.calls())


def _script(capture: OpenCapture, target: Path | None, folder: Path) -> Path:
    package = folder / "package"
    package.mkdir()
    if target is not None:
        return load_target(target, package).script
    capture.unpack_package(package)
    name = capture.manifest.script
    script = None if name is None else package / Path(name).name
    if script is None or not script.is_file():
        raise UsageError(
            f"{capture.path} holds no script; name the script or package to run: xfworker run --capture FILE SCRIPT"
        )
    return script


def _result(folder: Path, code: int) -> PlayedResult:
    try:
        document = json.loads((folder / RESULT).read_text("utf-8"))
    except FileNotFoundError:
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return PlayedResult("no finish", message=f"the script's process ended {how} without a result")
    return PlayedResult(
        ending=document["ending"],
        message=document["message"],
        outputs=document["outputs"],
        units=document["units"],
        files={name: Path(path) for name, path in document["files"].items()},
        layouts=document["layouts"],
        new=[(name, args) for name, args in document["new"]],
        left_out=document["left_out"],
        notes=document["notes"],
    )


def _own_root() -> str:
    import xfworker

    return str(Path(xfworker.__file__).resolve().parents[1])
