"""Uploads into one folder by several server processes, and uploads whose file could not be published at once."""

import errno
import hashlib
import os
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import xxhash

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.domain.errors import FileNotInStore, ServerBusy
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

PLACE = parse_resource("job_result/17/scan.raw")
TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, PLACE) for verb in VERBS))


def process(tmp_path):
    """Give the uploads as another process has them that serves the same folder."""
    return PartialUploads(FolderFileStore(tmp_path / "files"))


def send(uploads, identifier, content):
    upload = uploads.load(identifier)
    incoming = uploads.open(upload)
    incoming.write(content)
    uploads.keep(upload, incoming)
    return upload


def finish(uploads, identifier, permit=nullcontext):
    upload = uploads.load(identifier)
    incoming = uploads.open(upload)
    digests = incoming.digests()
    return digests, uploads.complete(upload, incoming, digests, permit)


def test_a_process_goes_on_from_what_another_one_received_in_place_of_its_own_bytes(tmp_path):
    first, second = process(tmp_path), process(tmp_path)
    identifier = first.create(PLACE, 8, metadata="", sha256=None).identifier
    upload = send(first, identifier, b"old!")
    second.roll_back(second.load(identifier), 0)
    send(second, identifier, b"new!")
    # Its time of change is coarse on some disks, and both came at once here.
    status = upload.data.stat()
    os.utime(upload.data, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    send(first, identifier, b"rest")
    digests, stat = finish(first, identifier)
    assert (tmp_path / "files" / str(PLACE)).read_bytes() == b"new!rest"
    (tmp_path / "same").write_bytes(b"new!rest")
    store = FolderFileStore(tmp_path / "other")
    same = store.upload(TOKEN, tmp_path / "same", PLACE)
    assert digests.xxh3 == same.xxh3
    assert (stat.size, stat.xxh3) == (8, same.xxh3)


def test_an_upload_that_could_not_be_published_is_not_taken_for_a_stored_file_and_goes_on(tmp_path):
    @contextmanager
    def busy():
        raise ServerBusy("files are being deleted")
        yield

    uploads = process(tmp_path)
    identifier = uploads.create(PLACE, 8, metadata="", sha256=None).identifier
    send(uploads, identifier, b"complete")
    with pytest.raises(ServerBusy):
        finish(uploads, identifier, busy)
    after = uploads.load(identifier)
    assert (after.completed, after.offset) == (None, 7)
    assert not (tmp_path / "files" / str(PLACE)).exists()
    send(uploads, identifier, b"e")
    finish(uploads, identifier)
    assert (tmp_path / "files" / str(PLACE)).read_bytes() == b"complete"


def test_an_upload_whose_file_is_stored_is_not_begun_again_where_that_could_not_be_kept(tmp_path, monkeypatch):
    uploads, replace = process(tmp_path), os.replace
    identifier = uploads.create(PLACE, 8, metadata="", sha256=None).identifier
    upload = send(uploads, identifier, b"complete")
    incoming = uploads.open(upload)

    def full(source, target):
        if Path(target).name == "info.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert uploads.complete(upload, incoming, incoming.digests()).size == 8
    with pytest.raises(FileNotInStore):
        uploads.load(identifier)
    assert (tmp_path / "files" / str(PLACE)).read_bytes() == b"complete"


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(b"goodrest").hexdigest()], ids=["quick", "both"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_upload_that_goes_back_again_and_again_has_the_digests_of_what_it_holds(tmp_path, sha256, elsewhere):
    uploads = process(tmp_path)
    identifier = uploads.create(PLACE, 8, metadata="", sha256=sha256).identifier
    upload = send(uploads, identifier, b"good")
    incoming = uploads.open(upload)
    uploads.mark_verified(upload, incoming)
    uploads.keep(upload, incoming)
    if elsewhere:
        uploads = process(tmp_path)
    for content in (b"bad!", b"bad?"):
        uploads.roll_back(send(uploads, identifier, content), 4)
    send(uploads, identifier, b"rest")
    digests, _ = finish(uploads, identifier)
    assert digests.xxh3 == xxhash.xxh3_128(b"goodrest").hexdigest()
    assert digests.sha256 == sha256
