"""Files of a folder store for what has to read in the middle of them."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.source_file import file_identity
from xfworker.domain.errors import FileError, FileNotInStore
from xfworker.domain.files import Resource, own_token
from xfworker.domain.image.series import may_be_of_series, require_image_folder, series_member

_KNOWN_AT_MOST: Final = 1024
_KNOWN_SECONDS: Final = 2.0
"""So long what many files hold is taken to be what it was: it is asked for with every tile."""
_KNOWN_TIMES: Final = 20
"""And so many times as long as it took to look."""

_Known = TypeVar("_Known")


class FolderLocalFiles:
    """The ``LocalFiles`` port over a folder store; safe for threads."""

    def __init__(self, store: FolderFileStore) -> None:
        """Take the store."""
        self._store = store
        self._known: dict[Resource, tuple[object, str]] = {}
        self._looked: dict[Resource, tuple[float, str]] = {}
        self._lock = Lock()

    def local_path(self, resource: Resource) -> Path:
        """Give the path of a file, a folder or of the file that names a series; see the port."""
        path = self._store.layout.path(resource)
        with disk_errors(f"look at {resource}"):
            if path.is_dir():
                require_image_folder(resource)
                return path
        member = series_member(resource)
        if member is not None and not path.is_file():
            return self._store.layout.file_path(member)
        return self._store.layout.file_path(resource)

    def content_id(self, resource: Resource) -> str:
        """Name the content of a file, a folder or a series; see the port."""
        path = self.local_path(resource)
        if path.is_dir() or path.name != resource.filename:
            return self._content_of_many(resource, path)
        with disk_errors(f"look at {resource}"):
            try:
                identity = file_identity(os.stat(path))  # noqa: PTH116  as cheap as can be, for every tile
            except FileNotFoundError:
                raise FileNotInStore(f"the file store holds no file {resource}") from None
        known = self._known.get(resource)
        if known is not None and known[0] == identity:
            return known[1]
        token = own_token(("read",), resource)
        stat = self._store.stat(token, resource)
        content = stat.xxh3 or stat.sha256 or f"{stat.size}-{stat.etag}"
        self._keep(self._known, resource, (identity, content))
        return content

    def _content_of_many(self, resource: Resource, path: Path) -> str:
        begun = time.monotonic()
        looked = self._looked.get(resource)
        if looked is not None and begun < looked[0]:
            return looked[1]
        digest = hashlib.sha256()
        with disk_errors(f"look at {resource}"):
            entries = _files_below(path) if path.is_dir() else _files_beside(path)
            for name, entry in sorted(entries):
                if entry.is_symlink():
                    raise FileError(f"{resource}: {name} is a link, which is not followed in the file store; remove it")
                digest.update(f"{name}/{file_identity(entry.stat())}\n".encode("utf-8", "surrogatepass"))
        now = time.monotonic()
        content = digest.hexdigest()
        self._keep(self._looked, resource, (now + max(_KNOWN_SECONDS, _KNOWN_TIMES * (now - begun)), content))
        return content

    def _keep(self, known: dict[Resource, _Known], resource: Resource, content: _Known) -> None:
        with self._lock:
            if len(known) >= _KNOWN_AT_MOST:
                known.clear()
            known[resource] = content


def _files_below(folder: Path, above: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(folder / entry.name, f"{above}{entry.name}/")
            else:
                yield f"{above}{entry.name}", entry


def _files_beside(path: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if may_be_of_series(entry.name, path.name) and not entry.is_dir(follow_symlinks=False):
                yield entry.name, entry
