"""Outputs kept as files beside a test, to be compared with those of later runs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from xfworker.domain.errors import UsageError
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.outputs import RecordedOutputs, compare_outputs, neutral_outputs
from xfworker.testing.task_result import TaskResult

FOLDER = "__snapshots__"
"""The folder beside a test file that holds its snapshots."""
UPDATE_OPTION = "--xf-update-snapshots"
"""The option of pytest that writes snapshots instead of comparing with them."""

LARGEST_BYTES = 32 * 1024 * 1024
"""How large the files of one snapshot may be together: they are kept with the tests."""

_OUTPUTS = "outputs.json"
_FILES = "files"
_SHOWN = 20


class Snapshots:
    """
    The snapshots of one test.

    Attributes:
        folder: Where they lie.
        update: Whether they are written instead of compared.
    """

    def __init__(self, test_file: Path, test_name: str, *, update: bool) -> None:
        """Find the folder of a test's snapshots."""
        self.folder = test_file.parent / FOLDER / test_file.stem / re.sub(r"[^A-Za-z0-9._-]+", "_", test_name)
        self.update = update
        self._used: set[str] = set()

    def __call__(
        self, result: TaskResult, name: str = "outputs", *, absolute: float = 0.0, relative: float = 1e-6
    ) -> None:
        """
        Compare what a task gave with what it gave when the snapshot was written.

        Args:
            result: What the task gave.
            name: Distinguishes several snapshots of one test.
            absolute: By how much numbers and voxels may differ.
            relative: By how much more, as a part of the kept value.

        Raises:
            AssertionError: Something is different, or there is no snapshot yet; the message lists what and says how to
                write it.
            UsageError: The files are too large to be kept, or the name is used twice in one test.
        """
        if name in self._used:
            raise UsageError(f"this test has compared with the snapshot {name!r} before; give each one a name")
        self._used.add(name)
        snapshot = self.folder / re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        actual = RecordedOutputs(
            values=neutral_outputs(result.job.outputs, result.job.serial),
            files=result.files,
            units=result.job.metadata.get("output_units") or {},
        )
        if self.update:
            _write(snapshot, actual)
            return
        if not (snapshot / _OUTPUTS).exists():
            raise AssertionError(f"there is no snapshot {snapshot} yet; write it with: pytest {UPDATE_OPTION}")
        from xfworker.adapters.images.bitmap_pixels import read_bitmap
        from xfworker.api.composition.image_formats import image_formats

        tolerance = Tolerance(absolute=absolute, relative=relative)
        differences = compare_outputs(_read(snapshot), actual, tolerance, image_formats(), read_bitmap=read_bitmap)
        if differences:
            lines = [f"  {difference}" for difference in differences[:_SHOWN]]
            lines += [f"  and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
            raise AssertionError(
                f"the outputs differ from the snapshot {snapshot}:\n" + "\n".join(lines) + "\n"
                f"If they are right, write it anew with: pytest {UPDATE_OPTION}"
            )


def _write(snapshot: Path, outputs: RecordedOutputs) -> None:
    size = sum(path.stat().st_size for path in outputs.files.values())
    if size > LARGEST_BYTES:
        raise UsageError(
            f"the files of this snapshot have {size:,} bytes, more than the {LARGEST_BYTES:,} that are kept with "
            "tests; use a smaller image"
        )
    if snapshot.exists():
        shutil.rmtree(snapshot)
    (snapshot / _FILES).mkdir(parents=True)
    for name, path in outputs.files.items():
        shutil.copyfile(path, snapshot / _FILES / name)
    document: dict[str, Any] = {"values": outputs.values, "units": outputs.units}
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    (snapshot / _OUTPUTS).write_text(f"{text}\n", encoding="utf-8", newline="\n")


def _read(snapshot: Path) -> RecordedOutputs:
    document = json.loads((snapshot / _OUTPUTS).read_text("utf-8"))
    files = {path.name: path for path in sorted((snapshot / _FILES).glob("*"))}
    return RecordedOutputs(values=document["values"], files=files, units=document["units"])
