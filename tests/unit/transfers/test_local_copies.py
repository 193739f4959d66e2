"""Copies of images that lie elsewhere: fetched once, checked, bounded, and said to be on their way."""

import os
import threading

import pytest

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.s3 import local_copies
from xfworker.adapters.s3.local_copies import LocalCopies
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileNotInStore,
    NotEnoughSpace,
    ServerBusy,
    ServerUnreachable,
)
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource

FOLDER = parse_resource("userdata/scans")
TOKEN = AuthorizationToken(url="", token="", scopes=(Scope("write", FOLDER),))


class Elsewhere:
    """The store, and how often files of it were read."""

    def __init__(self, store):
        self.store, self.read = store, []
        self.stat, self.list = store.stat, store.list
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.before_opening = lambda: None

    def open_file(self, token, resource, *, sha256=False):
        self.may_go_on.wait(20)
        self.read.append(resource.filename)
        self.before_opening()
        return self.store.open_file(token, resource, sha256=sha256)


@pytest.fixture
def store(tmp_path):
    return Elsewhere(FolderFileStore(tmp_path / "files"))


@pytest.fixture
def put(store, tmp_path):
    def put(name, content):
        (tmp_path / "source").write_bytes(content)
        return store.store.upload(TOKEN, tmp_path / "source", FOLDER.child(name)).resource

    return put


@pytest.fixture
def copies(store, tmp_path):
    copies = LocalCopies(store, tmp_path / "copies", limit_bytes=1000)
    yield copies
    copies.close()


def test_a_file_is_fetched_once_and_anew_when_it_was_replaced(store, copies, put):
    scan = put("scan.AIM", b"a" * 10)
    assert copies.local_path(scan).read_bytes() == b"a" * 10
    assert copies.local_path(scan).name == "scan.AIM"
    assert store.read == ["scan.AIM"]
    put("scan.AIM", b"b" * 11)
    assert copies.local_path(scan).read_bytes() == b"b" * 11


def test_the_files_of_an_image_come_together_and_no_others(copies, put):
    for name in ("scan.raw", "scan.png", "other.raw"):
        put(name, name.encode())
    named = b'{"axes": "X", "size": [1], "pixel_type": "uint8", "pixels": {"filename": "other.raw"}}'
    omni = copies.local_path(put("scan.omni", named))
    assert {path.name for path in omni.parent.iterdir() if path.name[0] != "."} == {"scan.omni", "other.raw"}
    header = copies.local_path(put("scan.mhd", b"ObjectType = Image"))
    beside = {path.name for path in header.parent.iterdir() if path.name[0] != "."}
    assert beside == {"scan.mhd", "scan.raw", "scan.png", "scan.omni"}


def test_a_large_image_is_said_to_be_on_its_way(store, copies, put, monkeypatch):
    monkeypatch.setattr(local_copies, "_AT_ONCE_BYTES", 1)
    scan = put("scan.AIM", os.urandom(100))
    store.may_go_on.clear()
    with pytest.raises(ServerBusy, match=r"scan.AIM is being fetched from the bucket \(0%\)") as busy:
        copies.local_path(scan)
    assert busy.value.retry_after_seconds == 1.0
    with pytest.raises(ServerBusy):
        copies.local_path(scan)
    store.may_go_on.set()
    copies._background.submit(bool).result()  # noqa: SLF001  behind what is on its way
    assert copies.local_path(scan).stat().st_size == 100
    assert store.read == ["scan.AIM"]


def test_copies_that_were_used_longest_ago_make_room(tmp_path, copies, put):
    first, second = put("first.AIM", bytes(400)), put("second.AIM", bytes(400))
    copies.local_path(first)
    os.utime(copies.local_path(second).parent / ".xfused", (0, 0))
    copies.local_path(put("third.AIM", bytes(400)))
    kept = {path.name for path in (tmp_path / "copies").rglob("*.AIM")}
    assert kept == {"first.AIM", "third.AIM"}


def test_a_copy_that_is_used_again_stays_longer_than_one_that_is_not(tmp_path, copies, put):
    first, second = put("first.AIM", bytes(400)), put("second.AIM", bytes(400))
    for hour, scan in enumerate((first, second)):
        os.utime(copies.local_path(scan).parent / ".xfused", (3600 * hour, 3600 * hour))
    copies.local_path(first)
    copies.local_path(put("third.AIM", bytes(400)))
    kept = {path.name for path in (tmp_path / "copies").rglob("*.AIM")}
    assert kept == {"first.AIM", "third.AIM"}


def test_what_could_not_be_fetched_is_fetched_when_it_is_asked_for_again(store, copies, put):
    def away():
        raise ServerUnreachable("the bucket is away")

    scan, store.before_opening = put("scan.AIM", b"whole"), away
    with pytest.raises(ServerUnreachable):
        copies.local_path(scan)
    store.before_opening = lambda: None
    assert copies.local_path(scan).read_bytes() == b"whole"


def test_a_file_that_is_replaced_before_it_is_read_is_no_copy_of_the_one_that_was_asked_for(
    tmp_path, store, copies, put
):
    scan = put("scan.AIM", b"older")
    store.before_opening = lambda: put("scan.AIM", b"newer")
    with pytest.raises(FileChanged, match="open it again"):
        copies.local_path(scan)
    assert not list((tmp_path / "copies").iterdir())


def test_what_is_larger_than_all_the_room_is_refused(tmp_path, copies, put):
    copies.local_path(put("small.AIM", bytes(10)))
    with pytest.raises(
        NotEnoughSpace, match=r"large.AIM has 1001 bytes, and copies of images of a bucket may have 1000"
    ):
        copies.local_path(put("large.AIM", bytes(1001)))
    assert [path.name for path in (tmp_path / "copies").rglob("*.AIM")] == ["small.AIM"]


def test_a_damaged_file_is_never_shown(tmp_path, copies, put):
    scan = put("scan.AIM", b"whole")
    path = tmp_path / "files" / "userdata" / "scans" / "scan.AIM"
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"wrong")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match="damaged"):
        copies.local_path(scan)
    assert not list((tmp_path / "copies").iterdir())
    put("scan.AIM", b"whole again")
    assert copies.local_path(scan).read_bytes() == b"whole again"


def test_what_is_not_there_is_said_so(copies):
    with pytest.raises(FileNotInStore):
        copies.local_path(FOLDER.child("scan.AIM"))
    with pytest.raises(FileNotInStore):
        copies.content_id(FOLDER.child("scan.AIM"))


def test_what_a_killed_server_left_is_removed(tmp_path, store, copies, put):
    copies.local_path(put("scan.AIM", b"x"))
    left = tmp_path / "copies" / ".xfpart-1"
    left.mkdir()
    LocalCopies(store, tmp_path / "copies", limit_bytes=1000).close()
    assert not left.exists()
    assert len(list((tmp_path / "copies").iterdir())) == 1
