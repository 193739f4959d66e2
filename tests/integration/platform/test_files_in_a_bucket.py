"""A server whose files are in a bucket: transfers, backups, check-ups, and what is wrong said before it serves."""

import json
import os
from pathlib import Path

import pytest

from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.api.cli.main import main
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import FileNotInStore
from xfworker.domain.files import VERBS, Scope, record_resource
from xfworker.domain.records import Project, Workflow
from xfworker.testing.contracts.served_files import digests_of

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with object_server(tmp_path_factory.mktemp("weed")) as url:
        make_bucket(url)
        yield url


def write_settings(path, endpoint, *, bucket="s3://test/lab", secret=SECRET_KEY):
    path.write_text(
        f'[files]\nkind = "s3"\nbucket = "{bucket}"\nendpoint = "{endpoint}"\nregion = "us-east-1"\n'
        f'access_key = "{ACCESS_KEY}"\nsecret_key = "{secret}"\n[http]\nconnect_seconds = 2.0\n'
    )
    return path


@pytest.fixture(scope="module")
def settings(endpoint, tmp_path_factory):
    return write_settings(tmp_path_factory.mktemp("settings") / "xfworker.toml", endpoint)


@pytest.fixture(scope="module")
def served(settings, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFWORKER_CONFIG", str(settings))
        with EmbeddedServer(tmp_path_factory.mktemp("served"), files="s3://test/lab") as embedded:
            yield embedded


@pytest.fixture(autouse=True)
def _settings(settings, monkeypatch):
    monkeypatch.setenv("XFWORKER_CONFIG", str(settings))


@pytest.fixture
def server(served):
    from xfworker.adapters.http.transport import HttpTransport
    from xfworker.adapters.http.xf_server import HttpXFServer

    link = HttpTransport(served.url, token=served.admin_token)
    yield HttpXFServer(link)
    link.close()


@pytest.fixture
def folder(server):
    project = server.create(Project(name="p"))
    workflow = server.create(Workflow(name="w", project_serial=project.serial))
    return record_resource("workflow_config", workflow.serial)


@pytest.fixture
def token(server, folder):
    return server.file_token([Scope(verb, folder) for verb in VERBS])


@pytest.fixture
def store():
    store = HttpFileStore(clock=SystemClock())
    yield store
    store.close()


@pytest.mark.parametrize("size", [0, 5000, 3 << 20, (25 << 20) + 17])
def test_what_a_client_stores_is_in_the_bucket_and_comes_back(store, token, folder, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    sent = store.upload(token, tmp_path / "a", folder.child("a.raw"))
    found = store.download(token, folder.child("a.raw"), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content
    assert (sent.etag, sent.xxh3) == (found.etag, digests_of(content).xxh3)
    assert b"".join(store.open_read(token, folder.child("a.raw"), offset=max(size - 5, 0))) == content[-5:]
    assert [stat.size for stat in store.list(token, folder).files] == [size]
    store.delete(token, folder.child("a.raw"))
    with pytest.raises(FileNotInStore):
        store.stat(token, folder.child("a.raw"))


def test_who_takes_redirects_reads_large_files_from_the_bucket_and_others_through_the_server(
    endpoint, store, token, folder, served, tmp_path
):
    import urllib3

    content = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(content)
    sent = store.upload(token, tmp_path / "a", folder.child("a.raw"))
    address = f"{served.url}/fss/v1/files/{folder}/a.raw"
    bearer = {"Authorization": f"Bearer {token.token}"}
    pool = urllib3.PoolManager()
    plain = pool.request("GET", address, headers=bearer, redirect=False)
    assert (plain.status, plain.data) == (200, content)
    sent_on = pool.request("GET", address, headers={**bearer, "XF-Takes-Redirects": "?1"}, redirect=False)
    assert (sent_on.status, sent_on.data) == (307, b"")
    assert sent_on.headers["Location"].startswith(f"{endpoint}/test/lab/{folder}/a.raw?")
    assert SECRET_KEY not in sent_on.headers["Location"].partition("?")[2].split("=")
    there = {"Range": "bytes=1048576-", "If-Match": f'"{sent.etag}"'}
    assert pool.request("GET", sent_on.headers["Location"], headers=there).data == content[1 << 20 :]
    for wrong in ({"Authorization": "Bearer x"}, {}):
        assert pool.request("GET", address, headers={**wrong, "XF-Takes-Redirects": "?1"}, redirect=False).status == 401
    pool.clear()


def test_a_backup_holds_the_files_of_the_bucket_and_brings_them_back(store, token, folder, served, tmp_path, capsys):
    contents = {"small.csv": b"1,2", "large.raw": os.urandom((9 << 20) + 1)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        store.upload(token, tmp_path / name, folder.child(name))
    target = tmp_path / "backup"
    assert main(["backup", str(target), "--data", str(served.data)]) == 0
    kept = json.loads((target / "manifest.json").read_text())["files"]
    assert {name: entry[0] for name, entry in kept.items() if name.startswith(str(folder))} == {
        f"{folder}/{name}": digests_of(content).sha256 for name, content in contents.items()
    }
    store.delete(token, folder.child("small.csv"))
    (tmp_path / "large.raw").write_bytes(b"another")
    store.upload(token, tmp_path / "large.raw", folder.child("large.raw"))
    store.upload(token, tmp_path / "large.raw", folder.child("later.raw"))
    assert main(["restore", str(target), "--data", str(served.data)]) == 0
    for name, content in contents.items():
        assert b"".join(store.open_read(token, folder.child(name))) == content
    with pytest.raises(FileNotInStore):
        store.stat(token, folder.child("later.raw"))
    capsys.readouterr()
    assert main(["doctor", "--data", str(served.data), "--deep"]) == 0


def test_the_check_up_finds_what_is_damaged_missing_and_orphaned_in_the_bucket(
    endpoint, store, token, folder, served, tmp_path, capsys
):
    import obstore

    from xfworker.adapters.s3.bucket import open_bucket

    (tmp_path / "a").write_bytes(b"content")
    store.upload(token, tmp_path / "a", folder.child("hurt.raw"))
    bucket, prefix = open_bucket("s3://test/lab", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    path = f"{prefix}/{folder}/hurt.raw"
    attributes = obstore.get(bucket, path).attributes
    obstore.put(bucket, path, b"cOntent", attributes=attributes)
    obstore.put(bucket, f"{prefix}/job_result/4711/lost.raw", b"x")
    assert main(["doctor", "--data", str(served.data), "--deep", "--json"]) == 1
    findings = {(item["kind"], item["place"]) for item in json.loads(capsys.readouterr().out)["findings"]}
    assert {("damaged", f"{folder}/hurt.raw"), ("orphaned", "job_result/4711/lost.raw")} <= findings
    obstore.delete(bucket, [path, f"{prefix}/job_result/4711/lost.raw"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"bucket": "s3://missing/lab"}, "there is no such bucket"),
        ({"secret": "hush-hush-wrong"}, "does not accept the credentials"),
        ({"endpoint": "http://127.0.0.1:9"}, "connection refused; check files.endpoint"),
    ],
    ids=["bucket", "secret", "endpoint"],
)
def test_a_missing_bucket_a_wrong_secret_and_a_dead_endpoint_are_three_errors_before_anything_is_served(
    endpoint, tmp_path, monkeypatch, capfd, changed, sentence
):
    file = write_settings(tmp_path / "wrong.toml", **{"endpoint": endpoint, **changed})
    bucket = changed.get("bucket", "s3://test/lab")
    monkeypatch.setenv("XFWORKER_CONFIG", str(file))
    for command in (
        ["config", "check"],
        ["serve", "--data", str(tmp_path / "data"), "--files", bucket, "--port", "0"],
        ["backup", str(tmp_path / "backup"), "--data", str(tmp_path / "data")],
    ):
        assert main(command) != 0
        said = " ".join(capfd.readouterr().err.split())
        assert sentence in said
        assert "Traceback" not in said
        assert "hush-hush" not in said
    assert not (tmp_path / "backup").exists()
    assert not Path(tmp_path / "data" / "records.sqlite").exists()


def test_images_of_a_bucket_are_shown(served, server, store, token, folder, tmp_path):
    import time

    import numpy as np
    import urllib3

    from xfworker.api.facade import omni

    image = omni.create_image(tmp_path / "scan.omni", size=(70, 20, 10), pixel_type="int16")
    image.pixels[:] = np.arange(14_000).reshape(10, 20, 70)
    image.save()
    for name in ("scan.raw", "scan.omni"):
        store.upload(token, tmp_path / name, folder.child(name))
    bearer = {"Authorization": f"Bearer {served.admin_token}"}
    address = f"{served.url}/images/v1/{folder}/scan.omni"
    while True:
        answer = urllib3.request("GET", address, headers=bearer)
        assert answer.status == 200, answer.data
        if answer.json()["pyramid"]["state"] == "complete":
            break
        time.sleep(0.01)  # the server builds in the background; it offers nothing to wait for
    tile = urllib3.request("GET", f"{address}?tile={answer.json()['key']}.bricks.x.0.69.0.0", headers=bearer)
    assert np.array_equal(np.frombuffer(tile.data, "<i2").reshape(10, 20), image.pixels[:, :, 69])
    assert urllib3.request("GET", address, headers={"Authorization": "Bearer x"}).status == 401
