"""Keeps the digests of files, so that a file need not be read again for them."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xfworker.adapters.disk import digest_attribute
from xfworker.adapters.disk.digest_attribute import ticks
from xfworker.adapters.disk.file_modes import FileModes
from xfworker.adapters.transfer.partial_file import replace_text
from xfworker.domain.digests import Digests
from xfworker.domain.files import Resource

_UNKNOWN = Digests()


class DigestIndex:
    """
    What is known of each file, valid as long as size and time of the file are those of the entry.

    It stands in an attribute of the file itself where the file system has such, which comes and goes with the file and
    costs next to nothing; else in one small JSON file per file of the store. The JSON file is there as well once the
    SHA-256 is known: it still says what was stored when another file was put into the place of the one with the
    attribute. Losing an entry costs a reading of the file, never its correctness. Several processes may use one index.
    """

    def __init__(self, folder: Path, modes: FileModes) -> None:
        self._folder = folder
        self._modes = modes

    def attach(self, path: Path, status: os.stat_result, digests: Digests) -> bool:
        """Keep the digests of a file, stored or about to be, with it; say whether its file system can do that."""
        return digest_attribute.write(path, status, digests)

    def put(self, resource: Resource, status: os.stat_result, digests: Digests) -> None:
        """Keep the digests of a file that was stored with this size and time beside it."""
        self._write(resource, status, digests, stored=digests)

    def update(self, resource: Resource, opened: int, status: os.stat_result, digests: Digests) -> None:
        """
        Replace the digests by those that were computed now; the entry keeps the digests of what was stored.

        Where it is what was stored, they belong to that as well. The file is named by its descriptor, because another
        may have its name by now.
        """
        _, stored = self.get(resource, opened, status)
        is_stored = stored.xxh3 is not None and stored.xxh3 == digests.xxh3
        if is_stored:
            digest_attribute.write(opened, status, digests)
        self._write(resource, status, digests, stored=digests if is_stored else stored)

    def get(self, resource: Resource, path: Path | int, status: os.stat_result) -> tuple[Digests, Digests]:
        """
        Give the digests of a file, unknown ones where it is another by now or has no entry, and those of what was last
        stored under this name, whatever the file has become since.
        """
        attached = digest_attribute.read(path)
        if attached is not None and attached.is_of(status):
            return attached.digests, attached.digests
        entry = self._read(resource)
        same = (entry.get("size"), entry.get("modified")) == (status.st_size, ticks(status))
        digests = Digests(_digest(entry, "sha256"), _digest(entry, "xxh3")) if same else _UNKNOWN
        stored = Digests(_digest(entry, "stored"), _digest(entry, "stored_xxh3"))
        return digests, stored if attached is None else attached.digests

    def _write(self, resource: Resource, status: os.stat_result, digests: Digests, *, stored: Digests) -> None:
        entry = {
            "resource": str(resource),
            "size": status.st_size,
            "modified": ticks(status),
            "sha256": digests.sha256,
            "xxh3": digests.xxh3,
            "stored": stored.sha256,
            "stored_xxh3": stored.xxh3,
        }
        path = self._path(resource)
        self._modes.make_folders(path.parent)
        replace_text(path, json.dumps(entry))

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
