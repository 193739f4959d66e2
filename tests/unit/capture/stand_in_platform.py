"""A stand-in for the platform, on which scripts in the official idiom run and are captured."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from xfworker.api.capture import recorder_path

HERE = Path(__file__).parent
SHAPES = ("plain", "slotted", "layered")
TOKEN = "eyJhbGciOi.J9-very-secret.4711"
SECRETS = (TOKEN, "tok-7f3a9c7f3a9c", "hunter2!", "sns.hospital.example", "reader01", "xf.hospital.example")


class StandInPlatform:
    """Where a stand-in keeps what it knows, and where its jobs run."""

    def __init__(self, folder, shape):
        self.folder, self.shape = folder, shape
        self.home = folder / "home"
        self.captures = folder / "captures"
        self.package = folder / "package"
        self.result = None
        for name in ("jobs", "tasks", "files", "user/scans/deep"):
            (self.home / name).mkdir(parents=True)
        self.package.mkdir()
        self.image("scan", (4, 3, 2), range(24), {"u": "density", "c": [2.0, -10.0]})
        self.image("other", (5, 3, 2), range(30), {"u": "density", "c": [2.0, -10.0]})
        self.image("mask", (4, 3, 2), [1, 0] * 12, {}, kind="B")
        for name in ("a.isq", "b.isq", "deep/c.isq", "deep/notes.txt"):
            (self.home / "user/scans" / name).write_bytes(name.encode() * 20)

    def image(self, name, size, values, more, kind="h"):
        import array

        (self.home / f"files/{name}.omni").write_text(json.dumps({"d": size, **more}))
        (self.home / f"files/{name}.raw").write_bytes(array.array(kind, values).tobytes())

    def run(self, script, inputs=None, *, python=sys.executable, check=True, **variables):
        """Run a script under the recorder; give its capture."""
        source = HERE / "scripts" / script if isinstance(script, str) else script
        shutil.copyfile(source, self.package / "main.py")
        (self.home / "jobs/17.json").write_text(json.dumps({"id": 17, "inputs": inputs or INPUTS}))
        shutil.copyfile(recorder_path(), self.package / "xfcapture.py")
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("XF")},
            "STAND_IN_HOME": str(self.home),
            "STAND_IN_JOB": "17",
            "STAND_IN_AUTH": TOKEN,
            "PYTHONPATH": str(HERE / "stand_ins" / self.shape),
            "XFCAPTURE_FOLDER": str(self.captures),
            **variables,
        }
        self.result = subprocess.run(
            [python, str(self.package / "main.py")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert self.result.returncode == 0, self.result.stderr
        found = sorted(self.captures.glob("*.xfcap"))
        return found[-1] if found else None

    @property
    def job(self):
        return json.loads((self.home / "jobs/17.json").read_text())


INPUTS = {
    "image": {"T": "Image", "file": "scan.omni"},
    "image2": {"T": "Image", "file": "other.omni"},
    "mask": {"T": "Image", "file": "mask.omni"},
    "unit": "density",
    "threshold": 20.0,
    "folder": {"virtualpath": "scans"},
    "mode": "dirname",
    "typename": "ForeignFile",
    "pattern": "*.isq",
    "volumes": {"type": "Sequence", "task_serial": 5, "key": "volume"},
    "ages": {"type": "Sequence", "task_serial": 5, "key": "age"},
    "sample": "S1",
}
