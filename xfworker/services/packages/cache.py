"""Packages on this computer, fetched from the server once each."""

import re
import shutil
import tempfile
import threading
from pathlib import Path

from xfworker.domain.errors import FileError, InvalidFilename, PackageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import Scope
from xfworker.domain.package import PACKAGE
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.packages.archive import unpack
from xfworker.services.packages.checkin import PackageRecord, archive_resource, file_sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")


class PackageCache:
    """
    A folder of unpacked packages, named for their content, so that it can be shared by workers and servers.

    A package appears under its name when it is complete. Safe to use from several threads and processes.
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
            FileError: It could not be fetched.
        """
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
            if not folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                scratch = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self._folder))
                try:
                    archive = scratch / "package.xfp"
                    files.download(server.file_token([Scope("read", resource)]), resource, archive)
                    if file_sha256(archive) != digest:
                        raise PackageError(f"{record.name} {record.version}: the archive is not what was checked in")
                    (scratch / name).mkdir()
                    unpack(archive, scratch / name)
                    self._publish(scratch / name, folder)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def _publish(self, unpacked: Path, folder: Path) -> None:
        try:
            unpacked.rename(folder)
        except OSError as error:
            # Another process was quicker; its copy has the same content.
            if not folder.is_dir():
                raise FileError(f"the package could not be put at {folder}: {error.strerror}") from error

    def _lock_of(self, name: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(name, threading.Lock())
