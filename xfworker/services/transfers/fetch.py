"""Bringing a file of the store to where a script can open it: in place where that is possible, else by a download."""

from pathlib import Path

from xfworker.domain.errors import FileError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore, Progress
from xfworker.ports.filesystem import Filesystem
from xfworker.services.event_log import EventLog
from xfworker.services.transfers.watch import told

_log = EventLog("xfworker.transfers")


def fetch(
    files: FileStore,
    filesystem: Filesystem,
    clock: Clock,
    token: AuthorizationToken,
    resource: Resource,
    directory: Path,
    *,
    copy_even_on_direct_access: bool = False,
    progress: Progress | None = None,
) -> Path:
    """
    Give a local path to a file of the store, for reading only.

    The file is used where it lies when the store names a direct-access path and that path really opens here and is the
    same file; otherwise it is downloaded to ``directory`` under a unique name.

    Args:
        files: The file store.
        filesystem: The local disks.
        clock: Times the transfer for the log.
        token: Must allow ``read``.
        resource: The file.
        directory: Where a copy goes. It must exist.
        copy_even_on_direct_access: Give a copy of the script's own, to change as it likes. It comes from the shared
            disk where that is possible.
        progress: Called with bytes done and bytes in all.

    Raises:
        FileNotInStore: There is no such file.
        ChecksumMismatch: What arrived is not what the store holds.
        NotEnoughSpace: The disk has no room.
        TransferInterrupted: The link broke for too long; calling again goes on from there.
        PermissionDenied: The token does not allow it.
    """
    in_place = locate(files, filesystem, token, resource)
    if in_place is not None and not copy_even_on_direct_access:
        return in_place[0]
    target = filesystem.unique_path(directory / resource.filename)
    if in_place is None:
        return download(files, clock, token, resource, target, progress=progress)
    path, stat = in_place
    started = clock.monotonic()
    try:
        filesystem.copy(path, target)
    except FileError as error:
        _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=str(error))
        return download(files, clock, token, resource, target, progress=progress)
    if tell := told("download", resource, progress):
        tell(stat.size, stat.size)
    _log.info("xfworker.download_finished", file=str(resource), way="copy", **_pace(stat.size, clock, started))
    return target


def locate(
    files: FileStore, filesystem: Filesystem, token: AuthorizationToken, resource: Resource
) -> tuple[Path, FileStat] | None:
    """
    Find a file of the store on a disk of this machine; ``None`` where it has to be fetched, with a log line saying why.

    Raises:
        FileNotInStore: There is no such file.
        PermissionDenied: The token does not allow ``read``.
    """
    stat = files.stat(token, resource)
    if stat.direct_access_path is None:
        _log.debug("xfworker.direct_access_unavailable", file=str(resource), reason="the store names no path")
        return None
    path: Path | str = stat.direct_access_path
    try:
        path = filesystem.local_path(stat.direct_access_path)
        fault = filesystem.reading_fault(path, stat)
    except FileError as error:
        fault = str(error)
    if fault is not None:
        _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=fault)
        return None
    _log.info("xfworker.direct_access_used", file=str(resource), path=str(path), bytes=stat.size)
    return Path(path), stat


def download(
    files: FileStore,
    clock: Clock,
    token: AuthorizationToken,
    resource: Resource,
    target: Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """
    Download a file of the store, without looking for a shorter way, and log how it went.

    Raises:
        FileNotInStore: There is no such file.
        FileError: See :meth:`~xfworker.ports.file_store.FileStore.download`.
    """
    progress = told("download", resource, progress)
    started = clock.monotonic()
    try:
        stat = files.download(token, resource, target, progress=progress)
    except FileError as error:
        _log.warning("xfworker.download_failed", file=str(resource), error=str(error))
        raise
    _log.info("xfworker.download_finished", file=str(resource), way="download", **_pace(stat.size, clock, started))
    return target


def _pace(size: int, clock: Clock, started: float) -> dict[str, float]:
    return {"bytes": size, "seconds": round(clock.monotonic() - started, 3)}
