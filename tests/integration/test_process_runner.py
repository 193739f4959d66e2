import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xfworker.adapters.process.runner import ProcessRunner
from xfworker.domain.errors import JobError
from xfworker.ports.job_runner import ScriptCall
from xfworker.testing.contracts.job_runner import CollectedOutput

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
LONG = 60


@pytest.fixture
def runner():
    runner = ProcessRunner(grace_seconds=0.3)
    yield runner
    runner.close()


@pytest.fixture
def call(tmp_path):
    def make(code, **options):
        return ScriptCall(
            command=(sys.executable, "-u", "-c", code),
            environment={"PATH": os.environ["PATH"], "WORD": "heard"},
            working_directory=tmp_path,
            log_path=tmp_path / "log.txt",
            **options,
        )

    return make


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until_gone(pid):
    # A process that is no child cannot be waited for; its pidfd can.
    import select

    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], LONG)[0])
    finally:
        os.close(handle)


def test_output_environment_and_exit_code_arrive(runner, call, tmp_path):
    output = CollectedOutput()
    end = runner.start(call("import os, sys; print(os.environ['WORD']); sys.exit(7)"), output).wait(LONG)
    assert end.exit_code == 7
    assert end.signal is None
    assert output.content == (tmp_path / "log.txt").read_bytes() == b"heard\n"
    assert end.peak_memory_bytes > 1024 * 1024


def test_a_signal_is_named(runner, call):
    end = runner.start(call("import os; os.kill(os.getpid(), 11)")).wait(LONG)
    assert (end.exit_code, end.signal) == (None, "SIGSEGV")
    assert not end.out_of_memory


def test_a_passed_signal_reaches_the_script_and_its_children(runner, call):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    output = CollectedOutput(b"\n")
    script = runner.start(call(code), output)
    assert output.seen.wait(LONG)
    child = int(output.content.split()[1])
    script.pass_signal(signal.SIGTERM)
    assert script.wait(LONG).signal == "SIGTERM"
    assert wait_until_gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_limit_ends_a_script(runner, call):
    code = "kept = [b'x' * (1 << 20) for _ in range(1 << 12)]; import time; time.sleep(60)"
    end = runner.start(call(code, memory_limit_bytes=100 << 20)).wait(LONG)
    assert end.out_of_memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_mapped_files_do_not_count_as_memory(runner, call, tmp_path):
    (tmp_path / "volume.raw").write_bytes(bytes(200 << 20))
    code = (
        "import mmap, time\n"
        "f = open('volume.raw', 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "total = sum(m[i] for i in range(0, len(m), 4096))\n"
        "time.sleep(0.5)"
    )
    end = runner.start(call(code, memory_limit_bytes=100 << 20)).wait(LONG)
    assert end.exit_code == 0


def test_children_that_were_left_behind_are_ended(runner, call):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)"
    )
    output = CollectedOutput(b"\n")
    end = runner.start(call(code), output).wait(LONG)
    assert end.exit_code == 0
    assert wait_until_gone(int(output.content))


def test_a_missing_program_is_one_sentence(runner, call, tmp_path):
    broken = ScriptCall(
        command=("/no/such/python",), environment={"SECRET": "x"}, working_directory=tmp_path, log_path=tmp_path / "l"
    )
    with pytest.raises(JobError, match="could not be started: /no/such/python"):
        runner.start(broken)


def test_output_beyond_the_limit_keeps_its_end(tmp_path):
    from xfworker.adapters.process.script_log import ScriptLog, read_end

    log = ScriptLog(tmp_path / "log.txt", limit_bytes=1000, tail_bytes=200_000)
    log.write(b"begin\n" + b"a" * 2000)
    for _ in range(20):
        log.write(b"b" * 50_000)
    log.write(b"\nthe end\n")
    log.close()
    text = (tmp_path / "log.txt").read_bytes()
    assert text.startswith(b"begin\n")
    assert text.endswith(b"\nthe end\n")
    assert b"bytes of output left out here" in text
    assert len(text) < 400_000
    assert read_end(tmp_path / "log.txt", lines=1) == "the end"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child")
def test_scripts_end_when_their_runner_is_killed(tmp_path):
    code = f"""
import sys
from pathlib import Path
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.ports.job_runner import ScriptCall
folder = Path({str(tmp_path)!r})
runner = ProcessRunner()
script = runner.start(ScriptCall(command=(sys.executable, "-c", "import time; time.sleep(60)"), environment={{}},
                                 working_directory=folder, log_path=folder / "log.txt"))
print(script.pid, flush=True)
script.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
        assert wait_until_gone(pid)
