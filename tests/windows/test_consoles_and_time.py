"""What a script finds of Windows around it: Ctrl-Break, programs by PATHEXT, time zones, lines of text."""

import ctypes
import os
import sys

import pytest

from xfworker.adapters.process.runner import ProcessRunner
from xfworker.ports.job_runner import ScriptCall
from xfworker.services.worker.script_environment import allowed_variables
from xfworker.testing.contracts.job_runner import CollectedOutput

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="of Windows")
LONG = 60


def run_script(tmp_path, code, runner, on_output=None):
    script = tmp_path / "script.py"
    script.write_text(code, "utf-8")
    call = ScriptCall(
        command=(sys.executable, "-u", str(script)),
        environment={**allowed_variables(os.environ), "PYTHONIOENCODING": "utf-8:backslashreplace"},
        working_directory=tmp_path,
        log_path=tmp_path / "log.txt",
    )
    return runner.start(call, on_output)


@pytest.fixture
def runner():
    runner = ProcessRunner(grace_seconds=5)
    yield runner
    runner.close()


def test_a_script_finds_programs_zones_and_folders_as_a_person_does(runner, tmp_path):
    code = (
        "import datetime, os, shutil, zoneinfo\n"
        "print('program:', shutil.which('cmd').lower().endswith('cmd.exe'))\n"
        "summer = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Zurich'))\n"
        "print('zone:', summer.utcoffset())\n"
        "print('folder:', bool(os.environ['LOCALAPPDATA']))\n"
        "print('limit: ≤ 3')\n"
    )
    assert run_script(tmp_path, code, runner).wait(LONG).exit_code == 0
    assert (tmp_path / "log.txt").read_text("utf-8").splitlines()[-4:] == [
        "program: True",
        "zone: 2:00:00",
        "folder: True",
        "limit: ≤ 3",
    ]


def test_an_abort_reaches_a_script_as_ctrl_break(runner, tmp_path):
    code = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        "    pathlib.Path('stopped').touch()\n"
        "    sys.exit(3)\n"
        "signal.signal(signal.SIGBREAK, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    output = CollectedOutput(b"\n")
    script = run_script(tmp_path, code, runner, output)
    assert output.seen.wait(LONG)
    script.abort()
    assert script.wait(LONG).aborted
    if not (tmp_path / "stopped").exists() and hasattr(ctypes.windll.ntdll, "wine_get_version"):
        pytest.skip("wine ends a process at Ctrl-Break instead of calling its handler")
    assert (tmp_path / "stopped").exists()
