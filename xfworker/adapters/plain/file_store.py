"""A file store over anything that can look at, list, read, write and remove files by path."""

import errno
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import define

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.adapters.transfer.source_file import open_source, require_unchanged
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileError,
    FileNotInStore,
    InvalidFilename,
    NotEnoughSpace,
    ServerUnreachable,
)
from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource
from xfworker.ports.file_store import Progress

_BLOCK = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
"""A file below a file is as absent as one in an absent folder; some libraries say so by the number alone."""
_MOST_DIGESTS = 10_000


@define(frozen=True)
class Found:
    """
    What lies at a path.

    Attributes:
        size: Bytes; 0 for a folder.
        mark: Anything that is another one when the content is, such as the time of the last change.
        is_folder: Whether it is a folder.
    """

    size: int
    mark: object = None
    is_folder: bool = False


class PlainFileStore(ABC):
    """
    Gives the whole :class:`~xfworker.ports.file_store.FileStore` for five operations on plain paths.

    It checks tokens, counts progress, makes digests and sees to it that downloads appear only when complete. What the
    five raise becomes an error of ours: ``FileNotFoundError`` (or an ``OSError`` with its number) says that there is no
    such file or folder, a lost connection that the store cannot be asked, any other ``OSError`` that this file cannot
    be had.

    Paths are relative, with slashes: ``job_result/17/scan.omni``. Their parts are safe file names on every system. The
    operations are called from several threads at once.
    """

    def __init__(self) -> None:
        """Begin with no digest known; a file's is made when it is first asked for, unless it came through here."""
        self._digests: dict[tuple[str, int, object], str] = {}

    @abstractmethod
    def look(self, path: str) -> Found | None:
        """Give what lies at a path; where nothing does, give ``None`` or raise ``FileNotFoundError``."""

    @abstractmethod
    def entries(self, path: str) -> Iterable[tuple[str, Found]]:
        """Give the names in a folder and what each is; of one that is not there nothing, or ``FileNotFoundError``."""

    @abstractmethod
    def read(self, path: str, offset: int) -> Generator[bytes, None, None]:
        """Give a file's bytes from an offset on, from one and the same content however long it takes."""

    @abstractmethod
    def write(self, path: str, blocks: Iterable[bytes]) -> None:
        """
        Store all the blocks as the file's content, in place of what it held; folders are made where needed.

        Readers see the old content or the new one, never a part. When ``blocks`` raises, nothing is stored. Where a
        part of the path above the name is a file, it raises an ``OSError``, as file systems do by themselves.
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file."""

    # --- the port -----------------------------------------------------------------------------------------------

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.stat`."""
        if not token.allows("write", resource):
            token.require("read", resource)
        entry = self._file(resource)
        key = str(resource), entry.size, entry.mark
        if key not in self._digests:
            digest = hashlib.sha256()
            for block in self._blocks(resource):
                digest.update(block)
            self._keep_digest(key, digest.hexdigest())
        return _stat(resource, entry.size, self._digests[key])

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.download`."""
        token.require("read", resource)
        before = self._file(resource)
        with replacing(target) as partial:
            # Closed at once where the transfer is stopped: on some stores an open file cannot be replaced.
            with partial.open("xb") as copy, closing(self._blocks(resource)) as blocks:
                counted = _Counted(blocks, before.size, progress)
                for block in counted:
                    copy.write(block)
            after = self._file(resource)
            if (before.size, before.mark) == (after.size, after.mark):
                if counted.done != after.size:
                    raise ChecksumMismatch(
                        f"{resource}: {counted.done} bytes came of a file of {after.size} bytes; nothing was kept"
                    )
                self._keep_digest((str(resource), after.size, after.mark), counted.sha256)
        return _stat(resource, counted.done, counted.sha256)

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.upload`."""
        token.require("write", resource)
        entry = self._look(resource)
        if len(resource.segments) == 1 or (entry is not None and entry.is_folder):
            raise InvalidFilename(f"{resource} is a folder of the file store; name a file in it")
        counted = _Counted(_read_unchanged(source), source.stat().st_size, progress)
        with _our_errors(resource):
            self.write(str(resource), counted)
        written = self._look(resource)
        if written is not None and written.size == counted.done:
            self._keep_digest((str(resource), written.size, written.mark), counted.sha256)
        return _stat(resource, counted.done, counted.sha256)

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """See :meth:`xfworker.ports.file_store.FileStore.open_read`."""
        token.require("read", resource)
        left = max(self._file(resource).size - offset, 0) if length is None else length
        if not left:
            return
        with closing(self._blocks(resource, offset)) as blocks:
            for block in blocks:
                yield block[:left]
                left -= len(block)
                if left <= 0:
                    return

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        """See :meth:`xfworker.ports.file_store.FileStore.direct_access_path`; there is none unless you give one."""
        token.require("write" if for_writing else "read", resource)
        return None

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.register`."""
        token.require("write", resource)
        stat = self.stat(token, resource)
        if (stat.size, stat.sha256) != (size, sha256):
            raise ChecksumMismatch(f"{resource} holds another content than was written; store it again")
        return stat

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        """See :meth:`xfworker.ports.file_store.FileStore.list`."""
        token.require("list", folder)
        try:
            with _our_errors(folder):
                entries = sorted(self.entries(str(folder)), key=lambda item: item[0])
        except FileNotInStore:
            return Folder()
        return Folder(
            files=tuple(
                FileStat(resource=folder.child(name), size=item.size) for name, item in entries if not item.is_folder
            ),
            folders=tuple(name for name, item in entries if item.is_folder),
        )

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        """See :meth:`xfworker.ports.file_store.FileStore.delete`."""
        token.require("delete", resource)
        self._file(resource)
        with _our_errors(resource):
            self.remove(str(resource))

    def close(self) -> None:
        """Drop the known digests; override it to let go of connections."""
        self._digests.clear()

    # --- inside -------------------------------------------------------------------------------------------------

    def _look(self, resource: Resource) -> Found | None:
        try:
            with _our_errors(resource):
                return self.look(str(resource))
        except FileNotInStore:
            return None

    def _file(self, resource: Resource) -> Found:
        entry = self._look(resource)
        if entry is None or entry.is_folder:
            raise FileNotInStore(f"{resource} is not in the file store")
        return entry

    def _blocks(self, resource: Resource, offset: int = 0) -> Generator[bytes, None, None]:
        with _our_errors(resource), closing(self.read(str(resource), offset)) as blocks:
            for block in blocks:
                for start in range(0, len(block), _BLOCK):
                    yield block[start : start + _BLOCK]

    def _keep_digest(self, key: tuple[str, int, object], digest: str) -> None:
        if len(self._digests) >= _MOST_DIGESTS:
            self._digests.clear()
        self._digests[key] = digest


class _Counted:
    """Blocks on their way: counted, hashed, and reported."""

    def __init__(self, blocks: Iterable[bytes], total: int, progress: Progress | None) -> None:
        self._blocks = blocks
        self._total = total
        self._progress: Callable[[int, int], None] | None = progress
        self._digest = hashlib.sha256()
        self.done = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            yield block
            self._digest.update(block)
            self.done += len(block)
            if self._progress is not None:
                self._progress(self.done, max(self._total, self.done))

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _read_unchanged(source: Path) -> Iterator[bytes]:
    before = source.stat()
    with open_source(source) as content:
        while block := content.read(_BLOCK):
            yield block
    require_unchanged(source, before)


def _stat(resource: Resource, size: int, sha256: str) -> FileStat:
    return FileStat(resource=resource, size=size, sha256=sha256, etag=f'"{sha256}"')


@contextmanager
def _our_errors(resource: Resource) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise ServerUnreachable(f"{resource}: the file store cannot be asked: {error}") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in _ABSENT:
            raise FileNotInStore(f"{resource} is not in the file store") from error
        kind = NotEnoughSpace if error.errno in _NO_SPACE else FileError
        raise kind(f"{resource}: the file store says: {error.strerror or error}") from error
