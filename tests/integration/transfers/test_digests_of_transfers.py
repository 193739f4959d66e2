"""Which digests are told, and that each is looked at."""

import base64
import hashlib
import os

import pytest
import urllib3
import xxhash
from attrs import evolve

from tests.integration.transfers.conftest import LIMITS, TRANSFERS
from tests.integration.transfers.older_server import older_server
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.errors import ChecksumMismatch
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {**TUS, "Content-Type": "application/offset+octet-stream"}


def field(algorithm, content):
    found = hashlib.sha256(content) if algorithm == "sha-256" else xxhash.xxh3_128(content)
    return f"{algorithm}=:{base64.b64encode(found.digest()).decode()}:"


@pytest.fixture
def ask(served):
    with urllib3.PoolManager() as pool:

        def call(method, path, headers=None, body=None):
            fields = {"Authorization": f"Bearer {served.token().token}", **(headers or {})}
            return pool.request(method, f"{served.url}/fss/v1/{path}", headers=fields, body=body, retries=False)

        yield call


@pytest.mark.parametrize("size", [0, 1, 5000, 3 << 20])
@pytest.mark.parametrize("asked_at", ["PUT", "HEAD", "GET"])
def test_the_sha256_is_stated_from_the_moment_that_somebody_asks_for_it(ask, folder, size, asked_at):
    content, tags, is_asked = b"x" * size, set(), False
    for method, body in (("PUT", content), ("HEAD", None), ("GET", None), ("HEAD", None)):
        is_asking = method == asked_at
        is_asked |= is_asking
        headers = {"Want-Repr-Digest": "sha-512=3, sha-256=10"} if is_asking else {"Want-Repr-Digest": "sha-256=0"}
        answer = ask(method, f"files/{folder}/a", headers, body)
        assert answer.headers.get("repr-digest") == (field("sha-256", content) if is_asked else None)
        assert answer.headers["xf-quick-digest"] == field("xxh3-128", content)
        tags.add(answer.headers["etag"])
    [tag] = tags  # it stays while the digest comes
    assert tag.startswith('"')


@pytest.mark.parametrize("size", [5000, 3 << 20])
@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("Repr-Digest", "sha-256"), ("Content-Digest", "sha-256"), ("XF-Quick-Digest", "xxh3-128")],
)
def test_a_body_that_is_not_what_its_digest_says_is_not_stored(ask, folder, size, name, algorithm):
    content = b"x" * size
    refused = ask("PUT", f"files/{folder}/a", {name: field(algorithm, content + b"y")}, content)
    assert refused.status == 460
    assert ask("HEAD", f"files/{folder}/a").status == 404
    assert ask("PUT", f"files/{folder}/a", {name: field(algorithm, content)}, content).status == 201


@pytest.fixture
def begun(ask, folder):
    """Half an upload of ten bytes."""
    metadata = f"resource {base64.b64encode(str(folder.child('a')).encode()).decode()}"
    created = ask("POST", "uploads", {**TUS, "Upload-Length": "10", "Upload-Metadata": metadata})
    assert created.headers["xf-prefix-digest"] == "sha-256, xxh3-128"
    location = created.headers["location"]
    assert ask("PATCH", location, {**BODY, "Upload-Offset": "0"}, b"01234").status == 204
    return location


@pytest.mark.parametrize("algorithm", ["sha-256", "xxh3-128"])
def test_a_wrong_prefix_is_refused_and_gone_back_from(ask, begun, algorithm):
    wrong = {**BODY, "Upload-Offset": "5", "XF-Prefix-Digest": field(algorithm, b"01236")}
    assert ask("PATCH", begun, wrong, b"56789").status == 460
    assert ask("HEAD", begun, TUS).headers["upload-offset"] == "0"
    assert ask("PATCH", begun, {**BODY, "Upload-Offset": "0"}, b"01234").status == 204
    right = {**BODY, "Upload-Offset": "5", "XF-Prefix-Digest": field(algorithm, b"01234")}
    assert ask("PATCH", begun, right, b"56789").status == 204


@pytest.mark.parametrize(("name", "algorithm"), [("Repr-Digest", "sha-256"), ("XF-Quick-Digest", "xxh3-128")])
def test_a_wrong_whole_is_not_published(ask, begun, folder, name, algorithm):
    wrong = {**BODY, "Upload-Offset": "5", name: field(algorithm, b"012345678X")}
    assert ask("PATCH", begun, wrong, b"56789").status == 460
    assert ask("HEAD", f"files/{folder}/a").status == 404
    right = {**BODY, "Upload-Offset": "0", name: field(algorithm, b"0123456789")}
    assert ask("PATCH", begun, right, b"0123456789").status == 204
    assert ask("GET", f"files/{folder}/a").data == b"0123456789"


@pytest.mark.parametrize("value", ["xxh3-128=:AAAA:", "xxh3-128=nonsense"])
def test_a_malformed_digest_is_refused_before_anything_is_taken(ask, begun, value):
    headers = {**BODY, "Upload-Offset": "5", "XF-Prefix-Digest": value}
    answer = ask("PATCH", begun, headers, b"56789")
    assert (answer.status, b"base64 of 16 bytes" in answer.data) == (400, True)
    assert ask("HEAD", begun, TUS).headers["upload-offset"] == "5"


@pytest.fixture
def stores(served):
    """Our client in front of a server that knows SHA-256 only, whole and damaging."""
    with older_server(served.url) as whole, older_server(served.url, damage=True) as damaging:
        store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
        tokens = [evolve(served.token(), url=f"{url}/fss/v1") for url in (whole, damaging)]
        yield store, *tokens
        store.close()


def test_with_an_older_server_sha256_does_it(stores, source, content, folder, tmp_path):
    store, token, damaging = stores
    place = folder.child("scan.raw")
    sent = store.upload(token, source, place)
    assert sent.sha256 == hashlib.sha256(content).hexdigest()
    fetched = store.download(token, place, tmp_path / "target")
    assert (fetched.sha256, fetched.xxh3) == (sent.sha256, None)
    assert (tmp_path / "target").read_bytes() == content
    with pytest.raises(ChecksumMismatch, match="SHA-256"):
        store.download(damaging, place, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_transfers_are_checked_by_the_quick_digest_and_need_no_other(served, source, content, folder, tmp_path, ask):
    store, place = HttpFileStore(transfers=TRANSFERS), folder.child("scan.raw")
    for stat in (store.upload(served.token(), source, place), store.download(served.token(), place, tmp_path / "got")):
        assert (stat.sha256, stat.xxh3) == (None, xxhash.xxh3_128(content).hexdigest())
    ask("HEAD", f"files/{place}", {"Want-Repr-Digest": "sha-256=1"})
    assert store.stat(served.token(), place).sha256 == hashlib.sha256(content).hexdigest()
    store.close()


def test_small_files_go_with_both_digests_until_the_server_has_shown_that_it_knows_the_quick_one(
    served, stores, folder, tmp_path
):
    store, older, _ = stores
    (tmp_path / "small").write_bytes(b"small")
    for token, first, second in ((older, True, True), (served.token(), True, False)):
        for place, sends_sha256 in ((folder.child("first"), first), (folder.child("second"), second)):
            stat = store.upload(token, tmp_path / "small", place)
            assert stat.sha256 == (hashlib.sha256(b"small").hexdigest() if sends_sha256 else None)
            assert stat.xxh3 == xxhash.xxh3_128(b"small").hexdigest()


def test_a_copy_is_checked_by_what_is_known_of_the_file(tmp_path):
    token = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, Resource(("userdata",))) for verb in VERBS))
    store, place = FolderFileStore(tmp_path / "store"), parse_resource("userdata/a.raw")
    source = tmp_path / "a.raw"
    source.write_bytes(b"0123456789")
    store.upload(token, source, place)
    path = tmp_path / "store" / "userdata" / "a.raw"
    found = path.stat()
    path.write_bytes(b"0123456780")  # a disk that spoils a bit, and nobody touched the file
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match="XXH3-128"):
        store.download(token, place, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_of_a_file_that_was_stored_before_the_quick_digest_is_checked_by_sha256(tmp_path):
    token = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, Resource(("userdata",))) for verb in VERBS))
    store, place = FolderFileStore(tmp_path / "store"), parse_resource("userdata/a.raw")
    path = tmp_path / "store" / "userdata" / "a.raw"
    path.parent.mkdir()
    path.write_bytes(b"0123456789")
    store.stat(token, place)
    entry = next((tmp_path / "store").rglob("digests/*/*.json"))
    entry.write_text(
        entry.read_text().replace(f'"xxh3": "{xxhash.xxh3_128(b"0123456789").hexdigest()}"', '"xxh3": null')
    )
    assert store.stat(token, place).xxh3 is None
    found = path.stat()
    path.write_bytes(b"0123456780")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match="SHA-256"):
        store.download(token, place, tmp_path / "copy")
