"""Folders of benchmarks, which hold gigabytes."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from pathlib import Path
from benchmarks.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "large").write_bytes(bytes(1000))
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(folder):
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals that a program could clean up behind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_folder_is_gone_when_a_benchmark_is_broken_off(tmp_path, number):
    with start(tmp_path) as process:
        process.send_signal(number)
        process.stdin.close()  # a signal that comes right before it would begin to read does not end its reading
        assert process.wait(60) == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_benchmark_left_is_removed_by_the_next(tmp_path):
    with start(tmp_path) as killed:
        killed.kill()
    [left] = tmp_path.iterdir()
    with start(tmp_path) as process:
        assert not left.exists()
        process.stdin.close()
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []
