"""What every store that a server offers must do, as tests to inherit."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import xxhash
from attrs import define

from xfworker.domain.digests import Digests
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileError,
    FileNotInStore,
    InvalidFilename,
    LeaseLost,
    PermissionDenied,
)
from xfworker.domain.files import VERBS, AuthorizationToken, FileStat, Resource, Scope, parse_resource
from xfworker.ports.served_files import ResumableUploads, ServedFiles
from xfworker.testing.contracts.file_store import HELL_FILENAMES

_SMALL, _LARGE = 5000, (17 << 20) + 321
"""Sizes that stores treat differently: what is stored at once, and what is stored in pieces."""


@define(frozen=True)
class ServedStore:
    """
    A store and the uploads into it, as one server process has them.

    Attributes:
        files: The files.
        uploads: The uploads that take several requests.
    """

    files: ServedFiles
    uploads: ResumableUploads[Any, Any]


Opening = Callable[[], ServedStore]
"""Opens the same store as another server process would."""


def digests_of(content: bytes) -> Digests:
    """Give both digests of a content."""
    return Digests(hashlib.sha256(content).hexdigest(), xxhash.xxh3_128(content).hexdigest())


def token_for(resource: Resource, verbs: Sequence[str] = VERBS) -> AuthorizationToken:
    """Give a token for a resource."""
    return AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, resource) for verb in verbs))


class _Watched:
    """A permit that looks at the store when it is asked for, and when it ends."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self.seen: list[object] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.seen.append(self._look())
        yield
        self.seen.append(self._look())


@contextmanager
def _ended() -> Iterator[None]:
    raise LeaseLost("the lease ended")
    yield


@contextmanager
def _ending() -> Iterator[None]:
    yield
    raise LeaseLost("the lease ended")


class ServedFilesContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your store.

    Fixtures to give:
        ``opening``: opens an empty store, and with every further call the same one as another process would.
    """

    @pytest.fixture
    def opening(self) -> Opening:
        raise NotImplementedError("give what opens an empty store")

    @pytest.fixture
    def store(self, opening: Opening) -> ServedStore:
        return opening()

    @pytest.fixture
    def folder(self) -> Resource:
        """Where the tests put their files."""
        return parse_resource("job_result/17")

    @pytest.fixture
    def token(self, folder: Resource) -> AuthorizationToken:
        return token_for(folder)

    @staticmethod
    def put(store: ServedStore, resource: Resource, content: bytes) -> FileStat:
        """Store a content."""
        incoming = store.files.receive(resource, size=len(content))
        incoming.write(content)
        return incoming.publish(nullcontext, size=len(content))

    @staticmethod
    def content(store: ServedStore, token: AuthorizationToken, resource: Resource) -> bytes:
        """Read a file."""
        stat, opened = store.files.open_file(token, resource)
        return b"".join(opened.blocks(offset=0, length=stat.size))

    @pytest.mark.parametrize("size", [0, 1, _SMALL, _LARGE])
    def test_a_received_file_appears_whole_with_its_digests_and_one_entity_tag(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource, size: int
    ) -> None:
        content, place = os.urandom(size), folder.child("a.raw")
        incoming = store.files.receive(place, size=size)
        for at in range(0, size, 1 << 20):
            incoming.write(content[at : at + (1 << 20)])
        with pytest.raises(FileNotInStore):
            store.files.stat(token, place)
        stored = incoming.publish(nullcontext, size=size, expected=Digests(xxh3=digests_of(content).xxh3))
        assert (stored.size, stored.xxh3) == (size, digests_of(content).xxh3)
        found = store.files.stat(token, place)
        assert (found.size, found.xxh3, found.etag) == (size, stored.xxh3, stored.etag)
        assert found.etag
        assert self.content(store, token, place) == content

    def test_the_entity_tag_is_the_same_before_and_after_somebody_asks_for_the_sha256(
        self, opening: Opening, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        content, place = os.urandom(_LARGE), folder.child("a.raw")
        before = self.put(store, place, content)
        assert before.sha256 is None
        asked = store.files.stat(token, place, sha256=True)
        assert asked.sha256 == digests_of(content).sha256
        assert opening().files.stat(token, place).sha256 == asked.sha256
        stat, opened = store.files.open_file(token, place)
        opened.close()
        assert asked.etag == before.etag == stat.etag

    @pytest.mark.parametrize("size", [_SMALL, _LARGE])
    def test_a_digest_of_a_file_is_not_that_of_the_one_before(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource, size: int
    ) -> None:
        place, other = folder.child("a.raw"), os.urandom(size)
        self.put(store, place, os.urandom(size))
        first = store.files.stat(token, place, sha256=True)
        self.put(store, place, other)
        second = store.files.stat(token, place, sha256=True)
        assert second.sha256 == digests_of(other).sha256
        assert second.etag != first.etag

    @pytest.mark.parametrize("size", [_SMALL, _LARGE])
    def test_what_is_not_what_was_sent_leaves_the_old_file_as_it_is(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource, size: int
    ) -> None:
        place = folder.child("a.raw")
        before = self.put(store, place, b"old")
        for expected, stated in ((Digests(sha256="0" * 64), size), (Digests(xxh3="0" * 32), size), (Digests(), 3)):
            incoming = store.files.receive(place, size=size)
            incoming.write(os.urandom(size))
            with pytest.raises(ChecksumMismatch):
                incoming.publish(nullcontext, size=stated, expected=expected)
        assert store.files.stat(token, place).etag == before.etag
        assert self.content(store, token, place) == b"old"

    @pytest.mark.parametrize("size", [_SMALL, _LARGE])
    def test_rights_that_ended_meanwhile_leave_the_old_file_and_hold_from_before_the_new_one_is_seen_until_it_is(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource, size: int
    ) -> None:
        place, content = folder.child("a.raw"), os.urandom(size)
        before = self.put(store, place, b"old")
        refused = store.files.receive(place, size=size)
        refused.write(content)
        with pytest.raises(LeaseLost):
            refused.publish(_ended)
        assert store.files.stat(token, place).etag == before.etag
        allowed = store.files.receive(place, size=size)
        allowed.write(content)
        permit = _Watched(lambda: store.files.stat(token, place).etag)
        stored = allowed.publish(permit)
        assert permit.seen == [before.etag, stored.etag]
        assert self.content(store, token, place) == content
        with pytest.raises(LeaseLost):
            store.files.delete(token, place, permit=_ended)
        assert self.content(store, token, place) == content
        permit = _Watched(lambda: len(store.files.list(token, folder).files))
        store.files.delete(token, place, permit=permit)
        assert permit.seen == [1, 0]

    @pytest.mark.parametrize("size", [_SMALL, _LARGE])
    def test_a_file_whose_rights_ended_while_the_store_took_it_is_not_there(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource, size: int
    ) -> None:
        place = folder.child("a.raw")
        late = store.files.receive(place, size=size)
        late.write(os.urandom(size))
        with pytest.raises(LeaseLost):
            late.publish(_ending)
        with pytest.raises(FileNotInStore):
            store.files.stat(token, place)

    def test_a_file_that_another_stored_meanwhile_stays_where_rights_ended(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        place = folder.child("a.raw")
        late = store.files.receive(place, size=_SMALL)
        late.write(os.urandom(_SMALL))

        @contextmanager
        def overtaken() -> Iterator[None]:
            yield
            self.put(store, place, b"newer")
            raise LeaseLost("the lease ended")

        with pytest.raises(LeaseLost):
            late.publish(overtaken)
        assert self.content(store, token, place) == b"newer"

    def test_parts_of_a_file_are_read_while_another_takes_its_name_or_reading_ends_with_an_error(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        content, place = os.urandom(_LARGE), folder.child("a.raw")
        self.put(store, place, content)
        for offset, length in ((0, 10), (_LARGE - 7, 7), (1 << 20, 2 << 20)):
            _, opened = store.files.open_file(token, place)
            assert b"".join(opened.blocks(offset=offset, length=length)) == content[offset : offset + length]
        stat, opened = store.files.open_file(token, place)
        self.put(store, place, os.urandom(_LARGE))
        try:
            assert b"".join(opened.blocks(offset=5, length=stat.size - 5)) == content[5:]
        except FileChanged:
            assert opened.descriptor is None

    def test_every_way_in_asks_for_its_right(self, store: ServedStore, folder: Resource) -> None:
        place = folder.child("a.raw")
        self.put(store, place, b"x")
        nothing, writer = token_for(parse_resource("job_result/18")), token_for(folder, ["write"])
        assert store.files.stat(writer, place).size == 1
        ways: tuple[Callable[[], object], ...] = (
            lambda: store.files.stat(nothing, place),
            lambda: store.files.open_file(writer, place),
            lambda: store.files.list(writer, folder),
            lambda: store.files.delete(writer, place),
            lambda: store.files.register(nothing, place, size=1, sha256="0" * 64),
        )
        for refused in ways:
            with pytest.raises(PermissionDenied):
                refused()

    def test_names_from_hell_are_kept_apart_listed_and_deleted(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        for number, name in enumerate(HELL_FILENAMES):
            self.put(store, folder.child(name), bytes([number]) * (number + 1))
        self.put(store, folder.child("sub").child("b.raw"), b"b")
        listed = store.files.list(token, folder)
        assert {stat.resource.filename: stat.size for stat in listed.files} == {
            name: number + 1 for number, name in enumerate(HELL_FILENAMES)
        }
        assert listed.folders == ("sub",)
        for number, name in enumerate(HELL_FILENAMES):
            assert self.content(store, token, folder.child(name)) == bytes([number]) * (number + 1)
            store.files.delete(token, folder.child(name))
            with pytest.raises(FileNotInStore):
                store.files.delete(token, folder.child(name))
        assert store.files.list(token, folder).files == ()

    def test_large_files_with_names_from_hell_are_put_together(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        content = os.urandom(_LARGE)
        for name in ("Ümläut-日本語-🦴 +%20.omni", "plus+and&=#;,'~!@$^()[]{}.raw"):
            self.put(store, folder.child(name), content)
            assert self.content(store, token, folder.child(name)) == content

    def test_a_folder_is_not_a_file_and_a_file_is_not_a_folder(self, store: ServedStore, folder: Resource) -> None:
        self.put(store, folder.child("sub").child("b.raw"), b"b")
        for wrong in (folder.child("sub"), folder.child("sub").child("b.raw").child("c.raw")):
            with pytest.raises(FileError):
                self.put(store, wrong, b"x")
        with pytest.raises(InvalidFilename):
            store.files.receive(folder)

    def test_a_registered_file_is_what_was_stated(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        place = folder.child("a.raw")
        self.put(store, place, b"content")
        sha256 = digests_of(b"content").sha256 or ""
        assert store.files.register(token, place, size=7, sha256=sha256).sha256 == sha256
        with pytest.raises(ChecksumMismatch):
            store.files.register(token, place, size=7, sha256="0" * 64)

    # --- uploads that take several requests -----------------------------------------------------------------------

    @pytest.mark.parametrize("cuts", [(), (100,), (100, 101, 9 << 20, (9 << 20) + 5), (6 << 20, 12 << 20)])
    def test_any_process_goes_on_with_an_upload(
        self, opening: Opening, token: AuthorizationToken, folder: Resource, cuts: tuple[int, ...]
    ) -> None:
        content, place = os.urandom(_LARGE), folder.child("a.raw")
        identifier = opening().uploads.create(place, _LARGE, metadata="name YQ==", sha256=None).identifier
        offset = 0
        for end in (*cuts, _LARGE):
            uploads = opening().uploads
            upload = uploads.load(identifier)
            assert (upload.offset, upload.size, upload.metadata, upload.completed) == (
                offset,
                _LARGE,
                "name YQ==",
                None,
            )
            incoming = uploads.open(upload)
            incoming.write(content[offset:end])
            assert incoming.digests().xxh3 == digests_of(content[:end]).xxh3
            offset = uploads.keep(upload, incoming)
            assert offset == end
        last = opening()
        with pytest.raises(FileNotInStore):
            last.files.stat(token, place)
        upload = last.uploads.load(identifier)
        incoming = last.uploads.open(upload)
        digests = incoming.digests(sha256=True)
        assert digests == digests_of(content)
        stat = last.uploads.complete(upload, incoming, digests, nullcontext)
        assert self.content(last, token, place) == content
        assert last.files.stat(token, place).sha256 == digests.sha256
        again = opening().uploads.load(identifier)
        assert again.completed is not None
        assert (again.completed.etag, again.offset) == (stat.etag, _LARGE)

    def test_what_an_older_request_still_brings_does_not_count(
        self, opening: Opening, token: AuthorizationToken, folder: Resource
    ) -> None:
        content, place = os.urandom(_LARGE), folder.child("a.raw")
        older, newer = opening(), opening()
        identifier = older.uploads.create(place, _LARGE, metadata="", sha256=None).identifier
        stale = older.uploads.load(identifier)
        late = older.uploads.open(stale)
        upload = newer.uploads.load(identifier)
        incoming = newer.uploads.open(upload)
        with pytest.raises(FileError):
            late.write(bytes(_LARGE))
        incoming.write(content)
        digests = incoming.digests()
        newer.uploads.complete(upload, incoming, digests, nullcontext)
        assert self.content(newer, token, place) == content

    def test_what_a_process_knows_of_an_upload_is_not_taken_for_what_another_wrote_meanwhile(
        self, opening: Opening, folder: Resource
    ) -> None:
        part, other = os.urandom(9 << 20), os.urandom(9 << 20)
        first, second = opening(), opening()
        upload = first.uploads.create(folder.child("a.raw"), _LARGE, metadata="", sha256=None)
        incoming = first.uploads.open(upload)
        incoming.write(part)
        first.uploads.keep(upload, incoming)
        there = second.uploads.load(upload.identifier)
        second.uploads.roll_back(there, 0)
        incoming = second.uploads.open(there)
        incoming.write(other)
        second.uploads.keep(there, incoming)
        incoming = first.uploads.open(first.uploads.load(upload.identifier))
        assert (incoming.size, incoming.digests().xxh3) == (len(other), digests_of(other).xxh3)
        incoming.close()

    def test_an_upload_goes_back_to_what_is_known_to_be_right(
        self, opening: Opening, token: AuthorizationToken, folder: Resource
    ) -> None:
        content, place, good = os.urandom(_LARGE), folder.child("a.raw"), (10 << 20) + 7
        store = opening()
        upload = store.uploads.create(place, _LARGE, metadata="", sha256=None)
        incoming = store.uploads.open(upload)
        incoming.write(content[:good])
        store.uploads.keep(upload, incoming)
        incoming = store.uploads.open(upload)
        store.uploads.mark_verified(upload, incoming)
        incoming.write(bytes(3 << 20))
        store.uploads.keep(upload, incoming)
        store.uploads.roll_back(upload, upload.verified)
        other = opening()
        upload = other.uploads.load(upload.identifier)
        assert (upload.offset, upload.verified) == (good, good)
        incoming = other.uploads.open(upload)
        incoming.write(content[good:])
        digests = incoming.digests()
        assert digests.xxh3 == digests_of(content).xxh3
        other.uploads.complete(upload, incoming, digests, nullcontext)
        assert self.content(other, token, place) == content

    def test_an_upload_whose_rights_ended_is_gone_and_one_that_was_removed_as_well(
        self, store: ServedStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        place = folder.child("a.raw")
        upload = store.uploads.create(place, 5, metadata="", sha256=None)
        incoming = store.uploads.open(upload)
        incoming.write(b"12345")
        with pytest.raises(LeaseLost):
            store.uploads.complete(upload, incoming, incoming.digests(), _ended)
        removed = store.uploads.create(place, 5, metadata="", sha256=None)
        store.uploads.remove(removed)
        for identifier in (upload.identifier, removed.identifier, "0" * 32, "../../x"):
            with pytest.raises(FileNotInStore):
                store.uploads.load(identifier)
        with pytest.raises(FileNotInStore):
            store.files.stat(token, place)

    def test_an_upload_that_nobody_goes_on_with_is_swept(self, store: ServedStore, folder: Resource) -> None:
        upload = store.uploads.create(folder.child("a.raw"), 5, metadata="", sha256=None)
        assert store.uploads.sweep() == 0
        assert store.uploads.load(upload.identifier).offset == 0
        store.uploads.lifetime_seconds = -10.0  # type: ignore[attr-defined]  # the time is the store's
        assert store.uploads.sweep() == 1
        with pytest.raises(FileNotInStore):
            store.uploads.load(upload.identifier)
