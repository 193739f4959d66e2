"""A disk that is nearly full: room is promised when an upload begins, and what failed leaves nothing behind."""

import asyncio
import base64
import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from tests.unit.platform.test_file_rights import PATCH, TUS, Lab
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.disk.reservations import LAPSE_SECONDS, Reservations
from xfworker.domain.errors import FileError, NotEnoughSpace, ServerBusy
from xfworker.domain.files import Scope, parse_resource, record_resource

MB = 1_000_000
PLACE = parse_resource("userdata/a.bin")


@pytest.fixture
def disk(monkeypatch):
    """A disk of 20 MB whose free room the test says."""
    disk = SimpleNamespace(total=20 * MB, used=0, free=20 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    return disk


@pytest.fixture
def lab(tmp_path, disk):
    return Lab.at(tmp_path)


@pytest.fixture
def token(lab):
    return lab.server().file_token([Scope("write", PLACE)])


def test_what_is_promised_is_not_promised_again(tmp_path, disk):
    room = Reservations(tmp_path)
    room.reserve("a", 9 * MB, "a")
    room.reserve("b", 9 * MB, "b")
    with pytest.raises(NotEnoughSpace, match=r"c: it has 9000000 bytes.*room for 1000000 beside 18000000"):
        room.reserve("c", 9 * MB, "c")
    room.release("a")
    room.reserve("c", 9 * MB, "c")


def test_what_has_arrived_is_not_counted_twice(tmp_path, disk):
    room = Reservations(tmp_path)
    room.reserve("a", 10 * MB, "a")
    disk.free -= 8 * MB
    room.arrived("a", 8 * MB)
    room.reserve("b", 9 * MB, "b")


def test_a_promise_lapses_while_nothing_arrives_and_is_asked_for_again(tmp_path, disk):
    clock = SimpleNamespace(now=0.0)
    room = Reservations(tmp_path, now=lambda: clock.now)
    room.reserve("announced", 15 * MB, "announced")
    clock.now = LAPSE_SECONDS
    with pytest.raises(NotEnoughSpace):
        room.reserve("b", 9 * MB, "b")
    clock.now += 1
    room.reserve("b", 9 * MB, "b")
    with pytest.raises(NotEnoughSpace):
        room.reserve("announced", 15 * MB, "announced")


def test_records_keep_some_room(tmp_path, disk):
    with pytest.raises(NotEnoughSpace):
        Reservations(tmp_path).reserve("a", 20 * MB, "a")
    Reservations(tmp_path).reserve("a", 19 * MB, "a")


def create(lab, token, size):
    name = base64.b64encode(str(PLACE).encode()).decode()
    headers = {**TUS, "upload-length": str(size), "upload-metadata": f"resource {name}"}
    return asyncio.run(lab.ask("POST", "uploads", token, headers=headers))


def test_an_upload_that_will_not_fit_is_refused_before_its_first_byte(lab, token, tmp_path):
    assert [create(lab, token, 9 * MB).status for _ in range(3)] == [201, 201, NotEnoughSpace.status]
    put = asyncio.run(lab.ask("PUT", f"files/{PLACE}", token, b"", headers={"content-length": str(9 * MB)}))
    assert put.status == NotEnoughSpace.status
    assert len(list((tmp_path / ".xfstore" / "uploads").iterdir())) == 2
    assert not list((tmp_path / ".xfstore").rglob(".xfpart*"))


def test_room_is_free_again_when_an_upload_has_ended(lab, token):
    location = create(lab, token, 19 * MB).headers["location"]
    assert create(lab, token, 9 * MB).status == NotEnoughSpace.status
    assert asyncio.run(lab.ask("DELETE", location, token, headers=TUS)).status == 204
    assert create(lab, token, 3).status == 201
    for size in (3, 18 * MB):
        headers = {"content-length": str(size)}
        answer = asyncio.run(lab.ask("PUT", f"files/{PLACE}", token, b"abc", headers=headers))
        assert answer.status == (201 if size == 3 else 460)
    assert create(lab, token, 18 * MB).status == 201


@pytest.mark.parametrize(("last", "status"), [(1 * MB, 201), (4 * MB, NotEnoughSpace.status)])
def test_a_file_of_unknown_size_leaves_room_to_others_and_nothing_behind(lab, token, tmp_path, disk, last, status):
    def goes_on():
        disk.free -= 6 * MB  # 10 MB are promised and 1 MB is left to records, so 3 MB are free

    assert create(lab, token, 10 * MB).status == 201
    body = [bytes(MB // 10)] * 19
    answer = asyncio.run(lab.ask("PUT", f"files/{PLACE}", token, *body, bytes(last), before_last=goes_on))
    assert answer.status == status
    assert not list((tmp_path / ".xfstore").rglob(".xfpart*"))


def test_uploads_from_before_a_restart_keep_their_room(lab, token):
    assert create(lab, token, 15 * MB).status == 201
    uploads = PartialUploads(Lab.at(lab.store.layout.root).store)
    with pytest.raises(NotEnoughSpace):
        uploads.create(PLACE, 9 * MB, metadata="", sha256=None)


def test_room_is_free_again_when_an_abandoned_upload_was_swept(lab, token):
    uploads = PartialUploads(lab.store, lifetime_seconds=-1.0)
    uploads.create(PLACE, 15 * MB, metadata="", sha256=None)
    assert uploads.sweep() == 1
    assert create(lab, token, 15 * MB).status == 201


def test_an_upload_that_found_the_disk_full_leaves_nothing(lab, token, tmp_path, monkeypatch):
    location = create(lab, token, 10).headers["location"]

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    answer = asyncio.run(lab.ask("PATCH", location, token, b"0123456789", headers=PATCH))
    monkeypatch.undo()
    assert answer.status == NotEnoughSpace.status
    assert not list((tmp_path / ".xfstore" / "uploads").iterdir())


def test_an_upload_that_could_not_be_published_is_not_taken_for_a_stored_file(lab, tmp_path, monkeypatch):
    lease = lab.leased(job := lab.job())
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(lease.server_auth).file_token([Scope("write", place)])
    name = base64.b64encode(str(place).encode()).decode()
    headers = {**TUS, "upload-length": "10", "upload-metadata": f"resource {name}"}
    location = asyncio.run(lab.ask("POST", "uploads", token, headers=headers)).headers["location"]

    def away():
        def refuse(**_):
            raise ServerBusy("the database cannot be reached now")

        monkeypatch.setattr(lab.platform.records, "transaction", refuse)

    answer = asyncio.run(lab.ask("PATCH", location, token, b"01234", b"56789", headers=PATCH, before_last=away))
    assert answer.status == 503
    monkeypatch.undo()
    offset = asyncio.run(lab.ask("HEAD", location, token, headers=TUS)).headers["upload-offset"]
    assert int(offset) < 10
    rest = b"0123456789"[int(offset) :]
    headers = {**PATCH, "upload-offset": offset}
    assert asyncio.run(lab.ask("PATCH", location, token, rest, headers=headers)).status == 204
    assert (tmp_path / str(place)).read_bytes() == b"0123456789"


def test_a_file_that_could_not_be_begun_keeps_no_room(lab, monkeypatch):
    opening = os.open

    def refuse(path, flags, *mode, **more):
        if ".xfpart-" in str(path) and flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opening(path, flags, *mode, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(FileError):
            lab.store.receive(PLACE, size=15 * MB)
    lab.store.receive(PLACE, size=15 * MB).discard()
