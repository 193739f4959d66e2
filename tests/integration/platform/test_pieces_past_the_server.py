"""Uploads whose bodies go to the bucket directly: proved by their digests, resumed, or sent through the server."""

import base64
import hashlib
import os
import threading

import pytest
import urllib3
import xxhash

from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.adapters.http import direct_pieces
from xfworker.adapters.http.direct_pieces import DirectPieces
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.digest_field import XXH3, write_digest
from xfworker.domain.errors import ChecksumMismatch, ConfigurationError, FileNotInStore, ServerUnreachable
from xfworker.domain.files import VERBS, Scope, userdata_resource
from xfworker.testing.contracts.file_store import FileStoreContract

pytest.importorskip("obstore")
PIECE = 8 << 20


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with object_server(tmp_path_factory.mktemp("weed")) as url:
        make_bucket(url)
        yield url


@pytest.fixture(scope="module")
def embedded(endpoint, tmp_path_factory):
    settings = tmp_path_factory.mktemp("settings") / "xfworker.toml"
    settings.write_text(
        f'[files]\nendpoint = "{endpoint}"\nregion = "us-east-1"\naccess_key = "{ACCESS_KEY}"\n'
        f'secret_key = "{SECRET_KEY}"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFWORKER_CONFIG", str(settings))
        with EmbeddedServer(tmp_path_factory.mktemp("served"), files="s3://test/lab") as embedded:
            yield embedded


@pytest.fixture(scope="module")
def served(embedded):
    transport = HttpTransport(embedded.url, token=embedded.admin_token)
    yield HttpXFServer(transport)
    transport.close()


@pytest.fixture
def store():
    store = HttpFileStore(transfers=TransferLimits(single_put_bytes=1))
    yield store
    store.close()


@pytest.fixture
def folder(request):
    return userdata_resource(request.node.name)


class TestFilesThatGoToTheBucketDirectly(FileStoreContract):
    @pytest.fixture
    def store(self):
        store = HttpFileStore(transfers=TransferLimits(single_put_bytes=1))
        yield store
        store.close()

    @pytest.fixture
    def token_for(self, served):
        return served.file_token

    @pytest.fixture
    def folder(self, request):
        return userdata_resource(request.node.name)


@pytest.fixture
def token(served, folder):
    return served.file_token([Scope(verb, folder) for verb in VERBS])


@pytest.fixture
def sent(monkeypatch):
    """How many bytes of bodies went to which server."""
    sent = {}
    stream = HttpTransport.stream

    def counted(self, method, path, *, body=None, **options):
        def pieces():
            for piece in body:
                sent[self.url] = sent.get(self.url, 0) + len(piece)
                yield piece

        whole = isinstance(body, bytes)
        if whole:
            sent[self.url] = sent.get(self.url, 0) + len(body)
        return stream(self, method, path, body=body if whole or body is None else pieces(), **options)

    monkeypatch.setattr(HttpTransport, "stream", counted)
    return sent


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(os.urandom(3 * PIECE + 17))
    return path


def content_of(store, token, resource):
    return b"".join(store.open_read(token, resource))


def test_no_byte_of_a_body_passes_through_the_server(endpoint, embedded, store, token, folder, file, sent):
    seen = []
    stat = store.upload(token, file, folder.child("a.raw"), progress=lambda *done: seen.append(done))
    assert sent == {endpoint: file.stat().st_size}
    assert stat.xxh3 == xxhash.xxh3_128(file.read_bytes()).hexdigest()
    assert store.stat(token, folder.child("a.raw")).etag == stat.etag
    assert content_of(store, token, folder.child("a.raw")) == file.read_bytes()
    assert seen[-1] == (file.stat().st_size, file.stat().st_size)


def test_what_arrived_before_a_cut_is_not_sent_again(endpoint, store, token, folder, file, sent, monkeypatch):
    put, puts = DirectPieces._put, []  # noqa: SLF001  where a link is cut

    def cut(self, url, field, content):
        if "-00000000000016777216-" in url and not puts:
            puts.append(url)
            raise KeyboardInterrupt
        put(self, url, field, content)

    monkeypatch.setattr(DirectPieces, "_put", cut)
    with pytest.raises(KeyboardInterrupt):
        store.upload(token, file, folder.child("a.raw"))
    with pytest.raises(FileNotInStore):
        store.stat(token, folder.child("a.raw"))
    sent.clear()
    again = HttpFileStore(transfers=TransferLimits(single_put_bytes=1))
    again.upload(token, file, folder.child("a.raw"))
    again.close()
    assert sent[endpoint] <= PIECE + 17
    assert content_of(store, token, folder.child("a.raw")) == file.read_bytes()


def test_where_the_object_store_cannot_be_reached_everything_goes_through_the_server(
    endpoint, embedded, store, token, folder, file, sent, monkeypatch
):
    def unreachable(_):
        raise ConfigurationError("not from here")

    monkeypatch.setattr(store, "_elsewhere", unreachable)
    store.upload(token, file, folder.child("a.raw"))
    assert sent == {embedded.url: file.stat().st_size}
    assert content_of(store, token, folder.child("a.raw")) == file.read_bytes()


def test_a_store_that_fails_for_a_moment_is_asked_again(endpoint, store, token, folder, file, sent, monkeypatch):
    put, failures = DirectPieces._put, [ServerUnreachable("for a moment")]  # noqa: SLF001  where a link is cut
    arrived = threading.Event()

    def failing(self, url, field, content):
        if f"-{2 * PIECE:020d}-" in url and failures:
            assert arrived.wait(20)
            raise failures.pop()
        put(self, url, field, content)
        arrived.set()

    monkeypatch.setattr(DirectPieces, "_put", failing)
    store.upload(token, file, folder.child("a.raw"))
    assert list(sent) == [endpoint]
    assert content_of(store, token, folder.child("a.raw")) == file.read_bytes()


def test_a_store_whose_tags_are_not_digests_gets_files_through_the_server(
    embedded, store, token, folder, file, sent, monkeypatch
):
    monkeypatch.setattr(direct_pieces, "strong_etag", lambda _: "a-key-of-kms")
    store.upload(token, file, folder.child("a.raw"))
    assert sent[embedded.url]
    assert content_of(store, token, folder.child("a.raw")) == file.read_bytes()


class Upload:
    """The requests of an upload, one by one."""

    def __init__(self, embedded, token, resource, size):
        self.pool = urllib3.PoolManager(retries=False)
        self.url, self.size = f"{embedded.url}/fss/v1/uploads", size
        self.headers = {
            "Authorization": f"Bearer {token.token}",
            "Tus-Resumable": "1.0.0",
            "XF-Takes-Redirects": "?1",
        }
        name = base64.b64encode(str(resource).encode()).decode()
        made = self.ask("POST", "", {"Upload-Length": str(size), "Upload-Metadata": f"resource {name}"})
        assert made.headers["XF-Piece-Bytes"] == str(PIECE)
        self.url = f"{embedded.url}/fss/v1/{made.headers['location']}"

    def ask(self, method, below="", headers=None):
        return self.pool.request(method, self.url + below, headers={**self.headers, **(headers or {})}, redirect=False)

    def address(self, offset, content):
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        return self.ask("PUT", f"/{offset}", {"Content-MD5": md5})

    def put(self, offset, content):
        return self.pool.request("PUT", self.address(offset, content).headers["location"], body=content).status

    def offset(self):
        return int(self.ask("HEAD").headers["upload-offset"])

    def finish(self, pieces, whole):
        tags = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
        digest = write_digest(xxhash.xxh3_128(whole).hexdigest(), XXH3)
        fields = {"Upload-Offset": str(self.size), "Content-Type": "application/offset+octet-stream"}
        return self.ask("PATCH", "", {**fields, "XF-Quick-Digest": digest, "XF-Pieces-Digest": tags})


@pytest.fixture
def pieces():
    return [os.urandom(PIECE), b"the end"]


def test_a_piece_that_is_not_what_was_promised_has_not_arrived(endpoint, embedded, token, folder, pieces):
    upload = Upload(embedded, token, folder.child("a"), PIECE + 7)
    address = upload.address(0, pieces[0])
    assert address.status == 307
    assert address.headers["location"].startswith(f"{endpoint}/test/lab/.xfworker/uploads/")
    assert upload.pool.request("PUT", address.headers["location"], body=b"something else").status == 200
    assert upload.offset() == 0
    assert upload.put(0, pieces[0]) == 200
    assert upload.offset() == PIECE
    assert upload.finish(pieces, b"".join(pieces)).status == 409


def test_pieces_of_two_contents_are_not_put_together(embedded, store, token, folder, pieces):
    upload = Upload(embedded, token, folder.child("a"), PIECE + 7)
    assert [upload.put(0, pieces[0]), upload.put(PIECE, b"another")] == [200, 200]
    refused = upload.finish(pieces, b"".join(pieces))
    assert refused.status == ChecksumMismatch.status
    assert upload.offset() == 0
    with pytest.raises(FileNotInStore):
        store.stat(token, folder.child("a"))
    assert [upload.put(0, pieces[0]), upload.put(PIECE, pieces[1])] == [200, 200]
    assert upload.finish(pieces, b"".join(pieces)).status == 204
    assert content_of(store, token, folder.child("a")) == b"".join(pieces)
    assert upload.finish(pieces, b"".join(pieces)).status == 204  # as after a lost answer


def test_what_makes_no_sense_is_refused(embedded, token, folder, pieces):
    upload = Upload(embedded, token, folder.child("a"), PIECE + 7)
    assert upload.address(5, pieces[0]).status == 400
    assert upload.address(2 * PIECE, pieces[0]).status == 400
    assert upload.ask("PUT", "/0", {"Content-MD5": "x"}).status == 400
    assert upload.ask("PUT", "/0", {"XF-Takes-Redirects": "?0"}).status == 405
    assert upload.ask("PUT", "/0", {"Authorization": "Bearer x"}).status == 401


def test_a_client_that_begins_with_pieces_may_end_through_the_server(embedded, store, token, folder, pieces):
    upload = Upload(embedded, token, folder.child("a"), PIECE + 7)
    assert upload.put(0, pieces[0]) == 200
    fields = {"Upload-Offset": str(PIECE), "Content-Type": "application/offset+octet-stream"}
    done = upload.pool.request("PATCH", upload.url, headers={**upload.headers, **fields}, body=pieces[1])
    assert (done.status, done.headers["XF-Upload-Complete"]) == (204, "?1")
    assert content_of(store, token, folder.child("a")) == b"".join(pieces)


def test_rights_that_have_ended_meanwhile_publish_nothing(endpoint, folder, pieces):
    from contextlib import contextmanager

    from xfworker.adapters.s3.location import BucketLocation
    from xfworker.adapters.s3.partial_uploads import S3PartialUploads
    from xfworker.adapters.s3.served_bucket import open_served_bucket
    from xfworker.domain.digests import Digests
    from xfworker.domain.errors import PermissionDenied
    from xfworker.domain.files import AuthorizationToken

    location = BucketLocation(url="s3://test/rights", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    files = open_served_bucket(location)
    uploads = S3PartialUploads(files, lifetime_seconds=-1)

    @contextmanager
    def ended():
        raise PermissionDenied("not any more")
        yield

    upload = uploads.create(folder.child("a"), PIECE + 7, metadata="", sha256=None)
    for offset, piece in zip((0, PIECE), pieces, strict=True):
        url = uploads.piece_url(upload, offset, hashlib.md5(piece).hexdigest())
        assert urllib3.request("PUT", url, body=piece).status == 200
    tags = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
    with pytest.raises(PermissionDenied):
        uploads.complete_pieces(upload, Digests(), tags, ended)
    with pytest.raises(FileNotInStore):
        uploads.load(upload.identifier)
    anyone = AuthorizationToken(url="", token="", scopes=(Scope("read", folder),))
    with pytest.raises(FileNotInStore):
        files.stat(anyone, folder.child("a"))
    abandoned = uploads.create(folder.child("b"), PIECE + 7, metadata="", sha256=None)
    urllib3.request("PUT", uploads.piece_url(abandoned, 0, hashlib.md5(b"x").hexdigest()), body=b"x")
    assert uploads.sweep() == 1
    assert not list(abandoned.folder.list("any"))
    files.close()
