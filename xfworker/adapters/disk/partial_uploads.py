"""Uploads that take several requests: what has arrived outlives a cut link and a restarted server."""

import os
import secrets
import shutil
import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.incoming_file import IncomingFile
from xfworker.adapters.disk.reservations import Reservations
from xfworker.adapters.transfer.hashing import FileHash, hash_file
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.partial_file import replace_text
from xfworker.adapters.transfer.upload_description import (
    SweepTimes,
    UploadDescription,
    no_such_upload,
    require_identifier,
)
from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileError, FileNotInStore, JobAborted, LeaseLost, PermissionDenied
from xfworker.domain.files import FileStat, Resource, require_file
from xfworker.ports.served_files import Permit

_INFO = "info.json"
_DATA = "data"
_TURN = "turn"


@define(kw_only=True)
class PartialUpload(UploadDescription):
    """
    An upload that is under way, or was completed a short while ago.

    Attributes:
        folder: Where its data and description lie.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """The file that grows."""
        return self.folder / _DATA

    @property
    def offset(self) -> int:
        """Bytes received so far."""
        if self.completed is not None:
            return self.size
        with disk_errors(f"go on storing {self.resource}"):
            try:
                return self.data.stat().st_size
            except FileNotFoundError:
                return 0

    def save(self) -> None:
        """Write the description."""
        replace_text(self.folder / _INFO, self.to_text())


@define
class _Running:
    """
    Hash objects, kept in memory between two requests: of all that arrived, and of the verified part.

    Another process may have gone on with the upload meanwhile, and even have come back to the same offset.
    """

    offset: int
    changed_ns: int
    hash: FileHash
    verified: int = 0
    verified_hash: FileHash | None = None


@define
class PartialUploads:
    """
    The uploads under way into a folder store.

    Any process that serves the folder can go on with any of them, at the cost of reading what has arrived once more.

    Attributes:
        lifetime_seconds: How long an upload is kept after its last byte.
    """

    _store: FolderFileStore
    lifetime_seconds: float = 24 * 3600.0
    _running: dict[str, _Running] = field(factory=dict, init=False)
    _sweeps: SweepTimes = field(factory=SweepTimes, init=False)
    _are_known: bool = field(default=False, init=False)

    @property
    def _folder(self) -> Path:
        return self._store.layout.private / "uploads"

    def create(self, resource: Resource, size: int, *, metadata: str, sha256: str | None) -> PartialUpload:
        self._store.layout.path(require_file(resource))
        self._reserve_for_those_under_way()
        identifier = secrets.token_hex(16)
        folder = self._folder / identifier
        upload = PartialUpload(
            identifier=identifier, folder=folder, resource=resource, size=size, metadata=metadata, sha256=sha256
        )
        self._store.reservations.reserve(identifier, size, resource)
        try:
            with disk_errors(f"store {resource}"):
                self._store.modes.make_folders(folder)
                upload.data.touch(mode=0o600, exist_ok=False)
                upload.save()
        except BaseException:
            self.remove(upload)
            raise
        return upload

    def _reserve_for_those_under_way(self) -> None:
        """Keep room for what began before this process did."""
        if self._are_known:
            return
        self._are_known = True
        with suppress(OSError):
            for folder in self._folder.iterdir():
                with suppress(FileNotInStore):
                    upload = self.load(folder.name)
                    if upload.completed is None:
                        self._store.reservations.set_missing(upload.identifier, upload.size - upload.offset)

    def load(self, identifier: str) -> PartialUpload:
        require_identifier(identifier)
        folder = self._folder / identifier
        try:
            return PartialUpload.from_text(identifier, (folder / _INFO).read_text(encoding="utf-8"), folder=folder)
        except (OSError, ValueError):
            raise no_such_upload() from None

    def open(self, upload: PartialUpload) -> IncomingFile:
        offset = upload.offset
        self._store.reservations.reserve(upload.identifier, upload.size - offset, upload.resource)
        running = self._running.get(upload.identifier)
        with disk_errors(f"store {upload.resource}"):
            if not offset:
                # A file that was published, and then not kept as complete, left nothing to go on with.
                upload.data.touch(mode=0o600)
            if running is None or (running.offset, running.changed_ns) != (offset, _changed_ns(upload)):
                running = self._running[upload.identifier] = self._read_again(upload, offset)
            return IncomingFile(
                str(upload.resource),
                upload.data,
                lambda partial, digests, permit: self._store.publish(partial, upload.resource, digests, permit),
                size=offset,
                start=running.hash,
                resume=True,
                arrived=_Turn.take(upload, self._store.reservations).arrived,
            )

    @staticmethod
    def _read_again(upload: PartialUpload, offset: int) -> _Running:
        verified = min(upload.verified, offset)
        start = FileHash.begin(sha256=upload.sha256 is not None)
        verified_hash = hash_file(upload.data, start, length=verified)
        received = hash_file(upload.data, verified_hash.copy(), offset=verified, length=offset - verified)
        return _Running(offset, _changed_ns(upload), received, verified, verified_hash)

    def keep(self, upload: PartialUpload, incoming: IncomingFile) -> int:
        """Record what has arrived, close the file and give the new offset."""
        received = incoming.digest.settle()
        incoming.close()
        running = self._running.get(upload.identifier)
        with disk_errors(f"store {upload.resource}"):
            if running is not None and incoming.size == upload.offset and not incoming.failed:
                running.offset, running.changed_ns, running.hash = incoming.size, _changed_ns(upload), received
            else:
                self._running.pop(upload.identifier, None)
        return incoming.size

    def mark_verified(self, upload: PartialUpload, incoming: IncomingFile) -> None:
        running = self._running.get(upload.identifier)
        if running is not None:
            running.verified, running.verified_hash = incoming.size, incoming.digest.settle().copy()
        if upload.verified != incoming.size:
            upload.verified = incoming.size
            upload.save()

    def roll_back(self, upload: PartialUpload, offset: int) -> None:
        with disk_errors(f"store {upload.resource}"):
            try:
                os.truncate(upload.data, offset)
            except FileNotFoundError:
                # It stands under its final name already.
                offset = 0
                upload.data.touch(mode=0o600)
        running = self._running.pop(upload.identifier, None)
        self._store.reservations.set_missing(upload.identifier, upload.size - offset)
        if running is not None and running.verified == offset and running.verified_hash is not None:
            snapshot = running.verified_hash
            self._running[upload.identifier] = _Running(offset, _changed_ns(upload), snapshot.copy(), offset, snapshot)

    def complete(
        self, upload: PartialUpload, incoming: IncomingFile, digests: Digests, permit: Permit = nullcontext
    ) -> FileStat:
        """Publish the file under a permit; the upload stays known for a while, for a client that missed the answer."""
        incoming.close()
        try:
            stat = self._store.publish(upload.data, upload.resource, digests, permit)
        except BaseException as error:
            if isinstance(error, PermissionDenied | LeaseLost | JobAborted) or not upload.size:
                self.remove(upload)  # nobody may go on with it; who only needs a new token may
            else:
                # An upload that stands at its end would be taken for a stored file.
                self.roll_back(upload, max(upload.size - 1, 0))
            raise
        self._store.reservations.release(upload.identifier)
        self._running.pop(upload.identifier, None)
        upload.completed = stat
        try:
            upload.save()
        except OSError:
            # The file is stored, whatever became of the note about it; who asks again finds the file.
            self.remove(upload)
        return stat

    def remove(self, upload: PartialUpload) -> None:
        self._running.pop(upload.identifier, None)
        self._store.reservations.release(upload.identifier)
        shutil.rmtree(upload.folder, ignore_errors=True)

    def expires_at(self, upload: PartialUpload) -> datetime:
        return datetime.fromtimestamp(_last_change(upload.folder) + self.lifetime_seconds, UTC)

    def sweep(self) -> int:
        limit = time.time() - self.lifetime_seconds
        swept = 0
        for folder in (self._folder, self._store.layout.private / "incoming"):
            with suppress(OSError):
                for path in folder.iterdir():
                    if _last_change(path) < limit:
                        swept += 1
                        self._running.pop(path.name, None)
                        self._store.reservations.release(path.name)
                        if path.is_dir():
                            shutil.rmtree(path, ignore_errors=True)
                        else:
                            path.unlink(missing_ok=True)
        return swept

    def sweep_is_due(self) -> bool:
        return self._sweeps.is_due(self.lifetime_seconds)


@define(frozen=True)
class _Turn:
    """
    The turn of one request at an upload; a newer request, in whichever process, takes it away.

    After a cut link the older one may still write what was on its way, while the newer one completes the file.
    """

    _path: Path
    _token: str
    _identifier: str
    _reservations: Reservations

    @classmethod
    def take(cls, upload: PartialUpload, reservations: Reservations) -> "_Turn":
        turn = cls(upload.folder / _TURN, secrets.token_hex(16), upload.identifier, reservations)
        replace_text(turn._path, turn._token)
        return turn

    def arrived(self, count: int) -> None:
        """
        Count what was written.

        Raises:
            FileError: It is another request's turn.
        """
        self._reservations.arrived(self._identifier, count)
        try:
            has_turn = self._path.read_text("ascii") == self._token
        except OSError:
            has_turn = False
        if not has_turn:
            raise FileError("a newer request goes on with this upload, so this one ends here")


def _changed_ns(upload: PartialUpload) -> int:
    return upload.data.stat().st_mtime_ns


def _last_change(path: Path) -> float:
    times = [0.0]
    for part in (path, path / _DATA, path / _INFO):
        with suppress(OSError):
            times.append(part.stat().st_mtime)
    return max(times)
