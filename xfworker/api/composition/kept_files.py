"""The files of a server for backups, one by one: those of a folder, and those of a bucket."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from attrs import define

from xfworker.adapters.disk.file_modes import FileModes
from xfworker.adapters.disk.store_layout import PRIVATE_FOLDER
from xfworker.adapters.transfer.hashing import file_sha256
from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, flush_file, flush_folder
from xfworker.api.composition.platform import PlatformStorage, file_store
from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileError, FileNotInStore
from xfworker.domain.files import own_token, parse_resource
from xfworker.services.files_in_use import when_free

if TYPE_CHECKING:
    from xfworker.adapters.s3.served_files import S3ServedFiles

_BLOCK = 1 << 20
_PRIVATE = FileModes()


class KeptFiles(Protocol):
    """What a backup needs of a server's files; names are paths with ``/``."""

    def names(self) -> Iterator[str]:
        """Give every file, in order."""
        ...

    def copy_to(self, name: str, target: Path) -> tuple[str, int] | None:
        """Copy a file and give its SHA-256 and size, or ``None`` where it was removed meanwhile."""
        ...

    def put_back(self, source: Path, name: str) -> None:
        """Store a file of a backup, unless it is there already."""
        ...

    def move_away(self, kept: set[str]) -> None:
        """Move all other files to where no client finds them; then all that was put back and moved is on the disk."""
        ...


def kept_files(storage: PlatformStorage) -> KeptFiles:
    """
    Give the files of a storage location.

    Raises:
        ConfigurationError: The bucket is not there.
        AuthenticationFailed: It does not accept the credentials.
        ServerUnreachable: The object store does not answer.
    """
    root = storage.files_path
    if root is not None:
        return _FolderFiles(root, storage.data / "replaced")
    files = file_store(storage)
    return _BucketFiles(files)  # type: ignore[arg-type]  # without a folder it is a bucket


def _refuse(error: OSError) -> NoReturn:
    # A folder that cannot be listed would be missing in the backup, and nobody would know.
    raise FileError(f"cannot list the stored files: {error.strerror or error} ({error.filename})") from error


@define(frozen=True)
class _FolderFiles:
    _root: Path
    _replaced: Path

    def names(self) -> Iterator[str]:
        for parent, folders, names in os.walk(self._root, onerror=_refuse):
            here = Path(parent)
            folders[:] = sorted(name for name in folders if here != self._root or name != PRIVATE_FOLDER)
            for path in (here / name for name in sorted(names) if not name.startswith(PARTIAL_PREFIX)):
                if path.is_file() and not path.is_symlink():
                    yield path.relative_to(self._root).as_posix()

    def copy_to(self, name: str, target: Path) -> tuple[str, int] | None:
        source = self._root / name
        digest, size = hashlib.sha256(), 0
        try:
            with source.open("rb") as reading:
                _PRIVATE.make_folders(target.parent)
                target.touch(mode=0o600, exist_ok=False)
                with target.open("wb") as writing:
                    while block := reading.read(_BLOCK):
                        digest.update(block)
                        size += len(block)
                        writing.write(block)
        except FileNotFoundError:
            return None
        shutil.copystat(source, target) if source.exists() else None
        flush_file(target)
        return digest.hexdigest(), size

    def put_back(self, source: Path, name: str) -> None:
        target = self._root / name
        same_size = target.exists() and target.stat().st_size == source.stat().st_size
        if same_size and file_sha256(target) == file_sha256(source):
            return
        partial = target.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(8)}")
        try:
            modes = FileModes.as_of(source)
            modes.make_folders(target.parent)
            partial.touch(mode=0o600)
            shutil.copy2(source, partial)
            modes.set_on_file(partial)  # a backup that was copied may have got wider modes
            flush_file(partial)
            when_free(lambda: partial.replace(target))
        finally:
            partial.unlink(missing_ok=True)

    def move_away(self, kept: set[str]) -> None:
        aside = self._replaced / _stamp()
        for name in list(self.names()) if self._root.exists() else []:
            if name not in kept:
                _PRIVATE.make_folders((aside / name).parent)
                shutil.move(self._root / name, aside / name)
        for folder in (self._root, self._replaced):
            flush_folders(folder)


def flush_folders(root: Path) -> None:
    """Wait until the names in a folder, and in those below it, are on the disk."""
    for parent, _, _ in os.walk(root):
        flush_folder(Path(parent))


@define(frozen=True)
class _BucketFiles:
    _files: "S3ServedFiles"

    def names(self) -> Iterator[str]:
        yield from sorted(map(str, self._files.resources()))

    def copy_to(self, name: str, target: Path) -> tuple[str, int] | None:
        resource = parse_resource(name)
        digest, size = hashlib.sha256(), 0
        try:
            stat, opened = self._files.open_file(own_token(("read",), resource), resource)
        except FileNotInStore:
            return None
        _PRIVATE.make_folders(target.parent)
        target.touch(mode=0o600, exist_ok=False)
        with target.open("wb") as writing:
            for block in opened.blocks(offset=0, length=stat.size):
                digest.update(block)
                size += len(block)
                writing.write(block)
        flush_file(target)
        return digest.hexdigest(), size

    def put_back(self, source: Path, name: str) -> None:
        resource = parse_resource(name)
        expected, size = file_sha256(source), source.stat().st_size
        try:
            stat = self._files.stat(own_token(("read",), resource), resource)
            if stat.size == size:
                stat = self._files.stat(own_token(("read",), resource), resource, sha256=True)
            if (stat.size, stat.sha256) == (size, expected):
                return
        except FileNotInStore:
            pass
        incoming = self._files.receive(resource, size=size, sha256=True)
        try:
            with source.open("rb") as reading:
                while block := reading.read(_BLOCK):
                    incoming.write(block)
            incoming.publish(nullcontext, size=size, expected=Digests(sha256=expected))
        finally:
            incoming.discard()

    def move_away(self, kept: set[str]) -> None:
        stamp = _stamp()
        for name in list(self.names()):
            if name not in kept:
                self._files.move_aside(parse_resource(name), stamp)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
