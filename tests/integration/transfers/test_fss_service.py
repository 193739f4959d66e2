"""What the service keeps its word on: incomplete uploads, memory, room, odd requests."""

import base64
import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import urllib3

from tests.integration.transfers.conftest import LIMITS, MIB, TRANSFERS
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.errors import FileError, FileNotInStore, NotEnoughSpace
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource, userdata_resource
from xfworker.testing.contracts.file_store import HELL_FILENAMES

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def http(served):
    pool = urllib3.PoolManager()

    def call(method, path, headers=None, body=None, token=None):
        fields = {"Authorization": f"Bearer {(token or served.token()).token}", **(headers or {})}
        return pool.request(method, f"{served.url}/fss/v1/{path}", headers=fields, body=body, retries=False)

    yield call
    pool.clear()


def b64(value):
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


@pytest.fixture
def upload(http):
    def create(place, size):
        metadata = f"resource {b64(str(place))}"
        answer = http("POST", "uploads", {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata})
        assert answer.status == 201
        return answer.headers["location"]

    return create


def test_an_upload_is_invisible_until_it_is_complete(http, upload, served, folder):
    place = folder.child("a.raw")
    location = upload(place, 10)
    answer = http("PATCH", location, {**BODY, "Upload-Offset": "0"}, b"01234")
    assert (answer.status, answer.headers["upload-offset"]) == (204, "5")
    assert "upload-expires" in answer.headers
    assert http("GET", f"files/{place}").status == 404
    assert json.loads(http("GET", f"folders/{folder}").data) == {"files": [], "folders": []}
    answer = http("HEAD", location, TUS)
    assert (answer.headers["upload-offset"], answer.headers["upload-length"]) == ("5", "10")
    assert answer.headers["cache-control"] == "no-store"
    http("PATCH", location, {**BODY, "Upload-Offset": "5"}, b"56789")
    assert http("GET", f"files/{place}").data == b"0123456789"
    assert http("HEAD", location, TUS).headers["upload-offset"] == "10"


def test_an_upload_can_be_ended(http, upload, folder):
    location = upload(folder.child("a.raw"), 10)
    assert http("DELETE", location, TUS).status == 204
    assert http("HEAD", location, TUS).status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**BODY, "Upload-Offset": "3"}, 409),
        ({**BODY}, 409),
        ({**BODY, "Upload-Offset": "zero"}, 400),
        ({**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}, 412),
        ({**BODY, "Upload-Offset": "0", "Upload-Checksum": f"crc7 {b64('x')}"}, 400),
        ({**BODY, "Upload-Offset": "0", "Upload-Checksum": "sha1 ???"}, 400),
        ({**BODY, "Upload-Offset": "0", "Upload-Checksum": f"sha256 {b64(bytes(32))}"}, 460),
        ({**BODY, "Upload-Offset": "0", "XF-Prefix-Digest": f"sha-256=:{b64(bytes(32))}:"}, 460),
    ],
)
def test_requests_that_the_protocol_forbids_change_nothing(http, upload, folder, headers, status):
    location = upload(folder.child("a.raw"), 10)
    answer = http("PATCH", location, headers, b"0123")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert http("HEAD", location, TUS).headers["upload-offset"] == "0"


def test_more_bytes_than_announced_are_refused(http, upload, folder):
    location = upload(folder.child("a.raw"), 4)
    assert http("PATCH", location, {**BODY, "Upload-Offset": "0"}, b"0123456789").status == 400
    assert http("GET", f"files/{folder}/a.raw").status == 404


def test_a_right_checksum_is_taken(http, upload, folder):
    location = upload(folder.child("a.raw"), 4)
    for name in ("sha1", "sha256", "md5"):
        checksum = f"{name} {b64(hashlib.new(name, b'x').digest())}"
        offset = http("HEAD", location, TUS).headers["upload-offset"]
        headers = {**BODY, "Upload-Offset": offset, "Upload-Checksum": checksum}
        assert http("PATCH", location, headers, b"x").status == 204


@pytest.mark.parametrize("identifier", ["0" * 32, "..%2F..%2Fdigests", "x", "%00"])
def test_uploads_that_are_none_are_not_found(http, identifier):
    assert http("HEAD", f"uploads/{identifier}", TUS).status == 404


def test_abilities_are_told_to_anyone(served):
    answer = urllib3.request("OPTIONS", f"{served.url}/fss/v1/uploads", retries=False)
    assert answer.status == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,checksum,termination"


@pytest.mark.parametrize(
    "path", ["", "files", "files/", "nowhere", "files/userdata", "files/job_result/x/a", "files//a"]
)
def test_addresses_that_are_none_are_refused_with_a_sentence(http, path):
    answer = http("GET", path)
    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(json.loads(answer.data)["detail"]) > 10


def test_without_a_token_nothing_is_told(served, folder):
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        answer = urllib3.request("GET", f"{served.url}/fss/v1/files/{folder}/a", headers=headers, retries=False)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert b"nonsense" not in answer.data


def test_the_same_connection_serves_on_after_a_refused_body(http, folder, served):
    reader = served.token(Scope("read", folder))
    for _ in range(3):
        assert http("PUT", f"files/{folder}/a", body=b"x" * 3 * MIB, token=reader).status == 403
    assert http("PUT", f"files/{folder}/a", body=b"x").status == 201


def test_a_known_content_is_not_sent_again(http, folder):
    etag = http("PUT", f"files/{folder}/a", body=b"x").headers["etag"]
    answer = http("GET", f"files/{folder}/a", {"If-None-Match": etag})
    assert (answer.status, answer.data) == (304, b"")
    assert http("GET", f"files/{folder}/a", {"If-None-Match": '"other"'}).status == 200
    assert http("GET", f"files/{folder}/a", {"Range": "bytes=0-0", "If-Range": '"other"'}).status == 200
    assert http("GET", f"files/{folder}/a", {"Range": "bytes=0-0", "If-Range": etag}).status == 206


def test_a_link_out_of_the_store_is_not_followed(served, http, folder, tmp_path):
    http("PUT", f"files/{folder}/a", body=b"x")
    (tmp_path / "secret").write_bytes(b"secret")
    inside = next(served.data.rglob(f"{folder}/a"))
    inside.with_name("link").symlink_to(tmp_path / "secret")
    answer = http("GET", f"files/{folder}/link")
    assert answer.status == 400
    assert b"secret" not in answer.data


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("PUT", "uploads/x", TUS), ("DELETE", "uploads", TUS), ("PATCH", "uploads/x", {}), ("POST", "uploads/a/b/c", TUS)],
)
def test_who_may_not_upload_does_not_learn_what_an_upload_takes(served, http, method, path, headers):
    assert http(method, path, headers).status in {405, 412}
    for token in ({}, {"Authorization": "Bearer nonsense"}):
        answer = urllib3.request(method, f"{served.url}/fss/v1/{path}", headers={**headers, **token}, retries=False)
        assert answer.status == 401
        assert b"upload" not in answer.data.lower()


def test_what_expired_is_swept_and_nothing_else(tmp_path):
    store = FolderFileStore(tmp_path)
    uploads = PartialUploads(store, lifetime_seconds=3600)
    old, new = (uploads.create(parse_resource(f"userdata/{name}"), 5, metadata="", sha256=None) for name in "ab")
    put = store.receive(parse_resource("userdata/c"))
    put.write(b"x")
    long_ago = time.time() - 7200
    for path in (old.folder, old.data, old.folder / "info.json"):
        os.utime(path, (long_ago, long_ago))
    assert uploads.sweep() == 1
    with pytest.raises(FileNotInStore, match="expired"):
        uploads.load(old.identifier)
    assert uploads.load(new.identifier).size == 5
    put.publish(nullcontext)


def test_a_file_whose_server_was_killed_while_it_came_is_kept_for_a_day_and_no_longer(tmp_path):
    store, hour, now = FolderFileStore(tmp_path), 3600, time.time()
    incoming = {}
    for hours in (23, 25):
        file = store.receive(parse_resource(f"userdata/{hours}"), size=4 * MIB)
        file.write(bytes(2 * MIB))
        [path] = set((store.layout.private / "incoming").iterdir()) - set(incoming)
        os.utime(path, (now - hours * hour, now - hours * hour))
        incoming[path] = hours
    # The server that is started afterwards looks for them with the first request that it gets, and every hour.
    uploads = PartialUploads(FolderFileStore(tmp_path))
    assert uploads.sweep_is_due()
    assert uploads.sweep() == 1
    assert not uploads.sweep_is_due()
    assert [hours for path, hours in incoming.items() if path.exists()] == [23]


def test_a_server_that_is_started_again_sweeps_what_a_killed_one_left(tmp_path):
    folders = userdata_resource("swept")

    def ask(embedded):
        server = HttpXFServer(HttpTransport(embedded.url, token=embedded.admin_token))
        token = server.file_token([Scope(verb, folders) for verb in VERBS])
        return HttpFileStore(limits=LIMITS, transfers=TRANSFERS).list(token, folders)

    with EmbeddedServer(tmp_path) as embedded:
        (tmp_path / "source").write_bytes(b"x")
        server = HttpXFServer(HttpTransport(embedded.url, token=embedded.admin_token))
        token = server.file_token([Scope("write", folders)])
        HttpFileStore(limits=LIMITS, transfers=TRANSFERS).upload(token, tmp_path / "source", folders.child("a"))
    [incoming] = tmp_path.rglob("incoming")
    left, on_its_way = incoming / "left", incoming / "on-its-way"
    for path in (left, on_its_way):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 25 * 3600,) * 2)
    with EmbeddedServer(tmp_path) as embedded:
        for _ in range(1000):  # in the background, beside the requests that come
            if not left.exists():
                break
            ask(embedded)
    assert [path.name for path in incoming.iterdir()] == ["on-its-way"]


def test_a_file_put_there_by_hand_gets_its_digest(tmp_path):
    store = FolderFileStore(tmp_path)
    place = parse_resource("userdata/by-hand.raw")
    token = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, Resource(("userdata",))) for verb in VERBS))
    path = tmp_path / "userdata" / "by-hand.raw"
    path.parent.mkdir()
    path.write_bytes(b"one")
    assert store.stat(token, place).sha256 == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two!")
    assert store.stat(token, place).sha256 == hashlib.sha256(b"two!").hexdigest()


def test_ten_thousand_bytes_of_names_from_hell_go_over_the_wire(served, folder, tmp_path):
    store, token = HttpFileStore(limits=LIMITS, transfers=TRANSFERS), served.token()
    for name in HELL_FILENAMES:
        source = tmp_path / "source"
        source.write_bytes(name.encode())
        store.upload(token, source, folder.child(name))
        store.download(token, folder.child(name), tmp_path / name)
        assert (tmp_path / name).read_bytes() == name.encode()


@pytest.mark.parametrize(
    "name", ["..", "a%00b", "a%0Ab", "NUL", "com1.txt", "a.", "a%20", "a:b", "%ff", "x" * 256, "a%5Cb"]
)
def test_names_that_would_harm_are_refused(http, folder, name):
    assert http("PUT", f"files/{folder}/{name}", body=b"x").status in {400, 404, 422}


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_is_said_to_be_full_before_the_first_byte(small_disk, served, folder, source):
    store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    store.upload(served.token(), source, folder.child("a"))
    with pytest.raises(NotEnoughSpace, match="room"):
        store.download(served.token(), folder.child("a"), small_disk / "a")
    assert list(small_disk.iterdir()) == []
    full = FolderFileStore(small_disk)
    with pytest.raises(NotEnoughSpace):
        full.upload(served.token(), source, folder.child("a"))
    assert full.list(served.token(), folder).files == ()


def test_a_disk_that_fills_up_meanwhile_is_said_to_be_full(small_disk, served, folder, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(6 * MIB))
    store = HttpFileStore(limits=LIMITS, transfers=TRANSFERS)
    store.upload(served.token(), source, folder.child("a"))

    told = []

    def fill(done, _total):
        if done > MIB and not (small_disk / "filler").exists():
            try:
                (small_disk / "filler").write_bytes(bytes(8 * MIB))
            except OSError as error:
                told.append(error.errno)

    with pytest.raises(NotEnoughSpace, match="full"):
        store.download(served.token(), folder.child("a"), small_disk / "a", progress=fill)
    assert told == [errno.ENOSPC]
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_servers_full_disk_reaches_the_client_as_such(small_disk, source, folder):
    with EmbeddedServer(small_disk / "data") as embedded:
        server = HttpXFServer(HttpTransport(embedded.url, token=embedded.admin_token))
        token = server.file_token([Scope(verb, Resource(("userdata",))) for verb in VERBS])
        with pytest.raises(NotEnoughSpace):
            HttpFileStore(limits=LIMITS, transfers=TRANSFERS).upload(token, source, folder.child("a"))


_MEMORY = """
import sys
from contextlib import nullcontext
from contextlib import nullcontext
from pathlib import Path
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import AuthorizationToken, parse_resource
url, secret, place, source, target = sys.argv[1:]
token, place, store = AuthorizationToken(url=url, token=secret), parse_resource(place), HttpFileStore()
store.upload(token, Path(source), place)
store.download(token, place, Path(target))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read the way Linux tells it")
def test_a_whole_process_that_moves_a_large_file_stays_below_64_mib(served, folder, tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(300 * MIB)
    arguments = [
        f"{served.url}/fss/v1",
        served.token().token,
        str(folder.child("big")),
        str(big),
        str(tmp_path / "got"),
    ]
    done = subprocess.run([sys.executable, "-c", _MEMORY, *arguments], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) / 1024 < 64
    assert (tmp_path / "got").stat().st_size == 300 * MIB


@pytest.mark.limit_memory("24 MB")
def test_the_memory_of_a_transfer_is_what_its_settings_say(served, folder, tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(100 * MIB)
    store = HttpFileStore(limits=LIMITS)
    store.upload(served.token(), big, folder.child("big"))
    store.download(served.token(), folder.child("big"), tmp_path / "got")


def test_a_direct_output_is_registered_over_http(tmp_path_factory, folder):
    root = tmp_path_factory.mktemp("root")
    store = FolderFileStore(root, direct_access_root=str(root), direct_writes=True)
    token = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, folder) for verb in VERBS))
    place = folder.child("a.raw")
    path = Path(str(store.direct_access_path(token, place, for_writing=True)))
    path.write_bytes(b"direct")
    sha256 = hashlib.sha256(b"direct").hexdigest()
    assert store.register(token, place, size=6, sha256=sha256).sha256 == sha256
    with pytest.raises(FileError, match="not what was written"):
        store.register(token, place, size=6, sha256="0" * 64)
