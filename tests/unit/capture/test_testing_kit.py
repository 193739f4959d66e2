"""Captures in tests: the fixtures run_capture and run_task."""

import pytest

from tests.unit.capture.stand_in_platform import HERE, StandInPlatform
from xfworker.domain.errors import JobError
from xfworker.testing import run_capture as run_captured


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    return {
        name: StandInPlatform(tmp_path_factory.mktemp(name), "plain").run(f"{name}.py", check=name != "fails")
        for name in ("threshold", "fails")
    }


def test_a_capture_is_a_test_of_its_own(run_capture, captures):
    task = run_capture(captures["threshold"])

    assert (task.ending, task.outputs["voxels"], task.units) == ("finished", 9, {"voxels": "1"})
    assert task.log == "above 15.0 9\n"
    assert task.files["scan_seg.raw"].read_bytes().count(1) == 9
    task.assert_same()


def test_inputs_and_scripts_are_replaced_and_what_differs_is_an_assertion(run_task, captures):
    task = run_task(HERE / "scripts/threshold.py", capture=captures["threshold"], threshold=30.0)

    assert task.outputs["voxels"] == 4
    with pytest.raises(AssertionError, match=r"not as it was captured:\n  outputs\.voxels: expected 9, got 4"):
        task.assert_same()
    assert task.compare().new_calls == ["Calibration.calibrated_to_raw(x=30.0)"]


def test_a_script_that_does_not_finish_raises_with_its_log(run_capture, captures, tmp_path):
    with pytest.raises(
        JobError, match=r"(?s)the captured script ended: exception: ValueError.*end of the log.*Traceback"
    ):
        run_capture(captures["fails"])
    task = run_captured(captures["fails"], check=False, folder=tmp_path)
    assert task.ending == "exception"
    task.assert_same()


def test_run_task_needs_something_to_run(run_task):
    with pytest.raises(TypeError, match="a script or package to run, or a capture="):
        run_task()
