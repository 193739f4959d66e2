"""
Control groups as a real kernel keeps them. Most machines hand none to a process that did not ask for it, so these tests
run under a kernel of their own: ``make control-groups``.
"""

import json
import os
import pwd
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.suites.forking_runner import ForkingRunner
from xfworker.adapters.process.control_groups import ControlGroups, usable_control_groups
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.ports.job_runner import ScriptCall
from xfworker.testing.contracts.job_runner import CollectedOutput, ConcurrentJobRunnerContract

LONG = 120
MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    "XFWORKER_TEST_CONTROL_GROUPS" not in os.environ,
    reason="control groups are tested under a kernel of their own: make control-groups",
)


@pytest.fixture(scope="module")
def groups():
    found = usable_control_groups()
    assert isinstance(found, ControlGroups), found
    assert found.prepare() is None
    assert found.controllers == ("cpu", "pids")
    return found


@pytest.fixture(scope="module", params=["spawned", "forked"])
def runner(request, groups):
    kind = ForkingRunner if request.param == "forked" else ProcessRunner
    runner = kind(grace_seconds=0.3, control_groups=groups)
    yield runner
    runner.close()


class TestRunnerWithControlGroups(ConcurrentJobRunnerContract):
    @pytest.fixture
    def runner(self, runner):
        return runner


@pytest.fixture
def call(tmp_path):
    def make(code, name="script", **options):
        script = tmp_path / f"{name}.py"
        script.write_text(code)
        return ScriptCall(
            command=(sys.executable, "-u", str(script)),
            environment={"PATH": os.environ["PATH"]},
            working_directory=tmp_path,
            log_path=tmp_path / f"{name}.log",
            **options,
        )

    return make


def own_group(groups, code):
    """Give code that begins with its own group."""
    name = "pathlib.Path(open('/proc/self/cgroup').read().strip()).name"
    return f"import pathlib\nown = pathlib.Path({str(groups.folder)!r}, {name})\n{code}"


def groups_of_scripts(groups):
    return [folder for folder in groups.folder.iterdir() if folder.name.startswith("xfworker.script.")]


def ended(script):
    end = script.wait(LONG)
    assert end is not None
    return end


def wait_for_end(pidfd):
    try:
        assert select.select([pidfd], [], [], LONG)[0]
    finally:
        os.close(pidfd)


def test_a_script_runs_in_a_group_with_its_limits_which_is_gone_at_its_end(runner, call, groups):
    names = ("memory.max", "memory.oom.group", "cpu.max", "pids.max")
    code = f"for name in {names}: print((own / name).read_text(), end='')"
    started = call(own_group(groups, code), memory_limit_bytes=512 * MIB, cores=2)
    assert ended(runner.start(started)).exit_code == 0
    assert started.log_path.read_text().split("\n") == [str(512 * MIB), "1", "200000 100000", "4096", ""]
    assert groups_of_scripts(groups) == []


def test_what_declares_nothing_has_no_limit_of_memory_and_cores(runner, call, groups):
    started = call(own_group(groups, "print((own / 'memory.max').read_text(), (own / 'cpu.max').read_text())"))
    assert ended(runner.start(started)).exit_code == 0
    assert started.log_path.read_text().split() == ["max", "max", "100000"]


TAKES = "import time; kept = bytearray(300 << 20); time.sleep(600)"
APART = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {TAKES!r}], start_new_session=True, env={{}})"
ORPHAN = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {APART!r}])"


@pytest.mark.parametrize("who", [TAKES, APART, ORPHAN], ids=["itself", "in a session of its own", "without a parent"])
def test_the_kernel_ends_all_of_a_script_that_takes_too_much_memory_at_once(runner, call, who):
    end = ended(runner.start(call(f"{who}\nimport time; time.sleep(600)", memory_limit_bytes=100 * MIB)))
    assert (end.signal, end.out_of_memory, end.aborted) == ("SIGKILL", True, False)


def test_the_end_of_one_script_for_its_memory_is_not_taken_for_that_of_another(runner, call):
    waiting = CollectedOutput()
    bystander = runner.start(call("print('ready', flush=True); import time; time.sleep(600)", "bystander"), waiting)
    assert waiting.seen.wait(LONG)
    greedy = runner.start(call("kept = bytearray(300 << 20)", "greedy", memory_limit_bytes=100 * MIB))
    assert ended(greedy).out_of_memory
    bystander.pass_signal(signal.SIGKILL)
    end = ended(bystander)
    assert (end.signal, end.out_of_memory) == ("SIGKILL", False)


def test_what_was_read_of_files_makes_room_instead_of_ending_the_script(runner, call):
    # /tmp of this kernel is memory; its other files are those of the machine around it.
    library = max(Path(sys.prefix, "lib").rglob("*.so*"), key=lambda path: path.stat().st_size)
    code = (
        "import mmap\n"
        f"with open({str(library)!r}, 'rb') as file:\n"
        "    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "    print(len([mapped[i] for i in range(0, len(mapped), 4096)]))\n"
        "    while file.read(1 << 20): pass\n"
    )
    size = library.stat().st_size
    assert size > 20 * MIB
    assert ended(runner.start(call(code, memory_limit_bytes=max(size // 2, 16 * MIB)))).exit_code == 0


def test_an_abort_ends_what_nothing_but_the_group_knows(runner, call):
    # A daemon: its environment is empty, its session its own, and its parent ends before anybody can list it.
    daemon = (
        "import os, signal, time\n"
        "signal.signal(15, signal.SIG_IGN)\n"
        "print('ready', os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    code = (
        "import os, subprocess, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session=True, env={{}})\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "time.sleep(600)\n"
    )
    output = CollectedOutput()
    script = runner.start(call(code), output)
    assert output.seen.wait(LONG)
    pidfd = os.pidfd_open(int(output.content.split()[1]))
    script.abort()
    assert ended(script).aborted
    wait_for_end(pidfd)


def test_a_script_has_no_more_processes_than_it_may(runner, call, groups):
    code = own_group(
        groups,
        "import threading\n"
        "(own / 'pids.max').write_text('8')\n"
        "end = threading.Event()\n"
        "try:\n"
        "    for _ in range(20): threading.Thread(target=end.wait).start()\n"
        "except RuntimeError: print('refused')\n"
        "end.set()",
    )
    started = call(code)
    assert ended(runner.start(started)).exit_code == 0
    assert started.log_path.read_text().split() == ["refused"]


def test_a_script_computes_on_no_more_cores_than_it_declares(runner, call, groups):
    code = own_group(
        groups,
        "import time\n"
        "(own / 'cpu.max').write_text('10000 100000')\n"  # a tenth of a core, so that one core is enough to see it
        "until = time.process_time() + 0.3\n"
        "while time.process_time() < until: pass\n"
        "print(dict(line.split() for line in open(own / 'cpu.stat'))['nr_throttled'] != '0')",
    )
    started = call(code, cores=1)
    assert ended(runner.start(started)).exit_code == 0
    assert started.log_path.read_text().split() == ["True"]


def test_groups_that_a_script_made_in_its_own_go_with_it(runner, call, groups):
    assert ended(runner.start(call(own_group(groups, "(own / 'inner' / 'more').mkdir(parents=True)")))).exit_code == 0
    assert groups_of_scripts(groups) == []


IMPORTS = """
import os, sys
from pathlib import Path
from xfworker.adapters.process.control_groups import usable_control_groups
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.ports.job_runner import ScriptCall
from xfworker.testing.contracts.job_runner import CollectedOutput
"""
WORKER = f"""{IMPORTS}
groups = usable_control_groups()
assert groups.prepare() is None
folder, output = Path(sys.argv[1]), CollectedOutput()
code = "import os, time; print('ready', os.getpid(), flush=True); time.sleep(600)"
runner = ProcessRunner(control_groups=groups)
script = runner.start(ScriptCall(command=(sys.executable, "-u", "-c", code), environment={{}}, working_directory=folder,
                                 log_path=folder / "log.txt", memory_limit_bytes=100 << 20), output)
output.seen.wait(60)
print(output.content.split()[1].decode(), runner._guard.pid, flush=True)
script.wait()
"""


def test_what_a_killed_worker_left_behind_is_ended_by_the_next(groups, tmp_path):
    with subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as worker:
        script, guard = map(int, worker.stdout.readline().split())
        pidfd = os.pidfd_open(script)
        held = groups_of_scripts(groups)
        assert len(held) == 1
        # A worker that lives holds its own against every other.
        assert groups.prepare() is None
        assert groups_of_scripts(groups) == held
        # So that nobody ends the script but the next worker.
        os.kill(guard, signal.SIGSTOP)
        worker.kill()
    try:
        assert groups.prepare() is None
        wait_for_end(pidfd)
        assert groups_of_scripts(groups) == []
    finally:
        os.kill(guard, signal.SIGKILL)


OF_A_USER = f"""{IMPORTS}
import resource  # which waiting for a process imports, when this user cannot read it any more
groups = usable_control_groups()
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[3]))
assert usable_control_groups() == groups, usable_control_groups()
assert groups.prepare() is None
folder, take = Path(sys.argv[1]), "head -c 300000000 /dev/zero | tail -n 1"  # a line of 300 MB, which tail holds
script = ProcessRunner(control_groups=groups).start(ScriptCall(
    command=("/bin/sh", "-c", take), environment={{"PATH": os.environ["PATH"]}}, working_directory=folder,
    log_path=folder / "log.txt", memory_limit_bytes=100 << 20))
print(script.wait().out_of_memory, script._group is not None)
"""


def test_a_user_to_whom_a_group_was_given_keeps_scripts_in_it(tmp_path):
    nobody = pwd.getpwnam("nobody")
    given = Path("/sys/fs/cgroup/of-a-user")
    given.mkdir()
    for path in (given, given / "cgroup.procs", given / "cgroup.subtree_control"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o777)
    code = f"open({str(given / 'cgroup.procs')!r}, 'w').write('0')\n{OF_A_USER}"
    command = [sys.executable, "-c", code, str(tmp_path), str(nobody.pw_gid), str(nobody.pw_uid)]
    worker = subprocess.run(command, capture_output=True, text=True, check=False)
    assert worker.stdout.split() == ["True", "True"], worker.stderr
    assert [folder.name for folder in given.iterdir() if folder.is_dir()] == ["xfworker.workers"]


def test_a_script_whose_group_cannot_be_made_keeps_its_limit_all_the_same(call, groups):
    runner = ProcessRunner(grace_seconds=0.3, control_groups=ControlGroups(groups.folder / "absent", ("cpu", "pids")))
    try:
        code = "kept = [b'x' * (1 << 20) for _ in range(1 << 12)]; import time; time.sleep(60)"
        assert ended(runner.start(call(code, memory_limit_bytes=100 * MIB))).out_of_memory
    finally:
        runner.close()


def test_the_doctor_says_that_control_groups_keep_scripts(groups):
    command = [sys.executable, "-m", "xfworker", "doctor", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/tmp")
    kept_by = json.loads(said.stdout)["scripts_kept_by"]
    assert kept_by == f"control groups in {groups.folder} (memory, cores, number of processes)"
