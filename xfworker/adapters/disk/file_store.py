"""A folder as file store: on a server's disk behind HTTP, or on a shared disk with no server at all."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from io import FileIO
from pathlib import Path

from attrs import evolve

from xfworker.adapters.disk.digest_index import DigestIndex
from xfworker.adapters.disk.file_modes import FileModes, GroupAccess
from xfworker.adapters.disk.filesystem import sample_sha256
from xfworker.adapters.disk.incoming_file import IncomingFile
from xfworker.adapters.disk.opened_file import OpenedFile
from xfworker.adapters.disk.path_map import is_windows_path
from xfworker.adapters.disk.reservations import Reservations
from xfworker.adapters.disk.store_identity import store_identity
from xfworker.adapters.disk.store_layout import StoreLayout
from xfworker.adapters.transfer.file_copy import copy_content
from xfworker.adapters.transfer.hashing import (
    FileHash,
    checking_digest,
    file_digests,
    file_sha256,
    hash_file,
    hash_open_file,
    new_hasher,
    with_digest,
)
from xfworker.adapters.transfer.os_errors import disk_errors, require_room
from xfworker.adapters.transfer.partial_file import (
    PARTIAL_PREFIX,
    flush_file,
    flush_folder,
    for_owner,
    partial_path,
    rename,
    replacing,
)
from xfworker.adapters.transfer.source_file import file_identity, open_source, require_unchanged
from xfworker.domain.digests import Digests
from xfworker.domain.errors import ChecksumMismatch, FileChanged, FileError, FileNotInStore, XFWorkerError
from xfworker.domain.filenames import is_safe_filename
from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource, require_file
from xfworker.ports.file_store import Progress
from xfworker.ports.served_files import Permit
from xfworker.services.event_log import EventLog
from xfworker.services.files_in_use import when_free

_log = EventLog("xfworker.files")

_UNKNOWN = Digests()
_HASHED_ON_THE_SPOT = 64 << 20
"""Up to this size the digest of a file that someone put into the folder by hand is computed when it is asked for."""


class FolderFileStore:
    """
    Files under a root as ``<source>/<serial>/<filename>``, with their digests beside them.

    Readers see a file whole or not at all. Several processes, on several machines, may use one folder.
    """

    def __init__(
        self,
        root: Path,
        *,
        direct_access_root: str | None = None,
        direct_writes: bool = False,
        group_access: GroupAccess = GroupAccess.NONE,
        fsync: bool = False,
    ) -> None:
        r"""
        Take the folder; it is made where it is not there.

        Args:
            root: The store's folder.
            direct_access_root: What others call the folder, such as ``\\server\share\files``; ``None`` keeps direct
                access off.
            direct_writes: Whether others may also write there directly.
            group_access: What the group of the folder may do with its files, whatever the umask.
            fsync: Whether a stored file must outlive a power cut as soon as it is reported stored.

        Raises:
            FileError: The folder cannot be made.
        """
        self.modes = FileModes(group_access)
        with disk_errors(f"open the file store in {root}"):
            self.modes.make_folders(root)
        self.layout = StoreLayout(root)
        self._digests = DigestIndex(self.layout.private / "digests", self.modes)
        self.reservations = Reservations(root)
        self._direct_access_root = direct_access_root
        self._direct_writes = direct_writes
        self._fsync = fsync
        # A folder's name is waited for once; whether this or another process made it, and when, is not known.
        self._flush_name_of = lru_cache(maxsize=1000)(_flush_name_of)
        self.stored_without_sha256: Callable[[Resource], None] = lambda _: None
        """Called with each file that was stored and whose SHA-256 was not asked for."""

    @property
    def identity(self) -> str:
        """What tells this folder from others, by whatever path it is reached."""
        with disk_errors("open the file store"):
            return store_identity(self.layout.private, self.modes)

    def stat(self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False) -> FileStat:
        if not token.allows("write", resource):
            token.require("read", resource)
        path = self.layout.file_path(resource)
        with disk_errors(f"look at {resource}"), _absent(resource):
            direct = self._announced(resource) if token.allows("read", resource) else None
            return self._stat(resource, path, direct_access_path=direct, sha256=sha256)

    def _stat(
        self,
        resource: Resource,
        path: Path,
        *,
        direct_access_path: str | None = None,
        status: os.stat_result | None = None,
        sha256: bool = False,
    ) -> FileStat:
        status = status or path.stat()
        digests, stored = self._digests.get(resource, path, status)
        is_new = digests == _UNKNOWN and status.st_size <= _HASHED_ON_THE_SPOT
        if is_new or (sha256 and digests.sha256 is None):
            digests = self._compute_digests(resource, path, status, digests)
            stored = self._digests.get(resource, path, status)[1]
        return evolve(
            _listed(resource, status, digests),
            direct_access_path=direct_access_path,
            sample_sha256=sample_sha256(path) if direct_access_path is not None else None,
            stored=stored,
        )

    def _compute_digests(
        self,
        resource: Resource,
        path: Path,
        status: os.stat_result,
        known: Digests,
        hasher: FileHash | None = None,
    ) -> Digests:
        with open_source(path) as opened:
            before = _etag(os.fstat(opened.fileno()))
            digests = hash_open_file(opened, hasher or FileHash.begin(sha256=True)).digests()
            if not before == _etag(os.fstat(opened.fileno())) == _etag(status):
                return known  # it is being written to right now, or is another by now
            return self._keep_digests(resource, opened, status, digests, known)

    def _keep_digests(
        self, resource: Resource, opened: FileIO, status: os.stat_result, digests: Digests, known: Digests
    ) -> Digests:
        if not digests.fit(known):
            # The disk gives other bytes than were stored: a SHA-256 of these would only make it look right.
            _log.warning("xfworker.file_damaged", file=str(resource), expected=str(known), read=str(digests))
            return known
        with suppress(OSError):  # an archive may be read-only: then it is computed anew each time
            self._digests.update(resource, opened.fileno(), status, digests)
        return digests

    def lacks_sha256(self, resource: Resource) -> bool:
        """Whether a file was stored here and its SHA-256 is not known yet; what others put here stays as it is."""
        with suppress(FileError, OSError):
            path = self.layout.file_path(resource)
            digests, stored = self._digests.get(resource, path, path.stat())
            return digests.sha256 is None and digests.xxh3 is not None and digests.xxh3 == stored.xxh3
        return False

    def add_sha256(self, resource: Resource, hasher: FileHash | None = None) -> None:
        """
        Compute the SHA-256 of a file that lacks it; one that is gone or cannot be read is passed over.

        Args:
            resource: The file.
            hasher: Takes the file's bytes, with SHA-256.
        """
        with suppress(FileError, OSError):
            path = self.layout.file_path(resource)
            status = path.stat()
            known, _ = self._digests.get(resource, path, status)
            if known.sha256 is None:
                self._compute_digests(resource, path, status, known, hasher)

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        known, opened = self.open_file(token, resource)
        with disk_errors(f"fetch {resource} to {target}"), opened.file as source:
            require_room(target.parent, known.size, f"fetch {resource}")
            with replacing(target) as partial:
                self._copy(source, partial, known.size, progress)
                verified = _checked(partial, known)
        return verified

    def open_file(
        self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False
    ) -> tuple[FileStat, OpenedFile]:
        token.require("read", resource)
        path = self.layout.file_path(resource)
        with disk_errors(f"read {resource}"), _absent(resource):
            opened = open_source(path)
            try:
                status = os.fstat(opened.fileno())
                direct = self._announced(resource)
                stat = self._stat(resource, path, direct_access_path=direct, status=status, sha256=sha256)
                return stat, OpenedFile(opened)
            except BaseException:
                opened.close()
                raise

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        token.require("write", resource)
        target = self.layout.path(require_file(resource))
        with disk_errors(f"store {source.name} as {resource}"):
            before = source.stat()
            if target.exists() and target.samefile(source):
                return self.register(token, resource, size=before.st_size, sha256=file_sha256(source))
            require_room(self.layout.root, before.st_size, f"store {resource}")
            partial = self.new_partial()
            try:
                with open_source(source) as opened:
                    self._copy(opened, partial, before.st_size, progress)
                require_unchanged(source, before)
                return self.publish(partial, resource, file_digests(partial, sha256=False))
            finally:
                with suppress(OSError):
                    partial.unlink()

    @staticmethod
    def _copy(source: FileIO, partial: Path, size: int, progress: Progress | None) -> None:
        report = progress or (lambda _done, _all: None)
        report(0, size)
        copy_content(source, partial, lambda done: report(done, size), opener=for_owner)
        copied = partial.stat().st_size
        if copied != size:
            raise FileChanged(f"{source.name} changed while it was copied: it had {size} bytes, then {copied}")

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        token.require("read", resource)
        with disk_errors(f"read {resource}"), _absent(resource):
            opened = open_source(self.layout.file_path(resource))
        return OpenedFile(opened).blocks(offset=offset, length=length)

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        token.require("write" if for_writing else "read", resource)
        path = self.layout.path(require_file(resource))
        if for_writing:
            if not self._direct_writes or self._direct_access_root is None:
                return None
            with disk_errors(f"make the folder of {resource}"):
                self.modes.make_folders(path.parent)
        return self._announced(resource)

    def download_url(self, stat: FileStat) -> str | None:  # noqa: ARG002  the port's
        """Files of a folder are read by the service."""
        return None

    def _announced(self, resource: Resource) -> str | None:
        if self._direct_access_root is None:
            return None
        separator = "\\" if is_windows_path(self._direct_access_root) else "/"
        return separator.join((self._direct_access_root.rstrip("/\\"), *resource.segments))

    def register(
        self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str, permit: Permit = nullcontext
    ) -> FileStat:
        token.require("write", resource)
        path = self.layout.file_path(resource)
        with disk_errors(f"register {resource}"), _absent(resource):
            status = path.stat()
            digests = file_digests(path) if status.st_size == size else Digests("not computed")
            if digests.sha256 != sha256 or _etag(path.stat()) != _etag(status):
                raise ChecksumMismatch(
                    f"{resource} is not what was written there: {status.st_size} bytes, SHA-256 {digests.sha256} here, "
                    f"{size} bytes, SHA-256 {sha256} was expected; close the file before it is registered"
                )
            if self._fsync:
                flush_file(path)
                self._flush_names(path)
            with permit():
                if not self._digests.attach(path, status, digests):
                    self._digests.put(resource, status, digests)
            return self._stat(resource, path)

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        token.require("list", folder)
        path = self.layout.path(folder)
        files: list[FileStat] = []
        folders: list[str] = []
        with (
            disk_errors(f"list {folder}"),
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(path) as entries,
        ):
            for entry in entries:
                if entry.name.startswith(PARTIAL_PREFIX) or not is_safe_filename(entry.name):
                    continue
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(_listed(folder.child(entry.name), entry.stat()))
        files.sort(key=lambda stat: stat.resource.filename)
        return Folder(files=tuple(files), folders=tuple(sorted(folders)))

    def delete(self, token: AuthorizationToken, resource: Resource, *, permit: Permit = nullcontext) -> None:
        token.require("delete", resource)
        path = self.layout.file_path(resource)
        with disk_errors(f"delete {resource}"), _absent(resource), permit():
            when_free(path.unlink)
        self._digests.delete(resource)
        self.layout.prune(path.parent)
        self._flush_name_of.cache_clear()  # one that is made anew may have the number of one that went

    def close(self) -> None:
        """Nothing is held open."""

    # --- for servers that receive a file piece by piece -----------------------------------------------------------

    def new_partial(self) -> Path:
        """Give a unique path, on the store's own disk, for a file that is not complete yet."""
        folder = self.layout.private / "incoming"
        with disk_errors("store a file"):
            self.modes.make_folders(folder)
        return partial_path(folder)

    def receive(self, resource: Resource, *, size: int | None = None, sha256: bool = False) -> IncomingFile:
        self.layout.path(require_file(resource))
        partial = self.new_partial()
        if size is not None:
            self.reservations.reserve(partial, size, resource)
        try:
            return IncomingFile(
                str(resource),
                partial,
                lambda partial, digests, permit: self.publish(partial, resource, digests, permit),
                start=FileHash.begin(sha256=sha256),
                # Where nobody said how large it becomes, room is promised block by block.
                coming=(lambda count: self.reservations.reserve(partial, count, resource)) if size is None else None,
                arrived=lambda count: self.reservations.arrived(partial, count),
                closed=lambda: self.reservations.release(partial),
            )
        except BaseException:
            self.reservations.release(partial)
            raise

    def publish(self, partial: Path, resource: Resource, digests: Digests, permit: Permit = nullcontext) -> FileStat:
        """
        Move a complete file from :meth:`new_partial` into the store, under a permit where rights may have ended.

        Raises:
            FileError: The resource is a folder, or lies below a file.
        """
        target = self.layout.path(require_file(resource))
        with disk_errors(f"store {resource}"):
            try:
                status = self._rename(partial, target, resource, digests, permit)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                status = self._rename_across(partial, target, resource, digests, permit)
            if self._fsync:
                self._flush_names(target)
        if digests.sha256 is None:
            self.stored_without_sha256(resource)
        return _listed(resource, status, digests)

    def _flush_names(self, path: Path) -> None:
        """Wait until the name of a file is on the disk, and those of the folders on its way, which may be new."""
        flush_folder(path.parent)
        for folder in path.parents:
            if folder == self.layout.root:
                return
            self._flush_name_of(folder, folder.stat().st_ino)

    def _rename(
        self, partial: Path, target: Path, resource: Resource, digests: Digests, permit: Permit
    ) -> os.stat_result:
        self.modes.set_on_file(partial)
        status = partial.stat()
        is_attached = self._digests.attach(partial, status, digests)
        if self._fsync:
            flush_file(partial)
            flushed = partial.stat()
            if flushed.st_mtime_ns != status.st_mtime_ns:  # the time is the file server's
                status = flushed
                is_attached = self._digests.attach(partial, status, digests)
        while True:
            self._make_parent(target, resource)
            try:
                with _taken_back(target, status), permit():
                    # Before the rename: an entry for a file that is not there yet does no harm, one for another file
                    # would.
                    if not is_attached:
                        self._digests.put(resource, status, digests)
                    rename(partial, target)
            except FileNotFoundError:
                if not partial.exists():
                    raise
                continue  # the folder was just pruned by a delete
            except OSError:
                if target.is_dir():
                    raise FileError(f"cannot store {resource}: there is a folder of this name") from None
                raise
            return status

    def _make_parent(self, target: Path, resource: Resource) -> None:
        try:
            self.modes.make_folders(target.parent)
        except (FileExistsError, NotADirectoryError):
            raise FileError(f"cannot store {resource}: part of its path is a file") from None

    def _rename_across(
        self, partial: Path, target: Path, resource: Resource, digests: Digests, permit: Permit
    ) -> os.stat_result:
        """Publish into a folder of the store that is a mount of its own: bring the file there first."""
        near = partial_path(target.parent)
        try:
            shutil.copy2(partial, near)
            status = self._rename(near, target, resource, digests, permit)
        finally:
            with suppress(OSError):
                near.unlink()
        partial.unlink()
        return status


def _flush_name_of(folder: Path, _: int) -> None:
    flush_folder(folder.parent)


@contextmanager
def _taken_back(target: Path, status: os.stat_result) -> Iterator[None]:
    """Delete a file whose rights ended while it appeared; what another stored by now stays."""
    try:
        yield
    except XFWorkerError:
        with suppress(FileNotFoundError):
            if _etag(target.stat()) == _etag(status):
                target.unlink()
        raise


def _etag(status: os.stat_result) -> str:
    return "-".join(f"{part:x}" for part in file_identity(status))


def _listed(resource: Resource, status: os.stat_result, digests: Digests = _UNKNOWN) -> FileStat:
    return FileStat(
        resource=resource,
        size=status.st_size,
        sha256=digests.sha256,
        xxh3=digests.xxh3,
        etag=_etag(status),
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _checked(copy: Path, known: FileStat) -> FileStat:
    """Compare a copy with what is known of the file, by the quick digest where there is one; give what is known now."""
    algorithm, expected = checking_digest(known)
    digest = hash_file(copy, new_hasher(algorithm)).hexdigest()
    if expected not in {None, digest}:
        raise ChecksumMismatch(
            f"fetching {known.resource}: the copy has {algorithm.upper()} {digest}, the store has {expected}"
        )
    return with_digest(known, algorithm, digest)


@contextmanager
def _absent(resource: Resource) -> Iterator[None]:
    """Turn a file that vanished between two looks into the error for a file that is not there."""
    try:
        yield
    except FileNotFoundError as error:
        # ``filename`` belongs to the store only where it is not the caller's own file.
        if not str(error.filename or "").endswith(resource.filename):
            raise
        raise FileNotInStore(f"the file store holds no file {resource}") from error
