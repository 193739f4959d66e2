import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
CODE = """
import ctypes, os, subprocess, sys
from xfworker.adapters.process.own_secrets import hide_environment
hide_environment({"PATH"})
seen = open(f"/proc/{os.getpid()}/environ", "rb").read()
print(seen.count(b"hidden-value") + seen.count(b"A_SECRET"))
print(os.environ["A_SECRET"])
print(subprocess.run(["printenv", "A_SECRET"], capture_output=True, text=True).stdout.strip())
print("PR_GET_DUMPABLE", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_other_processes_do_not_see_the_environment_and_the_process_itself_does():
    environment = {"PATH": os.environ["PATH"], "A_SECRET": "hidden-value", "ANOTHER": "hidden-value"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "hidden-value", "hidden-value", "PR_GET_DUMPABLE", "0"], done.stderr


def test_the_guard_of_scripts_knows_no_secret(monkeypatch, tmp_path):
    from xfworker.adapters.process.runner import ProcessRunner
    from xfworker.ports.job_runner import ScriptCall

    monkeypatch.setenv("XFWORKER_SERVER_TOKEN", "hidden-value")
    runner = ProcessRunner()
    call = ScriptCall(
        command=(sys.executable, "-c", "import sys; sys.stdin.read()"),
        environment={},
        working_directory=tmp_path,
        log_path=tmp_path / "log.txt",
    )
    try:
        assert runner.start(call).wait(60).exit_code == 0
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        environments = [Path(f"/proc/{child}/environ").read_bytes() for child in children]
        assert environments
        assert not any(b"hidden-value" in environment for environment in environments)
    finally:
        runner.close()
