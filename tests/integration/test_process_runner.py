import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contract.suites.forking_runner import ForkingRunner
from xfworker.adapters.process import guard
from xfworker.adapters.process.guard import ScriptProcesses, end_scripts
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.domain.errors import JobError
from xfworker.ports.job_runner import ScriptCall
from xfworker.testing.contracts.job_runner import CollectedOutput

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
LONG = 60
FORKED = pytest.mark.skipif(sys.platform != "linux", reason="scripts are forked on Linux only")


@pytest.fixture(scope="module", params=["spawned", pytest.param("forked", marks=FORKED)])
def runner(request):
    runner = (ForkingRunner if request.param == "forked" else ProcessRunner)(grace_seconds=0.3)
    yield runner
    runner.close()


@pytest.fixture
def call(tmp_path):
    def make(code, **options):
        script = tmp_path / "script.py"
        script.write_text(code)
        return ScriptCall(
            command=(sys.executable, "-u", str(script)),
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


def test_a_passed_signal_reaches_a_child_that_its_script_waits_for(runner, call):
    hears = (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: exit(7)); print('ready', flush=True); signal.pause()"
    )
    code = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        f"sys.exit(subprocess.run([sys.executable, '-c', {hears!r}]).returncode)"
    )
    output = CollectedOutput()
    script = runner.start(call(code), output)
    assert output.seen.wait(LONG)
    script.pass_signal(signal.SIGUSR1)
    assert script.wait(LONG).exit_code == 7


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


def test_a_missing_program_is_one_sentence(tmp_path):
    runner = ProcessRunner()
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


ESCAPED = (
    "import os, subprocess, sys, time\n"
    "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    "own = subprocess.Popen(sleep, start_new_session=True)\n"
    "bare = subprocess.Popen(sleep, start_new_session=True, env={})\n"
    "read, write = os.pipe()\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    daemon = subprocess.Popen(sleep, start_new_session=True)\n"
    "    os.write(write, str(daemon.pid).encode())\n"
    "    os._exit(0)\n"
    "print(own.pid, bare.pid, os.read(read, 20).decode(), flush=True)\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_abort_ends_processes_in_sessions_of_their_own(runner, call):
    output = CollectedOutput(b"\n")
    script = runner.start(call(f"{ESCAPED}time.sleep(60)"), output)
    assert output.seen.wait(LONG)
    script.abort()
    assert script.wait(LONG).aborted
    assert all(wait_until_gone(int(pid)) for pid in output.content.split())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_script_left_behind_in_sessions_of_its_own_is_ended(runner, call):
    output = CollectedOutput(b"\n")
    # What dropped its environment as well is known by its parent only, so it has to be alive.
    script = runner.start(call(f"{ESCAPED}bare.kill()"), output)
    assert script.wait(LONG).exit_code == 0
    assert all(wait_until_gone(int(pid)) for pid in output.content.split())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_processes_in_sessions_of_their_own_counts(runner, call):
    code = (
        "import subprocess, sys, time\n"
        "code = 'kept = bytearray(300 << 20); import time; time.sleep(60)'\n"
        "subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
        "time.sleep(60)"
    )
    assert runner.start(call(code, memory_limit_bytes=200 << 20)).wait(LONG).out_of_memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_scripts_are_ended_with_their_worker_also_after_their_guard_was_killed(tmp_path):
    code = (
        "import os, pathlib, signal, sys, threading\n"
        "from xfworker.adapters.process.runner import ProcessRunner\n"
        "from xfworker.ports.job_runner import ScriptCall\n"
        "from xfworker.testing.contracts.job_runner import CollectedOutput\n"
        "runner, output = ProcessRunner(), CollectedOutput(b'\\n')\n"
        "sleep = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "script = runner.start(ScriptCall(command=(sys.executable, '-c', sleep), environment={},\n"
        "    working_directory=folder, log_path=folder / 'log.txt'), output)\n"
        "output.seen.wait(60)\n"
        "print(script.pid, flush=True)\n"
        "for line in sys.stdin:\n"
        "    print(runner._guard.pid if runner._guard else 0, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:

        def guard_of_worker():
            worker.stdin.write("guard\n")
            worker.stdin.flush()
            return int(worker.stdout.readline())

        script = int(worker.stdout.readline())
        first = guard_of_worker()
        # A guard that ends within its first second is taken for one that cannot run.
        while time.time() - Path(f"/proc/{first}").stat().st_mtime < 1.5:
            time.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        while (second := guard_of_worker()) in {0, first}:
            pass
        assert second != first
        worker.kill()
    assert wait_until_gone(script)


@pytest.mark.parametrize("options", ["", "preload=[PRELOAD]"])
def test_a_script_reads_nothing_of_what_its_worker_is_sent(tmp_path, options):
    # As in a pipeline of a shell, or under a service whose input is a socket.
    (tmp_path / "script.py").write_text("import sys; print([sys.stdin.read()])")
    code = (
        "import pathlib, sys\n"
        "from xfworker.adapters.process.runner import ProcessRunner\n"
        "from xfworker.api.composition.script_preload import PRELOAD\n"
        "from xfworker.ports.job_runner import ScriptCall\n"
        f"runner, folder = ProcessRunner({options}), pathlib.Path(sys.argv[1])\n"
        "runner.start(ScriptCall(command=(sys.executable, str(folder / 'script.py')), environment={},\n"
        "    working_directory=folder, log_path=folder / 'log.txt')).wait(60)\n"
        "print([sys.stdin.read()])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    worker = subprocess.run(command, input="for the worker", capture_output=True, text=True, check=True)
    assert (tmp_path / "log.txt").read_text() == "['']\n"
    assert worker.stdout == "['for the worker']\n"


def test_a_script_that_does_not_listen_is_ended_all_the_same_when_its_worker_is_gone():
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    command = [sys.executable, "-c", deaf]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as script:
        assert script.stdout.readline() == b"deaf\n"
        end_scripts([ScriptProcesses(script.pid, "deaf")], grace_seconds=0.1)
        assert script.wait(LONG) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_guard_goes_on_when_all_of_its_worker_are_asked_to_end():
    sleeping = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    with sleeping as script, subprocess.Popen([sys.executable, guard.__file__], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + LONG
        asked = (signal.SIGINT, signal.SIGTERM)
        while not all(ignored(process.pid) >> (number - 1) & 1 for number in asked):
            assert time.monotonic() < deadline, "the guard can be ended by its worker's signals"
        for number in asked:
            process.send_signal(number)
        process.communicate(f"+{script.pid} sleeping\n".encode(), timeout=LONG)
        assert process.returncode == 0
        assert script.wait(LONG) == -signal.SIGTERM


def ignored(pid):
    """Give the signals that a process ignores, a bit for each."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return int(line.split()[1], 16)


def test_a_crash_in_native_code_leaves_the_stack_in_the_log(runner, tmp_path):
    from xfworker.domain.job_arguments import JobArguments
    from xfworker.services.worker.script_environment import script_environment

    script = tmp_path / "crash.py"
    script.write_text("import ctypes\n\ndef deep():\n    ctypes.string_at(0)\n\ndeep()\n")
    arguments = JobArguments(job_serial=1, server_host="h", server_port="1", server_auth="a")
    environment = script_environment({"PATH": os.environ["PATH"]}, arguments, temporary_folder=tmp_path)
    call = ScriptCall(
        command=(sys.executable, str(script)),
        environment=environment,
        working_directory=tmp_path,
        log_path=tmp_path / "log.txt",
    )
    assert runner.start(call).wait(LONG).signal == "SIGSEGV"
    assert 'crash.py", line 4 in deep' in (tmp_path / "log.txt").read_text()
