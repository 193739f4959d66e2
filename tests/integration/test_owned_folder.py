import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process import owned_folder as module
from xfworker.adapters.process.owned_folder import keep_folder, owned_folder, sweep_abandoned

OWNER = """
import sys
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process.owned_folder import owned_folder
with owned_folder("test", LocalFilesystem()) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "records").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(place):
    owners = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            env={**os.environ, "TMPDIR": str(place), "TEMP": str(place)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        owners.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in owners:
        process.kill()
        process.communicate()


def names(place):
    return sorted(path.name for path in place.iterdir())


def test_a_folder_goes_with_its_owner(place):
    with owned_folder("test", LocalFilesystem()) as folder:
        (folder / "data").mkdir()
        assert folder.parent == place
    assert names(place) == []


def test_a_folder_goes_when_its_owner_fails(place):
    def fail():
        with owned_folder("test", LocalFilesystem()) as folder:
            (folder / "data").mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(place) == []


def test_what_a_killed_owner_left_is_removed_and_what_lives_is_not(place, owner):
    living, living_folder = owner()
    killed, killed_folder = owner()
    killed.kill()
    killed.wait()
    assert [str(path) for path in sweep_abandoned(LocalFilesystem())] == [killed_folder]
    assert [str(path) for path in place.iterdir()] == [living_folder]
    living.communicate()
    assert names(place) == []


def test_what_is_to_be_kept_or_is_of_others_stays(place):
    with owned_folder("test", LocalFilesystem(), keep=True) as folder:
        (folder / "data").mkdir()
    (place / "xfworker-own").mkdir()
    (place / "xfworker-own" / "notes.txt").touch()
    (place / "xfworker-file").touch()
    with owned_folder("test", LocalFilesystem()) as later:
        (later / "data").mkdir()
        keep_folder(later)
    before = names(place)
    assert sweep_abandoned(LocalFilesystem()) == []
    assert names(place) == before
    assert (folder / "data").is_dir()
    assert (later / "data").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_is_not_followed(place, owner):
    killed, folder = owner()
    killed.kill()
    killed.wait()
    (place / "elsewhere").mkdir()
    Path(folder).rename(place / "elsewhere" / "of-somebody")
    (place / "xfworker-link").symlink_to(place / "elsewhere" / "of-somebody")
    assert sweep_abandoned(LocalFilesystem()) == []
    assert (place / "elsewhere" / "of-somebody" / "deep" / "records").exists()


def test_a_mark_that_is_not_yet_held_is_left_alone(place):
    (place / "xfworker-new").mkdir()
    (place / "xfworker-new" / ".owner").touch()
    assert sweep_abandoned(LocalFilesystem()) == []
    assert names(place) == ["xfworker-new"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS shows no environment of other processes")
def test_a_script_that_outlived_its_owner_is_ended(place, owner):
    killed, folder = owner()
    killed.kill()
    killed.wait()
    environment = {**os.environ, "XFTEMP": str(Path(folder, "job_1", "temp"))}
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    scripts = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for variables in (environment, {**environment, "XFTEMP": f"{folder}-of-another"})
    ]
    orphan, other = scripts
    try:
        for script in scripts:
            assert script.stdout.readline() == "ready\n"
        sweep_abandoned(LocalFilesystem())
        assert not psutil.pid_exists(orphan.pid)
        other.communicate(timeout=60)
        assert other.returncode == 0
    finally:
        for script in scripts:
            script.kill()
            script.communicate()
