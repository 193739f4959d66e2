"""What every file store must do, as tests to inherit."""

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import xxhash

from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileChanged, FileError, FileNotInStore, InvalidFilename, PermissionDenied
from xfworker.domain.files import VERBS, AuthorizationToken, FileStat, Resource, Scope, parse_resource
from xfworker.ports.file_store import FileStore

_LARGE = 9 * (1 << 20) + 4321
"""More than stores send or read at once."""

TokenFor = Callable[[Sequence[Scope]], AuthorizationToken]
"""Gives a token with exactly these scopes."""

HELL_FILENAMES = (
    "mit Leerzeichen.raw",
    "Ümläut-日本語-🦴.omni",
    "e\N{COMBINING ACUTE ACCENT}.txt",
    "per%20cent%2F.raw",
    "plus+and&=#;,'~!@$^()[]{}.raw",
    "x" * 251 + ".raw",
    "ä" * 125 + ".omni",
    ".hidden",
    "-rf",
    "a" * 16 + "." + "b" * 200,
)
"""Names that a store must keep apart and give back as they were."""


def _is_of(content: bytes, stat: FileStat) -> bool:
    """Whether the digests of a file, of which at least one must be known, are those of a content."""
    known = Digests(stat.sha256, stat.xxh3)
    actual = Digests(hashlib.sha256(content).hexdigest(), xxhash.xxh3_128(content).hexdigest())
    return known != Digests() and actual.fit(known)


class FileStoreContract:
    """
    Inherit it, give the two fixtures, and pytest runs every test against your store.

    Fixtures to give:
        ``store``: an empty :class:`~xfworker.ports.file_store.FileStore`.
        ``token_for``: a function from scopes to a token that the store honours.
    """

    @pytest.fixture
    def store(self) -> FileStore:
        raise NotImplementedError("give an empty file store")

    @pytest.fixture
    def token_for(self) -> TokenFor:
        """Give tokens with exactly the given scopes; a store without a server of its own needs nothing else."""
        return lambda scopes: AuthorizationToken(url="", token="", scopes=tuple(scopes))

    @pytest.fixture
    def folder(self) -> Resource:
        """Where the tests put their files; its record must exist where tokens are checked against records."""
        return parse_resource("userdata/contract")

    @pytest.fixture
    def token(self, token_for: TokenFor, folder: Resource) -> AuthorizationToken:
        return token_for([Scope(verb, folder) for verb in VERBS])

    def test_what_was_stored_comes_back_byte_for_byte(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        for size in (0, 1, 65536, _LARGE):
            content = os.urandom(size)
            source, target = tmp_path / f"source-{size}", tmp_path / f"target-{size}"
            source.write_bytes(content)
            stored = store.upload(token, source, folder.child(f"file-{size}.raw"))
            assert stored.size == size
            assert _is_of(content, stored)
            fetched = store.download(token, folder.child(f"file-{size}.raw"), target)
            assert target.read_bytes() == content
            assert fetched.size == stored.size
            assert _is_of(content, fetched)

    def test_stat_gives_size_digest_and_a_tag_of_the_content(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        resource = folder.child("a.raw")
        first = self._store(store, token, resource, tmp_path, b"one")
        stat = store.stat(token, resource)
        assert stat.resource == resource
        assert stat.size == 3
        assert _is_of(b"one", stat)
        self._store(store, token, resource, tmp_path, b"two")
        assert store.stat(token, resource).etag != first.etag

    def test_storing_again_replaces(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        resource = folder.child("a.raw")
        self._store(store, token, resource, tmp_path, b"a much longer first content")
        self._store(store, token, resource, tmp_path, b"second")
        assert self._read(store, token, resource) == b"second"
        assert [stat.resource for stat in store.list(token, folder).files] == [resource]

    def test_a_part_can_be_read(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        resource, content = folder.child("a.raw"), os.urandom(3 << 20)
        self._store(store, token, resource, tmp_path, content)
        assert b"".join(store.open_read(token, resource)) == content
        assert b"".join(store.open_read(token, resource, offset=5)) == content[5:]
        assert b"".join(store.open_read(token, resource, offset=5, length=1 << 20)) == content[5 : 5 + (1 << 20)]
        assert b"".join(store.open_read(token, resource, offset=len(content) - 1, length=99)) == content[-1:]
        assert b"".join(store.open_read(token, resource, offset=len(content) + 7)) == b""
        assert b"".join(store.open_read(token, resource, length=0)) == b""
        assert max(map(len, store.open_read(token, resource))) <= 1 << 20

    def test_what_is_not_there_is_said_so(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        absent = folder.child("absent.raw")
        for ask in (
            lambda: store.stat(token, absent),
            lambda: store.download(token, absent, tmp_path / "x"),
            lambda: list(store.open_read(token, absent)),
            lambda: store.delete(token, absent),
        ):
            with pytest.raises(FileNotInStore, match=r"absent\.raw"):
                ask()
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_lists_its_files_and_folders_in_order(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        for name in ("b.raw", "a.raw", "c.raw"):
            self._store(store, token, folder.child(name), tmp_path, name.encode())
        self._store(store, token, folder.child("sub").child("deep.raw"), tmp_path, b"deep")
        listing = store.list(token, folder)
        assert [stat.resource.filename for stat in listing.files] == ["a.raw", "b.raw", "c.raw"]
        assert [stat.size for stat in listing.files] == [5, 5, 5]
        assert listing.folders == ("sub",)
        assert [str(stat.resource) for stat in store.list(token, folder.child("sub")).files] == [
            f"{folder}/sub/deep.raw"
        ]

    def test_a_folder_that_is_not_there_is_empty(
        self, store: FileStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        listing = store.list(token, folder.child("nowhere"))
        assert (listing.files, listing.folders) == ((), ())

    def test_a_deleted_file_is_gone(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        resource = folder.child("sub").child("a.raw")
        self._store(store, token, resource, tmp_path, b"x")
        store.delete(token, resource)
        with pytest.raises(FileNotInStore):
            store.stat(token, resource)
        # Whether an empty folder is still named is the store's own matter.
        assert store.list(token, folder.child("sub")).files == ()

    def test_names_from_hell_are_kept(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        for name in HELL_FILENAMES:
            self._store(store, token, folder.child(name), tmp_path, name.encode())
        listed = [stat.resource.filename for stat in store.list(token, folder).files]
        assert listed == sorted(HELL_FILENAMES)
        for name in HELL_FILENAMES:
            assert self._read(store, token, folder.child(name)) == name.encode()

    def test_a_place_that_is_a_folder_takes_no_file(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        self._store(store, token, folder.child("sub").child("a.raw"), tmp_path, b"x")
        with pytest.raises(FileError):
            self._store(store, token, folder.child("sub"), tmp_path, b"y")
        with pytest.raises(FileError):
            self._store(store, token, folder.child("sub").child("a.raw").child("b.raw"), tmp_path, b"y")
        assert self._read(store, token, folder.child("sub").child("a.raw")) == b"x"

    def test_what_the_token_does_not_allow_is_refused(
        self, store: FileStore, token: AuthorizationToken, token_for: TokenFor, folder: Resource, tmp_path: Path
    ) -> None:
        resource = folder.child("a.raw")
        self._store(store, token, resource, tmp_path, b"x")
        reader = token_for([Scope("read", resource)])
        (tmp_path / "new").write_bytes(b"y")
        for verb, refused in (
            ("write", lambda: store.upload(reader, tmp_path / "new", resource)),
            ("list", lambda: store.list(reader, folder)),
            ("delete", lambda: store.delete(reader, resource)),
            ("write", lambda: store.direct_access_path(reader, resource, for_writing=True)),
        ):
            with pytest.raises(PermissionDenied, match=verb):
                refused()
        writer = token_for([Scope("write", resource)])
        with pytest.raises(PermissionDenied, match="read"):
            store.download(writer, resource, tmp_path / "got")
        with pytest.raises(PermissionDenied, match="read"):
            list(store.open_read(writer, resource))
        assert store.stat(writer, resource).size == 1
        assert self._read(store, reader, resource) == b"x"

    def test_a_token_for_a_name_says_nothing_of_longer_names(
        self, store: FileStore, token: AuthorizationToken, token_for: TokenFor, folder: Resource, tmp_path: Path
    ) -> None:
        self._store(store, token, folder.child("scan-1").child("a"), tmp_path, b"x")
        neighbour = token_for([Scope("read", folder.child("scan"))])
        with pytest.raises(PermissionDenied):
            store.stat(neighbour, folder.child("scan-1").child("a"))

    def test_a_place_without_a_filename_is_refused(
        self, store: FileStore, token_for: TokenFor, folder: Resource, tmp_path: Path
    ) -> None:
        everything = token_for([Scope(verb, Resource((folder.source,))) for verb in VERBS])
        with pytest.raises((InvalidFilename, FileNotInStore, PermissionDenied)):
            self._store(store, everything, Resource((folder.source,)), tmp_path, b"x")

    def test_a_failed_download_leaves_the_old_file(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        target = tmp_path / "target.raw"
        target.write_bytes(b"old")
        with pytest.raises(FileNotInStore):
            store.download(token, folder.child("absent.raw"), target)
        assert target.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["target.raw"]

    def test_a_file_that_changes_while_it_is_stored_is_no_mixture(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        source, resource = tmp_path / "growing.raw", folder.child("growing.raw")
        source.write_bytes(os.urandom(_LARGE))

        def change(_done: int, _all: int) -> None:
            with source.open("r+b") as file:
                file.write(b"changed")
            os.utime(source, ns=(1, 1))

        # A store that reports progress only at its end has read the file as it was.
        try:
            stored = store.upload(token, source, resource, progress=change)
        except FileChanged:
            with pytest.raises(FileNotInStore):
                store.stat(token, resource)
        else:
            assert _is_of(self._read(store, token, resource), stored)

    def test_progress_ends_with_everything(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        up: list[tuple[int, int]] = []
        down: list[tuple[int, int]] = []
        (tmp_path / "source").write_bytes(os.urandom(_LARGE))
        store.upload(token, tmp_path / "source", folder.child("a"), progress=lambda *calls: up.append(calls))
        store.download(token, folder.child("a"), tmp_path / "target", progress=lambda *calls: down.append(calls))
        for calls in (up, down):
            assert calls[-1] == (_LARGE, _LARGE)
            assert all(0 <= done <= total == _LARGE for done, total in calls)

    def test_a_stopped_transfer_leaves_nothing_under_the_name(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        class Stopped(Exception):
            pass

        def stop(done: int, total: int) -> None:
            if 0 < done < total:
                raise Stopped

        (tmp_path / "source").write_bytes(os.urandom(_LARGE))
        resource = folder.child("a")
        store.upload(token, tmp_path / "source", resource)
        try:
            store.download(token, resource, tmp_path / "target", progress=stop)
        except Stopped:
            assert not (tmp_path / "target").exists()
        store.download(token, resource, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()
        other = folder.child("b")
        try:
            store.upload(token, tmp_path / "source", other, progress=stop)
        except Stopped:
            with pytest.raises(FileNotInStore):
                store.stat(token, other)
        store.upload(token, tmp_path / "source", other)
        assert self._read(store, token, other) == (tmp_path / "source").read_bytes()

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
    def test_a_pipe_is_refused_and_not_waited_for(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        """Opening a pipe waits for somebody who writes to it, and nobody may ever do."""
        if sys.platform == "win32":
            return
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with pytest.raises(FileError, match="pipe"):
            store.upload(token, pipe, folder.child("pipe"))
        assert not store.list(token, folder).files

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system shows nothing of itself as files")
    def test_a_file_that_does_not_state_its_size_is_not_stored_as_an_empty_one(
        self, store: FileStore, token: AuthorizationToken, folder: Resource
    ) -> None:
        with pytest.raises(FileError):
            store.upload(token, Path("/proc/self/status"), folder.child("status"))
        assert not store.list(token, folder).files

    def test_readers_see_one_content_or_the_other(
        self, store: FileStore, token: AuthorizationToken, folder: Resource, tmp_path: Path
    ) -> None:
        resource = folder.child("a.raw")
        contents = [bytes([number]) * (300_000 + number) for number in range(4)]
        self._store(store, token, resource, tmp_path, contents[0])
        errors: list[object] = []

        def write(number: int) -> None:
            source = tmp_path / f"writer-{number}"
            source.write_bytes(contents[number])
            try:
                for _ in range(5):
                    store.upload(token, source, resource)
            except BaseException as error:  # noqa: BLE001  reported in the test's own thread
                errors.append(error)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 4)]
        for writer in writers:
            writer.start()
        reads = 0
        while any(writer.is_alive() for writer in writers) or not reads:
            store.download(token, resource, tmp_path / "read")
            assert (tmp_path / "read").read_bytes() in contents
            reads += 1
        for writer in writers:
            writer.join()
        assert errors == []
        assert self._read(store, token, resource) in contents

    @staticmethod
    def _store(
        store: FileStore, token: AuthorizationToken, resource: Resource, tmp_path: Path, content: bytes
    ) -> FileStat:
        source = tmp_path / "contract-source"
        source.write_bytes(content)
        try:
            return store.upload(token, source, resource)
        finally:
            source.unlink()

    @staticmethod
    def _read(store: FileStore, token: AuthorizationToken, resource: Resource) -> bytes:
        return b"".join(store.open_read(token, resource))
