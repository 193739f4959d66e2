"""Jobs over stand-ins of the platform's module are captured, and played back without it."""

import json
import zipfile

import pytest

from xfworker.api.capture.replay import replay
from xfworker.services.comparison.difference import Tolerance

PLAIN = ("threshold", "min_max", "search", "spawn", "ipl", "register", "report", "hand_over", "sns_import", "fails")
SLOTTED = ("threshold", "pixels", "in_memory", "min_max", "search", "report", "sns_import")
LAYERED = ("threshold", "slabs", "spawn", "ipl", "register", "hand_over")
CASES = [
    ("opaque", "opaque"),
    *(("plain", name) for name in PLAIN),
    *(("slotted", name) for name in SLOTTED),
    *(("layered", name) for name in LAYERED),
]


@pytest.mark.parametrize(("shape", "script"), CASES)
def test_a_captured_job_is_played_back_as_it_was_without_secrets(stand_in, tmp_path, shape, script, inputs, secrets):
    made = stand_in(shape)
    if script == "hand_over":
        inputs = {**inputs, "mask": None}
    capture = made.run(f"{script}.py", inputs, check=script != "fails")
    folder = tmp_path / "replay"
    folder.mkdir()

    played = replay(capture, folder, keep_log=True)
    comparison = played.compare(Tolerance())

    assert [str(difference) for difference in comparison.differences] == [], played.log
    assert comparison.new_calls == comparison.left_out_calls == comparison.notes == []
    with zipfile.ZipFile(capture) as archive:
        everything = b"".join([capture.read_bytes(), *(archive.read(name) for name in archive.namelist())])
        assert json.loads(archive.read("capture.json"))["job_serial"] == 17
    assert [secret for secret in secrets if secret.encode() in everything] == []


def test_what_a_job_finished_with_is_the_same_in_the_platform_and_when_it_is_played_back(stand_in, tmp_path):
    made = stand_in("plain")
    capture = made.run("threshold.py")

    played = replay(capture, tmp_path, keep_log=True)

    assert played.result.outputs == made.job["outputs"]
    assert played.result.units == {"voxels": "1"}
    for name, path in played.result.files.items():
        assert path.read_bytes() == (made.home / "results" / name).read_bytes()
    assert played.log == "above 15.0 9\n"
