"""What is reported as stored outlives a power cut: its content is on the disk before its name is, and then its name."""

import hashlib
import os
import stat
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.jwt.secret_file import rotate, secrets_in
from xfworker.adapters.transfer.file_copy import copy_file
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.partial_download import PartialDownload
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform
from xfworker.domain.files import AuthorizationToken, FileStat, Scope, parse_resource

CONTENT = b"voxels" * 1000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESOURCE = parse_resource("job_result/17/scan.omni")
TOKEN = AuthorizationToken(url="", token="", scopes=(Scope("write", RESOURCE),))


class Disk:
    """What the system was asked to write down: all else is gone when the power is cut."""

    def __init__(self, monkeypatch):
        self._contents = {}
        self._whole = {}
        self._named = set()
        self._folders = set()
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)

    def fsync(self, handle):
        self._fsync(handle)
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            self._folders.add(status.st_ino)
            self._named |= {path for path in self._whole if os.path.samestat(path.parent.stat(), status)}
        else:
            # Opened anew where the system has it so, because what is written need not be open for reading.
            by_number = Path(f"/proc/self/fd/{handle}")
            readable = by_number.exists()
            self._contents[status.st_ino] = by_number.read_bytes() if readable else os.pread(handle, status.st_size, 0)

    def replace(self, source, target):
        source, target = Path(source), Path(target)
        self._whole[target] = self._contents.get(source.stat().st_ino) == source.read_bytes()
        self._named.discard(target)
        self._replace(source, target)

    def has(self, path, content):
        """Return whether what a file holds is on the disk."""
        return self._contents.get(path.stat().st_ino) == content

    def has_names_in(self, *folders):
        """Return whether the names in folders are on the disk; what was flushed counts once."""
        are_flushed = {folder.stat().st_ino for folder in folders} <= self._folders
        self._folders.clear()
        return are_flushed

    def holds(self, path):
        """Return whether a file was whole on the disk when it got its name, and the name is there as well."""
        return self._whole.get(path, False) and path in self._named


@pytest.fixture
def disk(monkeypatch):
    if sys.platform == "win32":
        pytest.skip("NTFS journals names, so no folder is flushed there")
    return Disk(monkeypatch)


@pytest.fixture
def store(tmp_path):
    return FolderFileStore(tmp_path / "files", fsync=True)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.omni"
    path.write_bytes(CONTENT)
    return path


def test_a_file_that_was_copied_into_the_store(disk, store, scan):
    store.upload(TOKEN, scan, RESOURCE)
    assert disk.holds(store.layout.path(RESOURCE))


def test_a_file_that_was_received_in_one_request(disk, store):
    incoming = store.receive(RESOURCE)
    incoming.write(CONTENT[:10])
    incoming.write(CONTENT[10:])
    incoming.publish(nullcontext)
    assert disk.holds(store.layout.path(RESOURCE))


def test_a_file_that_was_received_in_several_requests(disk, store):
    uploads = PartialUploads(store)
    upload = uploads.create(RESOURCE, len(CONTENT), metadata="", sha256=None)
    for part in (CONTENT[:100], CONTENT[100:]):
        incoming = uploads.open(upload)
        incoming.write(part)
        uploads.keep(upload, incoming)
    incoming = uploads.open(upload)
    uploads.complete(upload, incoming, incoming.digests())
    assert disk.holds(store.layout.path(RESOURCE))


def test_a_file_on_whose_disk_the_store_keeps_no_attributes(disk, store, scan, monkeypatch):
    monkeypatch.setattr("xfworker.adapters.disk.digest_index.DigestIndex.attach", lambda *_: False)
    store.upload(TOKEN, scan, RESOURCE)
    assert disk.holds(store.layout.path(RESOURCE))


def test_the_folders_on_its_way_that_may_be_new(disk, store, scan):
    folders = [store.layout.root, store.layout.root / "job_result", store.layout.root / "job_result" / "17"]
    store.upload(TOKEN, scan, RESOURCE)
    assert disk.has_names_in(*folders)
    store.delete(AuthorizationToken(url="", token="", scopes=(Scope("delete", RESOURCE),)), RESOURCE)
    store.upload(TOKEN, scan, RESOURCE)
    assert disk.has_names_in(*folders[1:])


def test_a_file_that_was_written_directly_and_registered(disk, store):
    path = store.layout.path(RESOURCE)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    store.register(TOKEN, RESOURCE, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert disk.has(path, CONTENT)
    assert disk.has_names_in(path.parent, path.parent.parent, store.layout.root)


def test_a_file_that_was_downloaded(disk, tmp_path):
    target = tmp_path / "fetched.omni"
    download = PartialDownload("scan.omni", "key", target, TransferLimits(fsync=True))
    told = FileStat(resource=RESOURCE, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    download.take_whole(told, memoryview(CONTENT))
    download.publish(told)
    assert disk.holds(target)


def test_a_file_that_was_copied(disk, scan, tmp_path):
    copy_file(scan, tmp_path / "copy.omni", fsync=True)
    assert disk.holds(tmp_path / "copy.omni")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is open for writing only cannot be read here")
def test_the_secret_that_signs_tokens(disk, tmp_path):
    path = tmp_path / "secret"
    secrets_in(path)
    assert disk.has(path, path.read_bytes())
    assert disk.has_names_in(tmp_path)
    rotate(path, now=NOW, former_until=NOW)
    assert disk.has(path, path.read_bytes())
    assert disk.has_names_in(tmp_path)


def test_nothing_else_waits_for_the_disk(disk, scan, tmp_path):
    store = FolderFileStore(tmp_path / "quick")
    store.upload(TOKEN, scan, RESOURCE)
    with replacing(tmp_path / "quick.json") as partial:
        partial.write_bytes(CONTENT)
    assert not disk.holds(store.layout.path(RESOURCE))
    assert not disk.holds(tmp_path / "quick.json")


def test_all_of_a_backup_and_the_secret_that_is_restored_from_it(disk, tmp_path, scan):
    storage, backup = PlatformStorage(data=tmp_path / "data"), tmp_path / "backup"
    with opened_platform(storage):
        """The database and the secret are made."""
    file_store(storage).upload(TOKEN, scan, RESOURCE)
    make_backup(storage, backup)
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"secret", "manifest.json", "records.jsonl.gz", "scan.omni"}
    assert [path.name for path in files if not disk.has(path, path.read_bytes())] == []
    other = PlatformStorage(data=tmp_path / "other")
    restore_backup(other, backup)
    assert other.secret_path.read_bytes() == storage.secret_path.read_bytes()
    assert disk.holds(other.secret_path)
