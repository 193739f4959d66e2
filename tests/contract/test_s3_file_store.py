"""The suite for file stores against S3: SeaweedFS from a wheel, or skipped where that is not installed."""

import pytest

from tests.contract.suites.object_server import make_bucket, object_server
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError, PermissionDenied, XFWorkerError
from xfworker.testing.contracts.file_store import FileStoreContract

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with object_server(tmp_path_factory.mktemp("weed")) as url:
        yield url


@pytest.fixture(scope="module")
def bucket(endpoint):
    return make_bucket(endpoint)


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
        'access_key = "key"\nsecret_key_file = "key.txt"\n'
    )
    (tmp_path / "key.txt").write_text("secret\n")
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
