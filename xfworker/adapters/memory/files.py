"""A file store that loses everything with the process, for tests and for trying things out."""

import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import define

from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.adapters.transfer.source_file import open_source, require_unchanged
from xfworker.domain.errors import ChecksumMismatch, FileError, FileNotInStore, InvalidFilename
from xfworker.domain.files import USERDATA, AuthorizationToken, FileStat, Folder, Resource
from xfworker.ports.file_store import Progress

_BLOCK = 1 << 20


@define(frozen=True)
class _Stored:
    content: bytes
    stat: FileStat


class MemoryFileStore:
    """Files in memory, under the same rules as every other store. Safe to use from several threads."""

    def __init__(self) -> None:
        self._files: dict[Resource, _Stored] = {}
        self._below: dict[tuple[str, ...], dict[Resource, None]] = {}
        self._lock = threading.Lock()
        self._versions = 0
        self._process = os.getpid()

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        if not token.allows("write", resource):
            token.require("read", resource)
        return self._get(resource).stat

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        token.require("read", resource)
        stored = self._get(resource)
        with disk_errors(f"fetch {resource} to {target}"), replacing(target) as partial:
            partial.write_bytes(stored.content)
        if progress:
            progress(stored.stat.size, stored.stat.size)
        return stored.stat

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        token.require("write", resource)
        with disk_errors(f"store {source.name} as {resource}"):
            before = source.stat()
            with open_source(source) as opened:
                content = opened.read()
            require_unchanged(source, before)
        stat = self.put(resource, content)
        if progress:
            progress(stat.size, stat.size)
        return stat

    def put(self, resource: Resource, content: bytes) -> FileStat:
        """
        Store bytes, for those who set the store up; no token is asked for.

        Raises:
            InvalidFilename: The resource is a folder.
            FileError: Part of the path is a file, or there is a folder of this name.
        """
        if len(resource.segments) < (2 if resource.source == USERDATA else 3):
            raise InvalidFilename(f"{resource} is a folder of the file store; name a file in it")
        if os.getpid() != self._process:
            raise FileError(
                f"cannot store {resource}: this process was forked from the one that keeps the files in its memory, so "
                "the file would be lost with this process; store it there, or use a server in a process of its own "
                "(server.kind = 'embedded', or xfworker run)"
            )
        sha256 = hashlib.sha256(content).hexdigest()
        with self._lock:
            for other in (*map(Resource, _folders(resource)[1:]), *self._below.get(resource.segments, ())):
                if other in self._files:
                    raise FileError(f"cannot store {resource}: {other} is in the way")
            self._versions += 1
            stat = FileStat(
                resource=resource,
                size=len(content),
                sha256=sha256,
                etag=f"{self._versions:x}-{sha256[:16]}",
                modified_at=datetime.now(UTC),
            )
            self._files[resource] = _Stored(content, stat)
            for folder in _folders(resource):
                self._below.setdefault(folder, {})[resource] = None
        return stat

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        token.require("read", resource)
        content = self._get(resource).content
        end = len(content) if length is None else min(len(content), offset + length)
        return (content[start : min(start + _BLOCK, end)] for start in range(offset, end, _BLOCK))

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        token.require("write" if for_writing else "read", resource)
        return None

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        token.require("write", resource)
        stat = self._get(resource).stat
        if (stat.size, stat.sha256) != (size, sha256):
            raise ChecksumMismatch(f"{resource} is not what was written there")
        return stat

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        token.require("list", folder)
        depth = len(folder.segments)
        with self._lock:
            below = [self._files[resource].stat for resource in self._below.get(folder.segments, ())]
        files = [stat for stat in below if len(stat.resource.segments) == depth + 1]
        folders = {stat.resource.segments[depth] for stat in below if len(stat.resource.segments) > depth + 1}
        return Folder(
            files=tuple(sorted(files, key=lambda stat: stat.resource.filename)), folders=tuple(sorted(folders))
        )

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        token.require("delete", resource)
        with self._lock:
            if self._files.pop(resource, None) is None:
                raise FileNotInStore(f"the file store holds no file {resource}")
            for folder in _folders(resource):
                del self._below[folder][resource]

    def close(self) -> None:
        """Nothing is held open."""

    def _get(self, resource: Resource) -> _Stored:
        with self._lock:
            stored = self._files.get(resource)
        if stored is None:
            raise FileNotInStore(f"the file store holds no file {resource}")
        return stored


def _folders(resource: Resource) -> list[tuple[str, ...]]:
    return [resource.segments[:depth] for depth in range(1, len(resource.segments))]
