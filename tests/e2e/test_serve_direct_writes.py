"""A server whose files lie on a disk that scripts reach as well, started as people start it."""

import json
import subprocess
import sys

import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.domain.files import Scope, record_resource
from xfworker.services.transfers.transfers import Transfers
from xfworker.testing.contracts.worlds import HttpWorld, Setting

SERVE = [sys.executable, "-m", "xfworker", "serve", "--port", "0", "--end-with-input"]


@pytest.fixture
def served(tmp_path):
    files = str(tmp_path / "data" / "files")
    notice = tmp_path / "notice.json"
    words = ["--data", str(tmp_path / "data"), "--announce", str(notice)]
    process = subprocess.Popen(
        [*SERVE, *words, "--direct-access-root", files, "--direct-writes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert any(line.startswith(b"xfworker serves") for line in process.stderr)
        told = json.loads(notice.read_text())
        transport = HttpTransport(f"http://{told['host']}:{told['port']}", token=told["admin_token"])
        yield HttpWorld(
            admin=HttpXFServer(transport),
            queue=HttpJobQueue(transport),
            url=transport.url,
            control=HttpWorkflowControl(transport),
        )
        transport.close()
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_an_output_is_written_into_the_store_and_only_registered(served, tmp_path):
    job = Setting.make(served).job()
    place = record_resource("job_result", job.serial, "big.raw")
    token = served.admin.file_token([Scope("write", place), Scope("read", place)])
    files = HttpFileStore()
    transfers = Transfers(files, LocalFilesystem(tmp_path), SystemClock())

    path = transfers.writable_path(token, place, tmp_path / "fallback.raw")
    path.write_bytes(b"voxels")
    transfers.store(token, path, place)

    assert path.is_relative_to(tmp_path / "data" / "files")
    assert path.stat().st_ino == (tmp_path / "data" / "files" / str(place)).stat().st_ino
    assert files.stat(token, place).size == len(b"voxels")
    files.close()


def test_direct_writes_need_to_know_where(tmp_path):
    done = subprocess.run(
        [*SERVE, "--direct-writes"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert "--direct-access-root" in done.stderr
    assert list(tmp_path.iterdir()) == []
