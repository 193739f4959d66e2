"""Files of a folder store for what has to read in the middle of them."""

import os
from pathlib import Path
from threading import Lock

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.source_file import file_identity
from xfworker.domain.errors import FileNotInStore
from xfworker.domain.files import AuthorizationToken, Resource, Scope

_KNOWN_AT_MOST = 1024


class FolderLocalFiles:
    """The ``LocalFiles`` port over a folder store; safe for threads."""

    def __init__(self, store: FolderFileStore) -> None:
        """Take the store."""
        self._store = store
        self._known: dict[Resource, tuple[object, str]] = {}
        self._lock = Lock()

    def local_path(self, resource: Resource) -> Path:
        """Give the path of a file; see the port."""
        return self._store.layout.file_path(resource)

    def content_id(self, resource: Resource) -> str:
        """Name the content of a file; see the port."""
        path = self.local_path(resource)
        with disk_errors(f"look at {resource}"):
            try:
                identity = file_identity(os.stat(path))  # noqa: PTH116  as cheap as can be, for every tile
            except FileNotFoundError:
                raise FileNotInStore(f"the file store holds no file {resource}") from None
        known = self._known.get(resource)
        if known is not None and known[0] == identity:
            return known[1]
        token = AuthorizationToken(url="", token="", scopes=(Scope("read", resource),))
        stat = self._store.stat(token, resource)
        content = stat.xxh3 or stat.sha256 or f"{stat.size}-{stat.etag}"
        with self._lock:
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            self._known[resource] = identity, content
        return content
