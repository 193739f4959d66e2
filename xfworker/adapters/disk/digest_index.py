"""Keeps the digests of files, so that a file need not be read again for them."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xfworker.adapters.disk.file_modes import FileModes
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.domain.digests import Digests
from xfworker.domain.files import Resource


class DigestIndex:
    """
    One small JSON file per file of the store, valid as long as size and time of the file are those of the entry.

    Losing an entry costs a reading of the file, never its correctness. Several processes may use one index.
    """

    def __init__(self, folder: Path, modes: FileModes) -> None:
        self._folder = folder
        self._modes = modes

    def put(self, resource: Resource, status: os.stat_result, digests: Digests) -> None:
        """Keep the digests of a file that was stored with this size and time."""
        self._write(resource, status, digests, stored=digests.sha256)

    def update(self, resource: Resource, status: os.stat_result, digests: Digests) -> None:
        """Replace the digests by those that were computed now; the entry keeps the digest of what was stored."""
        self._write(resource, status, digests, stored=_digest(self._read(resource), "stored"))

    def get(self, resource: Resource, status: os.stat_result) -> tuple[Digests, str | None]:
        """
        Give the digests of a file, unknown ones where it is another by now or has no entry, and the SHA-256 of what
        was last stored under this name, whatever the file has become since.
        """
        entry = self._read(resource)
        same = (entry.get("size"), entry.get("modified")) == (status.st_size, _ticks(status))
        digests = Digests(_digest(entry, "sha256"), _digest(entry, "xxh3")) if same else Digests()
        return digests, _digest(entry, "stored")

    def _write(self, resource: Resource, status: os.stat_result, digests: Digests, *, stored: str | None) -> None:
        entry = {
            "resource": str(resource),
            "size": status.st_size,
            "modified": _ticks(status),
            "sha256": digests.sha256,
            "xxh3": digests.xxh3,
            "stored": stored,
        }
        path = self._path(resource)
        self._modes.make_folders(path.parent)
        with replacing(path) as partial:
            partial.write_text(json.dumps(entry), encoding="utf-8")

    def _read(self, resource: Resource) -> dict[str, Any]:
        try:
            entry = json.loads(self._path(resource).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return entry if isinstance(entry, dict) and entry.get("resource") == str(resource) else {}

    def delete(self, resource: Resource) -> None:
        with suppress(OSError):
            self._path(resource).unlink()

    def _path(self, resource: Resource) -> Path:
        name = hashlib.sha256(str(resource).encode()).hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.json"


def _digest(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None


def _ticks(status: os.stat_result) -> int:
    """Give the time of the last change in units of 100 ns, the finest that every file system keeps."""
    return status.st_mtime_ns // 100
