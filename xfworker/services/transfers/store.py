"""Bringing a script's file into the store: registering it where it was written there directly, else uploading it."""

from pathlib import Path

from xfworker.domain.errors import FileError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore, Progress
from xfworker.ports.filesystem import Filesystem
from xfworker.services.event_log import EventLog
from xfworker.services.transfers.watch import told

_log = EventLog("xfworker.transfers")


def store(
    files: FileStore,
    filesystem: Filesystem,
    clock: Clock,
    token: AuthorizationToken,
    source: Path,
    resource: Resource,
    *,
    working_directory: Path | None = None,
    progress: Progress | None = None,
) -> FileStat:
    """
    Put a local file into the store, where readers see it whole or not at all.

    A file that lies outside the working directory may be one that was written through its direct-access path
    (:func:`writable_path`); then it is only registered, and the store checks that it sees the same bytes.

    Args:
        files: The file store.
        filesystem: The local disks.
        clock: Times the transfer for the log.
        token: Must allow ``write``.
        source: The complete local file.
        resource: Its place in the store.
        working_directory: Files in here were never written directly, which saves a question to the store.
        progress: Called with bytes done and bytes in all.

    Raises:
        FileChanged: ``source`` changed while it was read.
        ChecksumMismatch: What the store has is not what was sent.
        NotEnoughSpace: The store has no room.
        TransferInterrupted: The link broke for too long; calling again goes on from there.
        PermissionDenied: The token does not allow it.
    """
    started = clock.monotonic()
    try:
        if _written_directly(files, filesystem, token, source, resource, working_directory):
            stat = files.register(token, resource, size=source.stat().st_size, sha256=filesystem.sha256(source))
            way = "direct"
        else:
            stat = files.upload(token, source, resource, progress=told("upload", resource, progress))
            way = "upload"
    except FileError as error:
        _log.warning("xfworker.upload_failed", file=str(resource), error=str(error))
        raise
    _log.info(
        "xfworker.upload_finished",
        file=str(resource),
        way=way,
        bytes=stat.size,
        seconds=round(clock.monotonic() - started, 3),
    )
    return stat


def writable_path(
    files: FileStore,
    filesystem: Filesystem,
    token: AuthorizationToken,
    resource: Resource,
    fallback: Path,
) -> Path:
    """
    Give a path at which a script may write a file of the store: inside the store where that is allowed and works here.

    Args:
        files: The file store.
        filesystem: The local disks.
        token: Must allow ``write``.
        resource: The file's place in the store; it need not exist.
        fallback: What to give otherwise: a unique path in the working directory.

    Raises:
        PermissionDenied: The token does not allow ``write``.
    """
    direct = files.direct_access_path(token, resource, for_writing=True)
    if direct is None:
        return fallback
    path: Path | str = direct
    try:
        path = filesystem.local_path(direct)
        if filesystem.can_write(path):
            _log.info("xfworker.direct_access_used", file=str(resource), path=str(path), writing=True)
            return path
        reason = "it cannot be written here"
    except FileError as error:
        reason = str(error)
    _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=reason, writing=True)
    return fallback


def _written_directly(
    files: FileStore,
    filesystem: Filesystem,
    token: AuthorizationToken,
    source: Path,
    resource: Resource,
    working_directory: Path | None,
) -> bool:
    if working_directory is not None and source.absolute().is_relative_to(working_directory.absolute()):
        return False
    direct = files.direct_access_path(token, resource, for_writing=True)
    if direct is None:
        return False
    try:
        return filesystem.local_path(direct).samefile(source)
    except (FileError, OSError):
        return False
