"""Files whose SHA-256 is computed a while after they were stored."""

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest
import xxhash

from xfworker.adapters.disk import digest_attribute, later_digests
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.later_digests import LaterDigests
from xfworker.domain.digests import Digests
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource

TOKEN = AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, Resource(("userdata",))) for verb in VERBS))
PLACE = parse_resource("userdata/scans/a.raw")
CONTENT = b"0123456789" * 1000
BOTH = Digests(hashlib.sha256(CONTENT).hexdigest(), xxhash.xxh3_128(CONTENT).hexdigest())


@pytest.fixture(params=["in attributes", "in files"])
def root(tmp_path, request, monkeypatch):
    if request.param == "in files":  # as on a file system, or a system, without attributes
        monkeypatch.setattr(digest_attribute, "write", lambda *_: False)
        monkeypatch.setattr(digest_attribute, "read", lambda _: None)
    return tmp_path / "store"


@pytest.fixture
def stored(root, tmp_path):
    """A store with a file."""
    store = FolderFileStore(root)
    (tmp_path / "source").write_bytes(CONTENT)
    store.upload(TOKEN, tmp_path / "source", PLACE)
    return store


def known(store):
    stat = store.stat(TOKEN, PLACE)
    return Digests(stat.sha256, stat.xxh3)


def test_a_file_is_stored_with_its_quick_digest(stored):
    assert known(stored) == Digests(None, BOTH.xxh3)


def test_who_asks_for_the_sha256_gets_it_and_the_tag_stays(stored):
    before = stored.stat(TOKEN, PLACE)
    asked = stored.stat(TOKEN, PLACE, sha256=True)
    assert (asked.sha256, asked.etag) == (BOTH.sha256, before.etag)
    assert known(stored) == BOTH
    assert stored.stat(TOKEN, PLACE).stored == BOTH


def test_the_sha256_comes_by_itself(stored, tmp_path):
    later = LaterDigests(stored)
    later.catch_up()
    assert known(stored) == BOTH


def test_a_new_process_finds_what_the_one_before_it_left(stored, root):
    placed = root / "userdata" / "by-hand.raw"
    placed.write_bytes(b"nobody stored this through the store")
    later = LaterDigests(FolderFileStore(root))
    later.catch_up()
    assert known(FolderFileStore(root)) == BOTH
    assert not FolderFileStore(root).lacks_sha256(parse_resource("userdata/by-hand.raw"))
    assert len(list(root.rglob("digests/*/*.json"))) == 1  # files of others are left alone until somebody asks


def test_the_thread_takes_what_is_stored_while_it_runs(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(later_digests, "_QUIET_SECONDS", 0.0)
    second, added, add = parse_resource("userdata/second.raw"), threading.Event(), stored.add_sha256

    def add_and_say(resource, hasher):
        add(resource, hasher)
        if resource == second:
            added.set()

    monkeypatch.setattr(stored, "add_sha256", add_and_say)
    later = LaterDigests(stored)
    later.start()
    try:
        stored.upload(TOKEN, tmp_path / "source", second)
        assert added.wait(30)
        assert stored.stat(TOKEN, second).sha256 == BOTH.sha256
    finally:
        later.stop()


def test_the_thread_waits_while_files_are_moved(stored, monkeypatch):
    monkeypatch.setattr(later_digests, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(later_digests, "_BUSY_SECONDS", 0.001)
    asked, moved, seen = threading.Semaphore(0), threading.Event(), threading.Event()
    add = stored.add_sha256

    def is_busy():
        asked.release()
        return not moved.is_set()

    def add_and_say(resource, hasher):
        add(resource, hasher)
        seen.set()

    monkeypatch.setattr(stored, "add_sha256", add_and_say)
    later = LaterDigests(stored, is_busy=is_busy)
    later.start()
    try:
        for _ in range(5):
            assert asked.acquire(timeout=30)
        assert known(stored).sha256 is None
        moved.set()
        assert seen.wait(30)
        assert known(stored) == BOTH
    finally:
        later.stop()


def test_files_that_begin_to_move_hold_up_a_file_that_is_being_read(stored, monkeypatch):
    monkeypatch.setattr(later_digests, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(later_digests, "_BUSY_SECONDS", 0.001)
    monkeypatch.setattr(later_digests, "_LONGEST_WAIT_SECONDS", 30.0)
    answers = iter([False])  # the second time it is asked, behind the first block, files move; once
    busy_while_reading, added = threading.Event(), threading.Event()
    add = stored.add_sha256

    def is_busy():
        if next(answers, True) and not busy_while_reading.is_set():
            busy_while_reading.set()
            return True
        return False

    def add_and_say(resource, hasher):
        add(resource, hasher)
        added.set()

    monkeypatch.setattr(stored, "add_sha256", add_and_say)
    later = LaterDigests(stored, is_busy=is_busy)
    later.start()
    try:
        assert added.wait(30)
        assert busy_while_reading.is_set()
        assert known(stored) == BOTH
    finally:
        later.stop()


def test_a_file_that_is_gone_by_then_is_passed_over(stored):
    stored.delete(TOKEN, PLACE)
    stored.add_sha256(PLACE)
    assert not stored.lacks_sha256(PLACE)


def spoil(root):
    """Turn a bit of the file, as a disk does that damages it."""
    path = root.joinpath(*PLACE.segments)
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_damaged_content_gets_no_sha256_that_would_vouch_for_it(stored, root):
    spoil(root)
    assert stored.stat(TOKEN, PLACE, sha256=True).sha256 is None
    assert known(stored) == Digests(None, BOTH.xxh3)


def test_what_was_stored_is_known_after_another_file_was_put_into_its_place(stored, root, tmp_path):
    stored.add_sha256(PLACE)
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "other").replace(root.joinpath(*PLACE.segments))
    stat = stored.stat(TOKEN, PLACE)
    assert stat.sha256 == hashlib.sha256(b"other").hexdigest()
    assert stat.stored == BOTH


def test_what_is_stored_anew_is_not_held_against_what_was_there(stored, tmp_path):
    stored.add_sha256(PLACE)
    (tmp_path / "source").write_bytes(b"new")
    stored.upload(TOKEN, tmp_path / "source", PLACE)
    stat = stored.stat(TOKEN, PLACE)
    assert stat.stored == Digests(None, xxhash.xxh3_128(b"new").hexdigest()) == Digests(stat.sha256, stat.xxh3)


def test_a_file_that_was_only_touched_is_what_was_stored(stored, root):
    os.utime(root.joinpath(*PLACE.segments), ns=(1, 1))
    stat = stored.stat(TOKEN, PLACE)
    assert Digests(stat.sha256, stat.xxh3) == stat.stored == BOTH


def test_a_file_that_appears_has_its_digests_at_once(root, tmp_path, monkeypatch):
    # If the server ended in between, nobody would know any more what was stored.
    replace, seen = os.replace, []

    def looking(source, target):
        replace(source, target)
        if Path(target).name == PLACE.filename:
            seen.append(FolderFileStore(root).stat(TOKEN, PLACE).stored)

    monkeypatch.setattr(os, "replace", looking)
    (tmp_path / "source").write_bytes(CONTENT)
    FolderFileStore(root).upload(TOKEN, tmp_path / "source", PLACE)
    assert seen == [Digests(None, BOTH.xxh3)]


def test_a_file_that_was_deleted_says_nothing_of_another_of_its_name_size_and_time(stored, root):
    stored.stat(TOKEN, PLACE, sha256=True)
    path = root / str(PLACE)
    status = path.stat()
    stored.delete(TOKEN, PLACE)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    stat = stored.stat(TOKEN, PLACE)
    assert (stat.sha256, stat.stored) == (hashlib.sha256(CONTENT[::-1]).hexdigest(), Digests())


def test_a_file_of_one_size_that_was_written_a_moment_later_is_another(stored, root):
    path = root / str(PLACE)
    status = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 100))
    assert stored.stat(TOKEN, PLACE).sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()


class Meanwhile:
    """Does something once, when a file is opened: before that, or when it is open."""

    def __init__(self, monkeypatch, path, action, *, before):
        self._open, self._path, self._action, self._before = os.open, path, action, before
        monkeypatch.setattr(os, "open", self.open)

    def open(self, path, *flags, **more):
        if self._action is None or Path(path) != self._path:
            return self._open(path, *flags, **more)
        action, self._action = self._action, None
        if self._before:
            action()
        handle = self._open(path, *flags, **more)
        if not self._before:
            action()
        return handle


@pytest.mark.skipif(sys.platform == "win32", reason="files are opened by a call of the system of their own there")
def test_a_file_that_changes_before_it_is_hashed_gets_no_digest_under_its_old_tag(stored, root, monkeypatch):
    path = root / "userdata" / "scans" / "by-hand.raw"
    path.write_bytes(CONTENT)
    later = path.stat().st_mtime_ns + 1_000_000_000

    def change():
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(later, later))

    Meanwhile(monkeypatch, path, change, before=True)
    place = parse_resource("userdata/scans/by-hand.raw")
    assert stored.stat(TOKEN, place).sha256 is None
    assert stored.stat(TOKEN, place).sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open is not replaced there")
def test_a_file_that_is_replaced_once_it_is_open_is_described_as_what_is_read(stored, root, tmp_path, monkeypatch):
    before, other = stored.stat(TOKEN, PLACE), tmp_path / "other"
    other.write_bytes(b"another")
    path = root / str(PLACE)
    Meanwhile(monkeypatch, path, lambda: other.replace(path), before=False)
    stat, opened = stored.open_file(TOKEN, PLACE)
    assert (stat.etag, stat.size) == (before.etag, len(CONTENT))
    assert b"".join(opened.blocks(offset=0, length=stat.size)) == CONTENT
    opened.close()
    assert stored.stat(TOKEN, PLACE).size == len(b"another")
