"""A store that is written to, over others that are only read: an archive under the daily store."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from xfworker.domain.errors import FileError, FileNotInStore
from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource
from xfworker.ports.file_store import FileStore, Progress

ResultT = TypeVar("ResultT")


class LayeredFileStore:
    """
    Several file stores as one.

    Everything new goes to the writable store. A file is looked for there first and then in each archive, so a new file
    hides an archived one of the same name; the archives themselves are never changed.
    """

    def __init__(self, writable: FileStore, archives: Sequence[FileStore]) -> None:
        """
        Take the stores.

        Args:
            writable: Where files are stored and deleted.
            archives: Where files are looked for besides, in this order.
        """
        self._writable = writable
        self._layers = (writable, *archives)

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        return self._first(lambda store: store.stat(token, resource))

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        return self._first(lambda store: store.download(token, resource, target, progress=progress))

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        return self._first(lambda store: store.open_read(token, resource, offset=offset, length=length))

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        if for_writing:
            return self._writable.direct_access_path(token, resource, for_writing=True)
        return self._first(lambda store: store.stat(token, resource)).direct_access_path

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        return self._writable.upload(token, source, resource, progress=progress)

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        return self._writable.register(token, resource, size=size, sha256=sha256)

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        files: dict[str, FileStat] = {}
        folders: set[str] = set()
        for store in self._layers:
            listing = store.list(token, folder)
            for stat in listing.files:
                files.setdefault(stat.resource.filename, stat)
            folders.update(listing.folders)
        return Folder(files=tuple(files[name] for name in sorted(files)), folders=tuple(sorted(folders)))

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        try:
            self._writable.delete(token, resource)
        except FileNotInStore:
            self._first(lambda store: store.stat(token, resource))
            raise FileError(f"cannot delete {resource}: it lies in an archive that is only read") from None

    def close(self) -> None:
        for store in self._layers:
            store.close()

    def _first(self, ask: Callable[[FileStore], ResultT]) -> ResultT:
        for store in self._layers[:-1]:
            try:
                return ask(store)
            except FileNotInStore:
                continue
        return ask(self._layers[-1])
