"""Packages on this computer, fetched from the server once each."""

import re
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from xfworker.domain.errors import FileError, InvalidFilename, PackageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import Scope
from xfworker.domain.package import PACKAGE
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.files_in_use import when_free
from xfworker.services.packages.archive import unpack
from xfworker.services.packages.checkin import PackageRecord, archive_resource, file_sha256
from xfworker.services.packages.manifest import is_whole, write_manifest
from xfworker.services.packages.read_only import make_read_only, remove_read_only

_INCOMING, _DAMAGED = ".incoming-", ".damaged-"
_SWEPT_AFTER_SECONDS = 7 * 24 * 3600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PackageCache:
    """
    A folder of unpacked packages, named for their content, so that it can be shared by workers and servers.

    A package appears under its name when it is complete, and is read-only to jobs. One that lost or changed a file is
    fetched again. Safe to use from several threads and processes.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when it is first needed."""
        self._folder = folder
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, server: XFServer, files: FileStore, record: PackageRecord) -> Path:
        """
        Give the folder with a package's files, fetching it where it is not here yet.

        Raises:
            PackageError: The record has no package, or what arrived is not what was checked in.
            FileError: It could not be fetched, or this computer's disk did not take it.
        """
        try:
            return self._got(server, files, record)
        except OSError as error:
            raise FileError(
                f"cannot put the package {record.name} {record.version} into {self._folder}: "
                f"{error.strerror or error}; make room there, or set another folder, and try again"
            ) from error

    def _got(self, server: XFServer, files: FileStore, record: PackageRecord) -> Path:
        resource = archive_resource(record)
        digest = record.metadata[PACKAGE].get("sha256")
        if not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
            raise PackageError(f"{record} has no SHA-256 of its package; check it in again")
        name = f"{record.name}-{record.version}-{digest[:16]}"
        try:
            # The name comes from a record, and must not lead out of this folder.
            folder = self._folder / check_filename(name, what=f"name and version of {record.noun} {record.serial}")
        except InvalidFilename as error:
            raise PackageError(f"the package cannot be unpacked: {error}") from None
        with self._lock_of(name):
            if folder.is_dir() and not is_whole(folder):
                self._set_aside(folder)
            if not folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._sweep()
                scratch = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self._folder))
                try:
                    archive = scratch / "package.xfp"
                    files.download(server.file_token([Scope("read", resource)]), resource, archive)
                    if file_sha256(archive) != digest:
                        raise PackageError(f"{record.name} {record.version}: the archive is not what was checked in")
                    unpack(archive, scratch / name)
                    write_manifest(scratch / name)
                    self._publish(scratch / name, folder)
                    make_read_only(folder)
                finally:
                    remove_read_only(scratch)
        return folder

    def _sweep(self) -> None:
        """Remove what processes left that were killed, or whose disk failed, while they unpacked."""
        limit = time.time() - _SWEPT_AFTER_SECONDS
        for path in (*self._folder.glob(f"{_INCOMING}*"), *self._folder.glob(f"{_DAMAGED}*")):
            with suppress(OSError):
                if path.lstat().st_mtime < limit:
                    remove_read_only(path)

    def _set_aside(self, damaged: Path) -> None:
        aside = Path(tempfile.mkdtemp(prefix=_DAMAGED, dir=self._folder))
        # A folder that is read-only cannot be moved.
        damaged.chmod(stat.S_IRWXU)
        with suppress(OSError):  # another process was quicker
            when_free(lambda: damaged.rename(aside / damaged.name))
        remove_read_only(aside)

    def _publish(self, unpacked: Path, folder: Path) -> None:
        try:
            when_free(lambda: unpacked.rename(folder))
        except OSError as error:
            # Another process was quicker; its copy has the same content.
            if not folder.is_dir():
                raise FileError(f"the package could not be put at {folder}: {error.strerror}") from error

    def _lock_of(self, name: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(name, threading.Lock())
