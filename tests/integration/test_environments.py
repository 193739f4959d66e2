import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from xfworker.adapters.process.environments import Environments, Installation
from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.errors import JobError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell commands of POSIX")


def write_wheel(folder, name, version):
    """Write a wheel with one module by hand, so that nothing has to be built or fetched."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f"version = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def kept(folder):
    """List what there is of environments; the locks of those that were made stay."""
    return [path for path in (folder / "environments").iterdir() if path.suffix != ".lock"]


@pytest.fixture
def environments(tmp_path):
    return Environments(tmp_path / "environments")


def test_a_library_that_is_too_old_for_xfworkerutil_is_named(environments, tmp_path):
    wheel = write_wheel(tmp_path, "urllib3", "1.26.20")
    by_pip = Installation("Lab.Old 1.0.0.0", f"%xfpip% install --no-index --no-deps {wheel}", None, "")
    with pytest.raises(JobError, match=r"installing Lab.Old 1.0.0.0 failed .*xfworkerutil needs itself: .*urllib3>=2"):
        environments.get([by_pip])
    unpack = f"import site, zipfile; zipfile.ZipFile('{wheel}').extractall(site.getsitepackages()[0])"
    behind = f'%xfpython% -c "{unpack}"'
    with pytest.raises(JobError, match=r"Lab.Old 1.0.0.0 installs urllib3 1.26.20, .* it needs urllib3>=2"):
        environments.get([Installation("Lab.Old 1.0.0.0", behind, None, "")])
    assert kept(tmp_path) == []


def test_what_an_install_command_writes_is_reported_while_it_runs(environments):
    pieces = []
    environments.get([Installation("Lab.Said 1.0.0.0", "echo one; echo two", None, "")], pieces.append)
    assert b"".join(pieces) == b"xfworker: installing Lab.Said 1.0.0.0\none\ntwo\n"


def test_a_report_may_stop_an_installation(environments, tmp_path):
    def stop(piece):
        if piece == b"ready\n":
            raise JobError("the job was aborted")

    with pytest.raises(JobError, match="was aborted"):
        environments.get([Installation("Lab.Long 1.0.0.0", "echo ready; exec sleep 60", None, "")], stop)
    assert kept(tmp_path) == []


def test_pip_is_pip_whether_uv_is_there_or_not(environments, tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "uv"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexit 9\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    pieces = []
    Environments(tmp_path / "environments").get([Installation("a 1", "%xfpip% --version", None, "")], pieces.append)
    assert b"".join(pieces).splitlines()[1].startswith(b"pip ")


def test_an_environment_cannot_be_changed_by_jobs(environments):
    prefix = Path(environments.get([Installation("a 1", "true", None, "")]).variables["VIRTUAL_ENV"])
    assert [
        path for path in (prefix, *prefix.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o222
    ] == []


def test_an_installation_that_says_nothing_is_stopped_with_all_that_it_started(environments, tmp_path):
    alive = tmp_path / "child"
    command = f"sh -c 'echo $$ > {alive}; exec sleep 60' & wait"
    asked = []

    def stop(piece):
        asked.append(piece)
        if piece == b"" and alive.exists() and alive.read_text().strip():
            raise JobError("the job was aborted")

    with pytest.raises(JobError, match="was aborted"):
        environments.get([Installation("Lab.Silent 1.0.0.0", command, None, "")], stop)
    assert b"" in asked
    stat = Path(f"/proc/{alive.read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().split(")")[1].split()[0] == "Z"


@pytest.mark.parametrize("damage", ["lost", "changed", "added"])
def test_an_environment_that_was_damaged_is_made_anew(environments, damage):
    command = """%xfpython% -c "import site; open(site.getsitepackages()[0] + '/lab_module.py', 'w').write('n = 1')" """
    installation = Installation("Lab.Module 1.0.0.0", command, None, "")
    first = environments.get([installation])
    assert environments.get([installation]).python == first.python
    module = next(first.python.parent.parent.rglob("lab_module.py"))
    module.parent.chmod(0o700)
    module.chmod(0o600)
    if damage == "lost":
        module.unlink()
    elif damage == "changed":
        module.write_text("n = 2")
        os.utime(module, ns=(1, 1))
    else:
        module.with_name("json.py").write_text("")
    again = environments.get([installation])
    assert again.python != first.python
    assert next(again.python.parent.parent.rglob("lab_module.py")).read_text() == "n = 1"
    assert environments.get([installation]).python == again.python


def test_an_environment_whose_files_were_only_touched_is_kept(environments):
    installation = Installation("Lab.Nothing 1.0.0.0", "true", None, "")
    first = environments.get([installation])
    os.utime(first.python.parent.parent / "pyvenv.cfg", ns=(1, 1))
    assert environments.get([installation]).python == first.python


ONE_OF_SEVERAL = """
import sys
from pathlib import Path
from xfworker.adapters.process.environments import Environments, Installation

folder, command = sys.argv[1:]
print(Environments(Path(folder)).get([Installation("Lab.Once 1.0.0.0", command, None, "")]).python)
"""


def test_several_workers_that_share_a_folder_make_an_environment_once(tmp_path):
    command = f"echo installed >> {tmp_path / 'installed'}"
    call = [sys.executable, "-c", ONE_OF_SEVERAL, str(tmp_path / "environments"), command]
    workers = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    interpreters = {worker.communicate(timeout=120)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert len(interpreters) == 1
    assert (tmp_path / "installed").read_text() == "installed\n"


def test_who_waits_for_anothers_installation_can_be_stopped(tmp_path):
    environments, installation = (
        Environments(tmp_path / "environments"),
        Installation("Lab.Held 1.0.0.0", "true", None, ""),
    )
    environments.get([installation])
    [lock] = (tmp_path / "environments").glob("*.lock")
    [entry] = (tmp_path / "environments").glob("*.json")
    entry.unlink()

    def stop(piece):
        if not piece:
            raise JobError("the job was aborted")

    with lock.open("r+b") as file:
        assert try_lock(file)
        with pytest.raises(JobError, match="was aborted"):
            environments.get([installation], stop)
    assert environments.get([installation], stop).python.exists()


def test_where_the_file_system_has_no_locks_an_environment_is_made_all_the_same(environments, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert environments.get([Installation("Lab.Lockless 1.0.0.0", "true", None, "")]).python.exists()
