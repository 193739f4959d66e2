import os
import subprocess
import sys

import pytest

from xfworker.adapters.process.job_directories import JobDirectories
from xfworker.adapters.process.worker_name import worker_instance, worker_name
from xfworker.domain.errors import UsageError

SERVER = "http://lab:8080"


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def directories(tmp_path):
    (tmp_path / "jobs").mkdir()
    return JobDirectories(tmp_path / "jobs", "job-")


def new_directory(directories, name="job-1"):
    path = directories.folder / name
    path.mkdir()
    return path


def test_the_directory_of_a_running_job_is_not_another_workers_to_remove(directories):
    path = new_directory(directories)
    with directories.held(path):
        assert JobDirectories(directories.folder, "job-").unused() == []
    (path / "log.txt").touch()
    assert [found for found, _ in directories.unused()] == [path]


def test_a_directory_that_was_made_just_now_is_not_removed_before_it_is_held(directories):
    path = new_directory(directories)
    assert directories.unused() == []
    os.utime(path, (1, 1))
    assert [found for found, _ in directories.unused()] == [path]


def test_the_directory_of_a_worker_that_was_killed_may_be_removed(directories):
    path = new_directory(directories)
    code = (
        "import os, pathlib\n"
        "from xfworker.adapters.process.job_directories import JobDirectories\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "JobDirectories(path.parent, 'job-').held(path).__enter__()\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (path / ".owner").exists()
    assert [found for found, _ in directories.unused()] == [path]


def test_workers_of_one_computer_get_names_of_their_own():
    with worker_name(None, SERVER) as first, worker_name(None, SERVER) as second:
        assert second == f"{first}-2"
        with worker_name(None, "http://other:8080") as elsewhere:
            assert elsewhere == first
    with worker_name(None, SERVER) as again:
        assert again == first


def test_a_chosen_name_is_one_process_at_a_time():
    second = worker_name("gpu", SERVER)
    with worker_name("gpu", SERVER), pytest.raises(UsageError, match="a worker named gpu runs on this computer"):
        second.__enter__()
    with worker_name("gpu", SERVER) as again:
        assert again == "gpu"


def test_a_worker_keeps_its_instance_when_it_is_started_again_and_shares_it_with_no_other_name():
    with worker_name("gpu", SERVER):
        instance = worker_instance("gpu", SERVER)
    with worker_name("gpu", SERVER), worker_name("cpu", SERVER):
        assert worker_instance("gpu", SERVER) == instance
        assert worker_instance("cpu", SERVER) != instance
