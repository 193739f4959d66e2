"""Scripts that are forked: the same as those that are started anew, whatever they look at, and nothing in common."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.suites.forking_runner import ForkingRunner
from tests.contract.suites.forking_runner import forked_processes as servers
from xfworker.adapters.process.fork_server_program import loaded
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.composition.script_preload import PRELOAD
from xfworker.ports.job_runner import ScriptCall

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scripts are forked on Linux only")
LONG = 60


@pytest.fixture(scope="module")
def spawning():
    runner = ProcessRunner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def forking():
    runner = ForkingRunner()
    yield runner
    runner.close()


@pytest.fixture
def run(tmp_path):
    """Run a script to its end, and give that and what it wrote."""

    def run(runner, code, *arguments, name="script", **environment):
        script = tmp_path / f"{name}.py"
        script.write_text(code)
        log = tmp_path / "log.txt"
        log.unlink(missing_ok=True)
        variables = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONFAULTHANDLER": "1", **environment}
        call = ScriptCall(
            command=(sys.executable, "-u", str(script), *arguments),
            environment={key: value for key, value in variables.items() if value is not None},
            working_directory=tmp_path,
            log_path=log,
        )
        end = runner.start(call).wait(LONG)
        return (end.exit_code, end.signal), log.read_text()

    return run


LOOK_AROUND = """
import faulthandler, gc, json, os, resource, signal, stat, sys, tempfile, threading
own = os.getpid()
print(json.dumps({
    "globals": sorted(globals().keys() - {"own"}),
    "main": [__name__, __file__, __package__, __spec__, type(__loader__).__name__, __loader__.path],
    "builtins": __builtins__.__name__,
    "is main": sys.modules["__main__"].__dict__ is globals(),
    "arguments": [sys.argv, sys.orig_argv, sys.path, sys.executable, sys.prefix, list(sys.flags)],
    "streams": [
        [stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty()]
        for stream in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "input": sys.stdin.read(),
    "descriptors": sorted(os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in ("0", "1", "2")),
    "open": len(os.listdir("/proc/self/fd")),
    "processes": [os.getppid(), os.getpgrp() == own, os.getsid(0) == own],
    "signals": [str(signal.getsignal(number)) for number in signal.valid_signals() if number not in (9, 19)],
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "limits": [resource.getrlimit(n) for n in range(10)],
    "rest": [os.getcwd(), os.umask(0), os.nice(0), gc.isenabled(), faulthandler.is_enabled(), sys.getrecursionlimit()],
    "environment": {k: v for k, v in os.environ.items() if k != "_XF_SCRIPT_ID"},
    "id": ("_XF_SCRIPT_ID=" + os.environ["_XF_SCRIPT_ID"]) in open("/proc/self/environ").read().split(chr(0)),
    "threads": [threading.active_count(), threading.current_thread() is threading.main_thread()],
    "thread": threading.get_native_id() == own,
    "temporary": tempfile.gettempdir(),
    "hooks": [sys.excepthook is sys.__excepthook__, threading.excepthook is threading.__excepthook__],
}))
"""


@pytest.mark.parametrize("more", [{}, {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}])
def test_a_forked_script_sees_what_one_that_was_started_anew_sees(spawning, forking, run, more):
    seen = [json.loads(run(runner, LOOK_AROUND, "first", "--second", **more)[1]) for runner in (spawning, forking)]
    assert seen[0] == seen[1]
    assert seen[1]["processes"] == [os.getpid(), True, True]


ENDS = [
    "raise KeyboardInterrupt",
    "def f():\n    raise ValueError('in')\ntry:\n    f()\nexcept ValueError as e:\n    raise TypeError('out') from e",
    "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "x = (\n",
    "import sys\nsys.excepthook = lambda *error: print('hooked', error[0].__name__, error[2].tb_lineno)\n1 / 0",
    "import sys\nsys.excepthook = lambda *error: sys.exit(5)\n1 / 0",
    """
import atexit, threading, time
atexit.register(print, 'at exit')
threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()
raise SystemExit(4)
""",
    "import os, sys\nsys.stdout.write('unflushed')\nos.write(1, b'direct')",
    "import os\nos._exit(9)",
    "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass",
    "import signal\nsignal.raise_signal(signal.SIGTERM)",
    "x: int = 3\nprint(__annotations__)",
    "class A: pass\nimport pickle\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "import warnings\nwarnings.warn('old')",
    "# coding: latin-1\nprint('plain')",
    """
import multiprocessing
def f(n): return n + 1
if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(f, [1]))
""",
]


@pytest.mark.parametrize("code", ENDS)
def test_a_forked_script_ends_as_one_that_was_started_anew(spawning, forking, run, code):
    assert run(forking, code) == run(spawning, code)


def test_forked_scripts_have_nothing_random_in_common(forking, run):
    code = (
        "import random, tempfile, uuid, secrets, numpy, multiprocessing\n"
        "print(random.random(), next(tempfile._get_candidate_names()), uuid.uuid4(), secrets.token_hex(),\n"
        "      numpy.random.random(), numpy.random.default_rng().random(),\n"
        "      multiprocessing.current_process().authkey.hex())"
    )
    first, second = (run(forking, code)[1].split() for _ in range(2))
    assert len(first) == 7
    assert not set(first) & set(second)


def test_no_script_leaves_anything_to_the_next(forking, run):
    code = (
        "import os, sys, builtins, random, json, xfworkerutil, urllib3\n"
        "print([getattr(m, 'left', None) for m in (builtins, json, urllib3)], os.environ.get('TOKEN'))\n"
        "for module in (builtins, json, urllib3): module.left = 1\n"
        "os.environ['TOKEN'] = 'left'\nos.umask(0o007)"
    )
    for _ in range(2):
        assert run(forking, code)[1].split("\n")[0] == "[None, None, None] None"


def test_the_process_that_is_forked_never_knows_a_secret(forking, run):
    secret = "hidden-" + os.urandom(8).hex()
    assert run(forking, "import os; print(os.environ['XF_SERVER_AUTH'])", XF_SERVER_AUTH=secret)[1].strip() == secret
    *_, server = servers(forking)
    found = []
    process = Path("/proc", str(server.pid))
    with (process / "maps").open() as maps, (process / "mem").open("rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(part, 16) for part in span.split("-"))
                memory.seek(begin)
                found.append(secret.encode() in memory.read(end - begin))
    assert found
    assert not any(found)
    assert secret.encode() not in (process / "environ").read_bytes()


def test_starts_leave_no_descriptor_and_no_process_behind(forking, run):
    run(forking, "")
    *_, server = servers(forking)
    counts = []
    for _ in range(2):
        run(forking, "")
        own, its = (len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), server.pid))
        counts.append((own, its, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()))
    assert counts[0] == counts[1]
    assert counts[0][2] == ""


def test_the_death_of_the_process_that_is_forked_costs_no_script_and_no_result(tmp_path):
    runner = ForkingRunner()
    script = tmp_path / "script.py"
    script.write_text("import sys; print('ready', flush=True); open(sys.argv[1]).read(); sys.exit(7)")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def call(name):
        return ScriptCall(
            command=(sys.executable, str(script), str(pipe)),
            environment={},
            working_directory=tmp_path,
            log_path=tmp_path / name,
        )

    try:
        first = runner.start(call("first"))
        [server] = servers(runner)
        os.kill(server.pid, signal.SIGKILL)
        while server.is_current():
            pass
        second = runner.start(call("second"))
        assert servers(runner)[0].pid != server.pid
        # Both read to its end what is written here; each opens it on its own.
        ends = []
        for running in (first, second):
            while running.wait(0.01) is None:
                try:
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                except OSError:
                    continue
            ends.append(running.wait(LONG).exit_code)
        assert ends == [7, 7]
    finally:
        runner.close()


def test_a_process_that_stops_in_the_middle_of_a_start_costs_no_script(run):
    runner = ProcessRunner(preload=[PRELOAD])
    try:
        run(runner, "")
        [server] = servers(runner)
        server.is_current = lambda: True
        os.kill(server.pid, signal.SIGKILL)
        assert run(runner, "print('ran')") == ((0, None), "ran\n")
        assert servers(runner) == []
        run(runner, "")
        assert len(servers(runner)) == 1
    finally:
        runner.close()


def test_it_ends_with_its_worker(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from tests.contract.suites.forking_runner import ForkingRunner\n"
        "from xfworker.ports.job_runner import ScriptCall\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "(folder / 'script.py').write_text('')\n"
        "runner = ForkingRunner()\n"
        "runner.start(ScriptCall(command=(sys.executable, str(folder / 'script.py')), environment={},\n"
        "    working_directory=folder, log_path=folder / 'log.txt')).wait()\n"
        "print(next(iter(runner._fork_servers._servers.values())).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        handle = os.pidfd_open(int(worker.stdout.readline()))
        worker.kill()
    assert select.select([handle], [], [], LONG)[0]
    os.close(handle)


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_is_read_at_the_start_of_an_interpreter_is_each_scripts_own(forking, run, name):
    code = (
        f"import os; print(os.environ.get('{name}'), "
        f"[item for item in open('/proc/self/environ').read().split(chr(0)) if '{name}' in item])"
    )
    assert run(forking, code, **{name: "3"})[1].strip() == f"3 ['{name}=3']"
    assert run(forking, code)[1].strip() == "None []"


def test_a_module_beside_the_script_comes_before_one_that_is_there_already(run, tmp_path):
    runner = ProcessRunner(preload=[PRELOAD])
    (tmp_path / "queue.py").write_text("WORD = 'own'")
    try:
        assert run(runner, "import queue; print(queue.WORD)")[1].strip() == "own"
    finally:
        runner.close()


def test_a_library_that_was_replaced_is_read_anew(run, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    module = library / "prepared_words.py"
    module.write_text("WORD = 'old'\ndef prepare(): pass\n")
    runner = ProcessRunner(preload=["prepared_words:prepare"])
    try:
        code = "import prepared_words; print(prepared_words.WORD)"
        assert run(runner, code, PYTHONPATH=str(library))[1].strip() == "old"
        [server] = servers(runner)
        module.write_text("WORD = 'newer'\ndef prepare(): pass\n")
        os.utime(module, ns=(1, 1))
        assert run(runner, code, PYTHONPATH=str(library))[1].strip() == "newer"
        assert servers(runner)[0].pid != server.pid
    finally:
        runner.close()


@pytest.mark.parametrize("function", ["no_such_module:f", "numpy:geterr", "multiprocessing:cpu_count"])
def test_what_cannot_be_shared_is_not_forked_and_the_script_runs(run, function):
    runner = ProcessRunner(preload=[function])
    try:
        assert run(runner, "print('ran')") == ((0, None), "ran\n")
        assert servers(runner) == []
    finally:
        runner.close()


def test_a_thread_is_a_reason_not_to_fork(run, tmp_path):
    (tmp_path / "starts_thread.py").write_text(
        "import threading\ndef f(): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    runner = ProcessRunner(preload=["starts_thread:f"])
    try:
        assert run(runner, "print('ran')", PYTHONPATH=str(tmp_path))[1] == "ran\n"
        assert servers(runner) == []
    finally:
        runner.close()


def test_why_nothing_can_be_forked_is_said():
    assert loaded(["no_such_module:f"]) == {"error": "ModuleNotFoundError: No module named 'no_such_module'"}


@pytest.mark.parametrize("command", [("-c", "print('ran')"), ("-B", "script.py"), ("-m", "this")])
def test_what_is_not_a_plain_script_is_started_anew(tmp_path, command):
    (tmp_path / "script.py").write_text("print('ran')")
    runner = ProcessRunner(preload=[PRELOAD])
    call = ScriptCall(
        command=(sys.executable, *command), environment={}, working_directory=tmp_path, log_path=tmp_path / "log"
    )
    try:
        assert runner.start(call).wait(LONG).exit_code == 0
        assert servers(runner) == []
    finally:
        runner.close()
