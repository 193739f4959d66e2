"""What arrives piece by piece for a bucket: however many pieces there are, and until nobody goes on with it."""

import time

import pytest

from xfworker.domain.files import parse_resource
from xfworker.testing.contracts.served_files import digests_of

obstore = pytest.importorskip("obstore")

FILE = parse_resource("userdata/scans/a.raw")
MANY = 120
"""More than a listing brings at once."""


@pytest.fixture
def files():
    from obstore.store import MemoryStore

    from xfworker.adapters.s3.served_files import S3ServedFiles

    return S3ServedFiles(MemoryStore(), None, prefix="lab")  # nothing is put together here


@pytest.fixture
def uploads(files):
    from xfworker.adapters.s3.partial_uploads import S3PartialUploads

    return S3PartialUploads(files, lifetime_seconds=10.0)


def names(files):
    return [meta["path"] for page in obstore.list(files.bucket, "lab") for meta in page]


def test_all_of_many_pieces_are_found_and_deleted(uploads, files):
    from xfworker.adapters.s3.pieces import chain

    upload = uploads.create(FILE, MANY, metadata="", sha256=None)
    for offset in range(MANY):
        upload.folder.put("name", offset, [b"x"])
    assert [piece.offset for piece in chain(list(upload.folder.list("name")))] == list(range(MANY))
    uploads.remove(upload)
    assert names(files) == []


def test_all_of_many_files_are_given_and_nothing_that_is_none(uploads, files):
    uploads.create(FILE, 5, metadata="", sha256=None)
    places = {parse_resource(f"userdata/scans/{number}.raw") for number in range(MANY)}
    for place in places:
        obstore.put(files.bucket, f"lab/{place}", b"x")
    assert set(files.resources()) == places


def test_an_upload_is_kept_as_long_as_the_newest_of_its_pieces(uploads, monkeypatch):
    upload = uploads.create(FILE, 5, metadata="", sha256=None)
    path = upload.folder.put("name", 0, [b"x"]).path
    newest = obstore.head(upload.folder.store, path)["last_modified"].timestamp()
    monkeypatch.setattr(time, "time", lambda: newest + uploads.lifetime_seconds)
    assert uploads.sweep() == 0
    assert uploads.expires_at(upload).timestamp() == pytest.approx(newest + uploads.lifetime_seconds)
    monkeypatch.setattr(time, "time", lambda: newest + uploads.lifetime_seconds + 1)
    assert uploads.sweep() == 1


def test_what_a_server_that_was_killed_was_receiving_is_swept(uploads, files):
    files.receive(FILE).write(bytes(33 << 20))
    assert len(names(files)) == 1
    assert uploads.sweep() == 0
    uploads.lifetime_seconds = -10.0
    assert uploads.sweep() == 1
    assert names(files) == []


def test_what_came_past_a_server_is_hashed_as_well(uploads):
    first, second = b"a" * (6 << 20), b"b" * (6 << 20)
    upload = uploads.create(FILE, 20 << 20, metadata="", sha256=None)
    incoming = uploads.open(upload)
    incoming.write(first)
    uploads.keep(upload, incoming)
    upload.folder.put(incoming.name, len(first), [second])
    incoming = uploads.open(upload)
    assert (incoming.size, incoming.digests().xxh3) == (len(first + second), digests_of(first + second).xxh3)
    incoming.close()
