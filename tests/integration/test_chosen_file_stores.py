"""File stores that a settings file chooses, under the built-in server and real jobs."""

import json
import os
import subprocess
import sys

import pytest

from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.settings.model import FilesSettings, Settings
from xfworker.domain.records import Job, Worker
from xfworker.services.jobs.staging import StagedFile, StagePlan, stage_job

SCRIPT = (
    "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\n"
    "text = worker.download_input_file(worker.job['inputs']['file']).read_text()\n"
    "path = worker.create_temp_path('out.txt')\npath.write_text(text.upper())\n"
    "worker.upload_output_file(path)\n"
    "worker.finish({'file': worker.create_output_foreign_file(path.name)})\n"
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    with EmbeddedServer(tmp_path_factory.mktemp("lab"), files_elsewhere=True) as embedded:
        yield embedded


def run_job(embedded, folder, settings, toml):
    """Stage a job with one file, and run its script with nothing but a settings file."""
    (folder / "in.txt").write_text("hello")
    (folder / "task.py").write_text(SCRIPT)
    (folder / "lab.toml").write_text(toml)
    with connected(ServerAddress(embedded.url, embedded.admin_token), settings) as client:
        staged = StagedFile(type="ForeignFile", paths=(folder / "in.txt",))
        job = stage_job(client.server, client.files, StagePlan(name="t", task_type="T", files={"file": staged}))
        worker = client.queue.register(Worker(name="tests"))
        lease = client.queue.claim(worker.serial, job_serial=job.serial)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XF")},
            "XF_JOB_SERIAL": str(job.serial),
            "XF_SERVER_HOST": embedded.host,
            "XF_SERVER_PORT": str(embedded.port),
            "XF_SERVER_AUTH": lease.server_auth,
            "XFWORKER_CONFIG": str(folder / "lab.toml"),
        }
        done = subprocess.run(
            [sys.executable, "task.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return client.server.get(Job, job.serial)


def test_a_folder_on_a_shared_disk_needs_no_file_service(embedded, tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    settings = Settings(files=FilesSettings(kind="folder", folder=share))
    job = run_job(embedded, tmp_path, settings, f"[files]\nkind = 'folder'\nfolder = {json.dumps(str(share))}\n")
    assert (share / "job_result" / str(job.serial) / "out.txt").read_text() == "HELLO"
    assert not (embedded.data / "files" / "job_result" / str(job.serial)).exists()


def test_an_archive_is_read_and_never_written(embedded, tmp_path):
    archive, writable = tmp_path / "archive", tmp_path / "writable"
    archive.mkdir()
    writable.mkdir()
    old = Settings(files=FilesSettings(kind="folder", folder=archive))
    toml = (
        f"[files]\nkind = 'folder'\nfolder = {json.dumps(str(writable))}\n"
        f"[[files.archives]]\nkind = 'folder'\nfolder = {json.dumps(str(archive))}\n"
    )
    job = run_job(embedded, tmp_path, old, toml)
    written = [path.name for path in archive.rglob("*.txt")]
    assert written == ["in.txt"]
    assert (writable / "job_result" / str(job.serial) / "out.txt").read_text() == "HELLO"


def test_a_share_that_is_not_mounted_is_one_sentence(embedded, tmp_path):
    toml = tmp_path / "xfworker.toml"
    toml.write_text("[files]\nkind = 'folder'\nfolder = 'nowhere'\n")
    command = [sys.executable, "-m", "xfworker", "config", "check", str(toml)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"{toml}, line 3: the file store's folder {tmp_path / 'nowhere'} is not there" in done.stderr
