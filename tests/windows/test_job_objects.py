"""Scripts in Windows job objects: all that they start is ended, limited and measured with them."""

import os
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from xfworker.adapters.process import script_process
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.ports.job_runner import ScriptCall
from xfworker.services.worker.outcome import decide_outcome
from xfworker.testing.contracts.job_runner import CollectedOutput

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="job objects are of Windows")
LONG = 60

PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', {child!r}], creationflags={flags})\n"
    "print(child.pid, flush=True)\n"
    "{end}"
)
SLEEP = "import time; time.sleep(60)"
DETACHED = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


@pytest.fixture
def runner():
    runner = ProcessRunner(grace_seconds=0.3)
    yield runner
    runner.close()


@pytest.fixture
def call(tmp_path):
    def make(code, **options):
        folder = tmp_path / "Müller's scans & more"
        folder.mkdir(exist_ok=True)
        script = folder / "my script.py"
        script.write_text(code)
        kept = ("PATH", "SYSTEMROOT")
        return ScriptCall(
            command=(sys.executable, "-u", str(script)),
            environment={name: os.environ[name] for name in kept if name in os.environ},
            working_directory=tmp_path,
            log_path=tmp_path / "log.txt",
            **options,
        )

    return make


def has_ended(pid):
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(LONG)
    return not psutil.pid_exists(pid)


def wait_for(process_handle, seconds):
    import _winapi

    if _winapi.WaitForSingleObject(process_handle, seconds * 1000) == _winapi.WAIT_TIMEOUT:
        raise TimeoutError("timed out")


@pytest.mark.parametrize("flags", [0, DETACHED], ids=["plain", "detached"])
def test_an_abort_ends_a_script_and_what_it_started(runner, call, flags):
    output = CollectedOutput(b"\n")
    script = runner.start(call(PARENT.format(child=SLEEP, flags=flags, end="time.sleep(60)")), output)
    assert output.seen.wait(LONG)
    script.abort()
    end = script.wait(LONG)
    assert end.aborted
    assert has_ended(int(output.content))


def test_what_a_script_left_behind_is_ended(runner, call):
    output = CollectedOutput(b"\n")
    end = runner.start(call(PARENT.format(child=SLEEP, flags=DETACHED, end="")), output).wait(LONG)
    assert end.exit_code == 0
    assert has_ended(int(output.content))


def test_what_a_script_starts_at_once_is_in_its_job_object(runner, call, monkeypatch):
    class SlowRunner(script_process.JobObject):
        def take(self, process_handle):
            # The script, which ends at once, does not run before it is in there, however long that takes.
            with pytest.raises(OSError, match="timed out"):
                wait_for(process_handle, seconds=2)
            super().take(process_handle)

    monkeypatch.setattr(script_process, "JobObject", SlowRunner)
    assert runner.start(call("")).wait(LONG).exit_code == 0


def test_the_memory_limit_ends_a_script(runner, call):
    code = "kept = [b'x' * (1 << 20) for _ in range(300)]; import time; time.sleep(60)"
    end = runner.start(call(code, memory_limit_bytes=200 << 20)).wait(LONG)
    assert end.out_of_memory


def test_memory_of_what_a_script_started_counts(runner, call):
    child = "kept = bytearray(150 << 20); import time; time.sleep(60)"
    code = PARENT.format(child=child, flags=DETACHED, end="kept = bytearray(150 << 20); time.sleep(60)")
    assert runner.start(call(code, memory_limit_bytes=250 << 20)).wait(LONG).out_of_memory


def test_mapped_files_do_not_count_as_memory(runner, call, tmp_path):
    (tmp_path / "volume.raw").write_bytes(bytes(200 << 20))
    code = (
        "import mmap, time\n"
        "f = open('volume.raw', 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "total = sum(m[i] for i in range(0, len(m), 4096))\n"
        "time.sleep(0.5)"
    )
    assert runner.start(call(code, memory_limit_bytes=150 << 20)).wait(LONG).exit_code == 0


def test_scripts_end_when_their_runner_is_killed(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from xfworker.adapters.process.runner import ProcessRunner\n"
        "from xfworker.ports.job_runner import ScriptCall\n"
        "folder = Path(sys.argv[1])\n"
        f"script = ProcessRunner().start(ScriptCall(command=(sys.executable, '-c', {SLEEP!r}),\n"
        "    environment=dict(os.environ), working_directory=folder, log_path=folder / 'log.txt'))\n"
        "print(script.pid, flush=True)\n"
        "script.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
        assert has_ended(pid)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import ctypes; ctypes.windll.kernel32.ExitProcess(0xC0000005)", "0xC0000005 (access violation)"),
        ("import ctypes; ctypes.windll.kernel32.ExitProcess(0xC000013A)", "0xC000013A (interrupted by Ctrl-C)"),
    ],
)
def test_exit_codes_of_windows_are_named(runner, call, job, code, sentence):
    end = runner.start(call(code)).wait(LONG)
    assert sentence in decide_outcome(end, job).message


@pytest.fixture
def job():
    from xfworker.domain.job_state import JobState
    from xfworker.domain.records import Job

    return Job(task_serial=1, state=JobState.RUNNING)


def test_a_crash_in_native_code_leaves_the_stack_in_the_log(runner, call, tmp_path):
    code = "import faulthandler, ctypes\nfaulthandler.enable()\n\ndef deep():\n    ctypes.string_at(1)\n\ndeep()\n"
    end = runner.start(call(code)).wait(LONG)
    assert end.exit_code not in {0, None}
    assert "in deep" in (tmp_path / "log.txt").read_text()
