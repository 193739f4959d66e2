"""Files on their way into a folder store: on disks that take less than they are given, change, or are several disks."""

import errno
import hashlib
import os
import stat
import sys
from contextlib import contextmanager

import pytest

from xfworker.adapters.disk import file_store
from xfworker.adapters.disk.file_modes import GroupAccess
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.incoming_file import IncomingFile
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.transfer.file_copy import copy_file
from xfworker.adapters.transfer.hashing import file_digests, new_hasher
from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, replacing
from xfworker.adapters.transfer.source_file import require_unchanged
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.domain.digest_field import SHA256, XXH3
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileError,
    FileNotInStore,
    InvalidFilename,
    PermissionDenied,
)
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

FOLDER = parse_resource("job_result/17")
RESOURCE = FOLDER.child("scan.omni")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, FOLDER) for verb in VERBS))
CONTENT = os.urandom(3000)


@pytest.fixture
def store(tmp_path):
    return FolderFileStore(tmp_path / "files")


def put(store, content=CONTENT):
    path = store.layout.path(RESOURCE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- one file, piece by piece -------------------------------------------------------------------------------------


def incoming(path, **options):
    return IncomingFile("scan.omni", path, lambda *_: None, **options)


@pytest.mark.parametrize("call", ["write", "writev"])
def test_a_disk_that_takes_a_part_of_what_it_is_given_gets_the_rest(tmp_path, monkeypatch, call):
    if not hasattr(os, call):
        pytest.skip(f"this system has no {call}")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, block: write(handle, block[:7]))
    if call == "writev":
        monkeypatch.setattr(os, "writev", lambda handle, blocks: write(handle, b"".join(blocks)[:25]))
    file = incoming(tmp_path / "partial")
    file.write(CONTENT[:10])
    file.write(*([CONTENT[10:40], CONTENT[40:50], CONTENT[50:]] if call == "writev" else [CONTENT[10:]]))
    file.close()
    assert (tmp_path / "partial").read_bytes() == CONTENT
    assert file.size == len(CONTENT)


def test_what_a_disk_refused_to_take_is_not_in_the_digest(store, monkeypatch):
    uploads, write = PartialUploads(store), os.write
    upload = uploads.create(RESOURCE, len(CONTENT), metadata="", sha256=None)
    room = [7]

    def failing(handle, block):
        if not room:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(handle, block[: room.pop()])

    monkeypatch.setattr(os, "write", failing)
    file = uploads.open(upload)
    with pytest.raises(FileError):
        file.write(CONTENT)
    monkeypatch.undo()
    assert uploads.keep(upload, file) == 7
    file = uploads.open(upload)
    file.write(CONTENT[7:])
    stored = uploads.complete(upload, file, file.digests())
    assert stored.xxh3 == file_digests(store.layout.path(RESOURCE)).xxh3


def test_what_lies_behind_the_offset_is_cut_off(tmp_path):
    (tmp_path / "partial").write_bytes(b"kept, and bytes that nobody verified")
    file = incoming(tmp_path / "partial", size=4, resume=True)
    file.write(b" and more")
    file.close()
    assert (tmp_path / "partial").read_bytes() == b"kept and more"


def test_a_new_file_takes_nobody_elses_place(tmp_path):
    (tmp_path / "partial").write_bytes(b"of another")
    with pytest.raises(FileError):
        incoming(tmp_path / "partial")
    assert (tmp_path / "partial").read_bytes() == b"of another"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
def test_the_group_gets_a_file_only_when_it_is_complete(tmp_path):
    store, before = FolderFileStore(tmp_path / "files", group_access=GroupAccess.WRITE), os.umask(0)
    try:
        file = store.receive(RESOURCE)
        [partial] = store.new_partial().parent.iterdir()
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        file.discard()
    finally:
        os.umask(before)


def test_a_file_arrives_on_the_disk_of_the_store_and_is_listed_nowhere(store):
    file = store.receive(RESOURCE)
    file.write(CONTENT)
    assert store.new_partial().is_relative_to(store.layout.private)
    put(store).with_name(f"{PARTIAL_PREFIX}0123").write_bytes(b"of a copy between two disks")
    assert [each.resource for each in store.list(TOKEN, FOLDER).files] == [RESOURCE]
    file.discard()


def test_a_file_that_may_not_be_published_leaves_nothing(store):
    @contextmanager
    def refused():
        raise PermissionDenied("it is not yours any more")
        yield

    file = store.receive(RESOURCE)
    file.write(CONTENT)
    with pytest.raises(PermissionDenied):
        file.publish(refused)
    assert not list(store.new_partial().parent.iterdir())


def test_a_copy_into_the_store_is_for_its_owner_only_while_it_arrives(tmp_path):
    store, before, modes = FolderFileStore(tmp_path / "files", group_access=GroupAccess.WRITE), os.umask(0), set()
    (tmp_path / "scan.omni").write_bytes(CONTENT)

    def look(done, _):
        if done:
            [partial] = store.new_partial().parent.iterdir()
            modes.add(stat.S_IMODE(partial.stat().st_mode))

    try:
        store.upload(TOKEN, tmp_path / "scan.omni", RESOURCE, progress=look)
    finally:
        os.umask(before)
    if sys.platform != "win32":
        assert modes == {0o600}


def test_names_of_incomplete_files_are_no_names_of_files(store, tmp_path):
    (tmp_path / "scan.omni").write_bytes(CONTENT)
    with pytest.raises(InvalidFilename):
        store.upload(TOKEN, tmp_path / "scan.omni", FOLDER.child(f"{PARTIAL_PREFIX}0123"))


def test_a_store_is_the_same_whoever_opens_it(store, tmp_path):
    assert store.identity == store.identity == FolderFileStore(tmp_path / "files").identity
    assert store.identity != FolderFileStore(tmp_path / "others").identity


def test_what_was_written_before_a_failure_is_deleted(tmp_path):
    (tmp_path / "target").write_bytes(b"old")

    def write():
        with replacing(tmp_path / "target") as partial:
            partial.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


# --- what changes -------------------------------------------------------------------------------------------------


def test_a_source_that_changed_since_it_was_looked_at_is_not_stored(store, tmp_path):
    source = tmp_path / "scan.omni"
    source.write_bytes(CONTENT)

    def change(*_):
        source.write_bytes(CONTENT[::-1])
        os.utime(source, ns=(1, 1))

    with pytest.raises(FileChanged):
        store.upload(TOKEN, source, RESOURCE, progress=change)
    with pytest.raises(FileNotInStore):
        store.stat(TOKEN, RESOURCE)
    assert not list(store.new_partial().parent.iterdir())


def test_a_file_that_changes_while_it_is_registered_is_not_registered(store, monkeypatch):
    path, computed = put(store), file_store.file_digests

    def digests(*arguments):
        result = computed(*arguments)
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(1, 1))
        return result

    monkeypatch.setattr(file_store, "file_digests", digests)
    with pytest.raises(ChecksumMismatch):
        store.register(TOKEN, RESOURCE, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


def test_another_file_of_the_same_size_and_time_has_another_tag(store, tmp_path):
    path = put(store)
    os.utime(path, ns=(1, 1))
    before = store.stat(TOKEN, RESOURCE).etag
    (tmp_path / "other").write_bytes(CONTENT[::-1])
    os.utime(tmp_path / "other", ns=(1, 1))
    (tmp_path / "other").replace(path)
    assert store.stat(TOKEN, RESOURCE).etag != before


def test_another_file_of_the_same_size_and_time_is_another_source(tmp_path):
    source = tmp_path / "scan.omni"
    for path in (source, tmp_path / "other"):
        path.write_bytes(CONTENT)
        os.utime(path, ns=(1, 1))
    before = source.stat()
    require_unchanged(source, before)
    (tmp_path / "other").replace(source)
    with pytest.raises(FileChanged):
        require_unchanged(source, before)


def test_a_kernel_that_says_that_it_copied_nothing_is_not_believed(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(CONTENT)
    for name in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, name, lambda *_: 0, raising=False)
    copy_file(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == CONTENT


# --- folders of the store that are mounts of their own ------------------------------------------------------------


def test_a_file_that_crosses_disks_appears_whole(store, tmp_path, monkeypatch):
    target, renamed, copied = put(store, b"old"), file_store.rename, file_store.shutil.copy2

    def across(partial, path):
        if partial.parent != path.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        assert target.read_bytes() == b"old"
        renamed(partial, path)

    def copy(source, near):
        copied(source, near)
        assert target.read_bytes() == b"old"

    monkeypatch.setattr(file_store, "rename", across)
    monkeypatch.setattr(file_store.shutil, "copy2", copy)
    file = store.receive(RESOURCE)
    file.write(CONTENT)
    file.publish(file_store.nullcontext)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not list(store.new_partial().parent.iterdir())


@pytest.mark.parametrize("algorithm", [SHA256, XXH3])
def test_a_source_that_goes_back_to_what_was_confirmed_has_its_digest_each_time(tmp_path, algorithm):
    path = tmp_path / "scan.raw"
    path.write_bytes(b"confirmed and the rest")
    source, expected = UploadSource(path, block_bytes=4, blocks=2, algorithm=algorithm), new_hasher(algorithm)
    expected.update(b"confirmed and the rest")
    source.read(9)
    source.confirm()
    for _ in range(3):
        source.read(13)
        assert source.digest() == expected.hexdigest()
        source.go_to(9)
    source.close()
