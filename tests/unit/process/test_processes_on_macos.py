"""Processes of a script where no /proc is: they are found by ``ps``, as on macOS."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from uuid import uuid4

import psutil
import pytest

from xfworker.adapters.process.guard import ScriptProcesses
from xfworker.adapters.process.memory import processes_memory_bytes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no ps")
SLEEP = [sys.executable, "-c", "import sys; sys.stdin.read()"]
LEADER = (
    "import subprocess, sys\n"
    f"child = subprocess.Popen({SLEEP!r}, stdin=subprocess.PIPE, start_new_session=True, env={{}})\n"
    "print(child.pid, flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def script(monkeypatch):
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    child = int(process.stdout.readline())
    monkeypatch.setattr(sys, "platform", "darwin")
    yield process, child
    for pid in (process.pid, child):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_children_in_sessions_of_their_own_are_listed_and_counted(script):
    process, child = script
    processes = ScriptProcesses(process.pid, uuid4().hex)
    assert sorted(processes.alive()) == sorted([process.pid, child])
    assert processes_memory_bytes(processes) > psutil.Process(child).memory_info().rss


def test_a_child_that_was_listed_is_ended_after_its_parent(script):
    process, child = script
    processes = ScriptProcesses(process.pid, uuid4().hex)
    assert child in processes.alive()
    parent = psutil.Process(child)
    # Its end of input is what would end it by itself.
    os.kill(child, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert processes.alive() == [child]
    processes.signal(signal.SIGKILL)
    parent.wait(60)
    assert not processes.are_alive()
