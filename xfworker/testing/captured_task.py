"""Runs the job of a capture in a test, without any server."""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.api.capture.replay import Replay, replay
from xfworker.domain.errors import JobError
from xfworker.services.capture.comparison import CaptureComparison, plain
from xfworker.services.capture.manifest import FINISHED
from xfworker.services.comparison.difference import Tolerance

_LOG_LINES = 40


@define(frozen=True, slots=False)
class CapturedTask:
    """
    A captured job that was played back.

    Attributes:
        ending: ``finished``, ``error``, ``handed over``, ``exception`` or ``no finish``.
        error_message: What people read about the failure; empty where there was none.
        log: What the script wrote to stdout and stderr.
        files: The files that the script stored, by name; those of user data are ``userdata/`` and their virtual path.
        notes: What people should know about the replay.
    """

    _replay: Replay = field(repr=False)

    @property
    def ending(self) -> str:
        """How the script ended."""
        return self._replay.result.ending

    @property
    def error_message(self) -> str:
        """What people read about the failure; empty where there was none."""
        return self._replay.result.message or ""

    @property
    def log(self) -> str:
        """What the script wrote to stdout and stderr."""
        return self._replay.log

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The outputs by key, in the shape that the captured module gives them; empty where it did not finish."""
        outputs = plain(self._replay.result.outputs)
        return outputs if isinstance(outputs, dict) else {}

    @cached_property
    def units(self) -> dict[str, Any]:
        """The units that the script stated, by output."""
        units = plain(self._replay.result.units)
        return units if isinstance(units, dict) else {}

    @property
    def files(self) -> dict[str, Path]:
        """The files that the script stored, by name."""
        return dict(self._replay.result.files)

    @property
    def notes(self) -> list[str]:
        """What people should know about the replay."""
        return list(self._replay.result.notes)

    def compare(self, *, absolute: float = 0.0, relative: float = 1e-9) -> CaptureComparison:
        """
        Compare with what was captured: outputs, units, files, and the list of calls.

        Args:
            absolute: By how much numbers and voxels (in raw values) may differ.
            relative: By how much more, as a part of the expected value.
        """
        return self._replay.compare(Tolerance(absolute=absolute, relative=relative))

    def assert_same(self, *, absolute: float = 0.0, relative: float = 1e-9) -> None:
        """Compare as :meth:`compare` does, and raise AssertionError with every difference."""
        differences = self.compare(absolute=absolute, relative=relative).differences
        if differences:
            raise AssertionError("not as it was captured:\n  " + "\n  ".join(map(str, differences)))


def run_capture(
    capture: Path | str,
    target: Path | str | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    check: bool = True,
    folder: Path | None = None,
) -> CapturedTask:
    """
    Run the job of a capture without any server, in a process of its own.

    Args:
        capture: The capture, as a worker with ``xfcapture`` left it.
        target: A script, package folder or ``.xfp`` archive instead of the captured script.
        inputs: Inputs in place of the captured ones, as JSON values.
        check: Whether a script that does not finish raises.
        folder: An empty folder for what it writes; a temporary one, which stays, by default.

    Raises:
        JobError: The script did not finish; the message has the end of its log.
        UsageError: The capture cannot be read, holds no script or has no such input.
    """
    played = replay(
        Path(capture),
        folder or Path(tempfile.mkdtemp(prefix="xf-capture-")),
        target=None if target is None else Path(target),
        inputs=inputs,
        keep_log=True,
    )
    task = CapturedTask(played)
    if check and task.ending != FINISHED:
        reason = f": {task.error_message}" if task.error_message else ""
        end = "\n".join(task.log.splitlines()[-_LOG_LINES:])
        raise JobError(f"the captured script ended: {task.ending}{reason}\n--- end of the log ---\n{end}")
    return task
