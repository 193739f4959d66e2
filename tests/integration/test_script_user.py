import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from xfworker.adapters.process.environments import Environments, Installation
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.adapters.process.script_user import find_script_user
from xfworker.domain.errors import UsageError
from xfworker.ports.job_runner import ScriptCall

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root may start processes of other users"
)


@pytest.fixture
def folder():
    # pytest's own folders are root's alone.
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture
def nobody():
    return find_script_user("nobody")


def test_a_script_runs_as_its_user_and_cannot_touch_its_log(folder, nobody):
    (folder / "temp").mkdir()
    code = (
        "id -un; touch own.txt temp/own.txt && echo made; rm -f log.txt; mv log.txt other; ln -sf /etc/passwd log.txt"
    )
    call = ScriptCall(
        command=("/bin/sh", "-c", f"{code}; printenv HOME"),
        environment={"PATH": os.environ["PATH"], "HOME": "/root"},
        working_directory=folder,
        log_path=folder / "log.txt",
    )
    runner = ProcessRunner(user=nobody)
    try:
        assert runner.start(call).wait(60).exit_code == 0
    finally:
        runner.close()
    assert not (folder / "log.txt").is_symlink()
    lines = (folder / "log.txt").read_text().splitlines()
    assert lines[:2] == ["nobody", "made"]
    assert lines[-1] == nobody.home


def test_a_script_is_in_the_groups_of_its_user_and_in_none_of_its_workers(folder, nobody):
    of_user, of_worker = [number for number in range(60_000, 60_100) if number not in nobody.groups][:2]
    code = (
        "import attrs, os, pathlib, sys\n"
        "from xfworker.adapters.process.runner import ProcessRunner\n"
        "from xfworker.adapters.process.script_user import find_script_user\n"
        "from xfworker.ports.job_runner import ScriptCall\n"
        "folder, of_user, of_worker = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])\n"
        "os.setgroups([0, of_worker])\n"
        "user = find_script_user('nobody')\n"
        "runner = ProcessRunner(user=attrs.evolve(user, groups=(*user.groups, of_user)))\n"
        "code = 'id -u; id -g; id -G'\n"
        "call = ScriptCall(command=('/bin/sh', '-c', code), environment={'PATH': os.environ['PATH']},\n"
        "    working_directory=folder, log_path=folder / 'log.txt')\n"
        "assert runner.start(call).wait(60).exit_code == 0\n"
        "runner.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(of_user), str(of_worker)], check=True)
    user, group, groups = (folder / "log.txt").read_text().splitlines()
    assert (int(user), int(group)) == (nobody.uid, nobody.gid)
    assert {int(number) for number in groups.split()} == {nobody.gid, *nobody.groups, of_user}


def test_install_commands_run_as_that_user_which_cannot_change_the_environment_afterwards(folder, nobody):
    environments = Environments(folder / "environments", user=nobody)
    (folder / "environments").mkdir(mode=0o711)
    install = Installation("Lab.Who 1.0.0.0", 'id -un > "$VIRTUAL_ENV/who.txt"', None, "")
    prefix = Path(environments.get([install]).variables["VIRTUAL_ENV"])
    assert (prefix / "who.txt").read_text() == "nobody\n"
    command = f"cat {prefix}/who.txt && ! touch {prefix}/new && ! rm -f {prefix}/who.txt"
    subprocess.run(["/bin/sh", "-c", command], check=True, **nobody.process_options)


@pytest.mark.parametrize(("name", "message"), [("root", "administrator"), ("no-such-user", "no user of that name")])
def test_scripts_run_as_no_administrator_and_no_unknown_user(name, message):
    with pytest.raises(UsageError, match=message):
        find_script_user(name)


def test_a_user_that_cannot_enter_the_folder_is_named(folder, nobody):
    folder.chmod(0o700)
    with pytest.raises(UsageError, match="scripts cannot run as nobody"):
        nobody.check(folder)
