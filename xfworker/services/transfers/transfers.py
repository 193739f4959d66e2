"""Files on their way between the store and this machine: in place where that is possible, else over the wire."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.domain.errors import FileError
from xfworker.domain.files import AuthorizationToken, FileStat, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore, Progress
from xfworker.ports.filesystem import Filesystem
from xfworker.services.event_log import EventLog
from xfworker.services.transfers.observed import reporting
from xfworker.services.transfers.side_by_side import DEFAULT_PARALLEL, side_by_side

_log = EventLog("xfworker.transfers")


@define(frozen=True)
class Transfers:
    """
    Moves files between a store and this machine.

    Every method that names no other errors raises :class:`~xfworker.domain.errors.PermissionDenied` where the token
    does not allow it, and :class:`~xfworker.domain.errors.FileError` where a transfer failed: ``FileNotInStore``,
    ``ChecksumMismatch``, ``NotEnoughSpace``, or ``TransferInterrupted`` where the link broke for too long, and calling
    again goes on from there.

    Attributes:
        files: The file store.
        filesystem: The local disks.
        clock: Times the transfers for the log.
    """

    files: FileStore
    filesystem: Filesystem
    clock: Clock

    def fetch(
        self,
        token: AuthorizationToken,
        resource: Resource,
        directory: Path,
        *,
        copy_even_on_direct_access: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """
        Give a local path to a file of the store, for reading only.

        The file is used where it lies when the store names a direct-access path and that path really opens here and is
        the same file; otherwise it is downloaded to ``directory`` under a unique name.

        Args:
            token: Must allow ``read``.
            resource: The file.
            directory: Where a copy goes. It must exist.
            copy_even_on_direct_access: Give a copy of the script's own, to change as it likes. It comes from the shared
                disk where that is possible.
            progress: Called with bytes done and bytes in all.
        """
        in_place = self.locate(token, resource)
        if in_place is not None and not copy_even_on_direct_access:
            return in_place[0]
        target = self.filesystem.unique_path(directory / resource.filename)
        if in_place is None:
            return self.download(token, resource, target, progress=progress)
        path, stat = in_place
        started = self.clock.monotonic()
        try:
            self.filesystem.copy(path, target)
        except FileError as error:
            _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=str(error))
            return self.download(token, resource, target, progress=progress)
        if report := reporting("download", resource, progress):
            report(stat.size, stat.size)
        _log.info("xfworker.download_finished", file=str(resource), way="copy", **self._pace(stat.size, started))
        return target

    def locate(self, token: AuthorizationToken, resource: Resource) -> tuple[Path, FileStat] | None:
        """
        Find a file of the store on a disk of this machine; ``None`` where it has to be fetched (the log says why).

        Args:
            token: Must allow ``read``.
            resource: The file.
        """
        stat = self.files.stat(token, resource)
        if stat.direct_access_path is None:
            _log.debug("xfworker.direct_access_unavailable", file=str(resource), reason="the store names no path")
            return None
        path: Path | str = stat.direct_access_path
        try:
            path = self.filesystem.local_path(stat.direct_access_path)
            reason = self.filesystem.reading_error(path, stat)
        except FileError as error:
            reason = str(error)
        if reason is not None:
            _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=reason)
            return None
        _log.info("xfworker.direct_access_used", file=str(resource), path=str(path), bytes=stat.size)
        return Path(path), stat

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> Path:
        """Download a file of the store to a path, without looking for a shorter way, and log how it went."""
        started = self.clock.monotonic()
        try:
            stat = self.files.download(token, resource, target, progress=reporting("download", resource, progress))
        except FileError as error:
            _log.warning("xfworker.download_failed", file=str(resource), error=str(error))
            raise
        _log.info("xfworker.download_finished", file=str(resource), way="download", **self._pace(stat.size, started))
        return target

    def fetch_many(
        self,
        token: AuthorizationToken,
        resources: Sequence[Resource],
        directory: Path,
        *,
        copy_even_on_direct_access: bool = False,
        look_in_place: bool = True,
        parallel: int = DEFAULT_PARALLEL,
        progress: Progress | None = None,
    ) -> list[Path]:
        """
        Give local paths to several files of the store, in their order, as :meth:`fetch` gives one.

        Whether the store lies on a shared disk is decided by the first file; where it does not, the others are
        fetched without asking again. Where one fails, the message names it, and those that were finished stay.

        Args:
            token: Must allow ``read`` for all of them.
            resources: The files.
            directory: Where copies go.
            copy_even_on_direct_access: Give copies of the script's own.
            look_in_place: Whether to ask for a shared disk at all; a caller that has asked already need not again.
            parallel: How many are fetched at once.
            progress: Called with files done and files in all.
        """
        if not resources:
            return []
        direct = look_in_place and self.locate(token, resources[0]) is not None
        # Names are given out in order, so that two files of one name get the same numbers every time.
        targets = [] if direct else [self.filesystem.unique_path(directory / item.filename) for item in resources]

        def fetch_one(index: int, report: Progress) -> Path:
            if not direct:
                return self.download(token, resources[index], targets[index], progress=report)
            return self.fetch(
                token,
                resources[index],
                directory,
                copy_even_on_direct_access=copy_even_on_direct_access,
                progress=report,
            )

        return side_by_side(fetch_one, range(len(resources)), parallel=parallel, progress=progress)

    def store(
        self,
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
        (:meth:`writable_path`); then it is only registered, and the store checks that it sees the same bytes.

        Args:
            token: Must allow ``write``.
            source: The complete local file.
            resource: Where it goes in the store.
            working_directory: Files in here were never written directly, which saves a question to the store.
            progress: Called with bytes done and bytes in all.

        Raises:
            FileChanged: ``source`` changed while it was read.
        """
        started = self.clock.monotonic()
        try:
            if self._written_directly(token, source, resource, working_directory):
                sha256 = self.filesystem.sha256(source)
                stat = self.files.register(token, resource, size=source.stat().st_size, sha256=sha256)
                way = "direct"
            else:
                stat = self.files.upload(token, source, resource, progress=reporting("upload", resource, progress))
                way = "upload"
        except FileError as error:
            _log.warning("xfworker.upload_failed", file=str(resource), error=str(error))
            raise
        _log.info("xfworker.upload_finished", file=str(resource), way=way, **self._pace(stat.size, started))
        return stat

    def store_many(
        self,
        token: AuthorizationToken,
        uploads: Sequence[tuple[Path, Resource]],
        *,
        working_directory: Path | None = None,
        parallel: int = DEFAULT_PARALLEL,
        progress: Progress | None = None,
    ) -> list[FileStat]:
        """
        Put several local files into the store as :meth:`store` puts one.

        Args:
            token: Must allow ``write`` for all of them.
            uploads: Local files and their resources.
            working_directory: See :meth:`store`.
            parallel: How many are stored at once.
            progress: Called with files done and files in all.

        Returns:
            What the store says of each, in order.
        """

        def store_one(item: tuple[Path, Resource], report: Progress) -> FileStat:
            return self.store(token, *item, working_directory=working_directory, progress=report)

        return side_by_side(store_one, uploads, parallel=parallel, progress=progress)

    def writable_path(self, token: AuthorizationToken, resource: Resource, fallback: Path) -> Path:
        """
        Give a path at which a script may write a file: inside the store where that is allowed and works here.

        Args:
            token: Must allow ``write``.
            resource: The file in the store; it need not exist.
            fallback: What to give otherwise: a unique path in the working directory.
        """
        direct = self.files.direct_access_path(token, resource, for_writing=True)
        if direct is None:
            return fallback
        path: Path | str = direct
        try:
            path = self.filesystem.local_path(direct)
            if self.filesystem.can_write(path):
                _log.info("xfworker.direct_access_used", file=str(resource), path=str(path), writing=True)
                return path
            reason = "it cannot be written here"
        except FileError as error:
            reason = str(error)
        _log.info("xfworker.direct_access_refused", file=str(resource), path=str(path), reason=reason, writing=True)
        return fallback

    def _written_directly(
        self, token: AuthorizationToken, source: Path, resource: Resource, working_directory: Path | None
    ) -> bool:
        if working_directory is not None and source.absolute().is_relative_to(working_directory.absolute()):
            return False
        direct = self.files.direct_access_path(token, resource, for_writing=True)
        if direct is None:
            return False
        try:
            return self.filesystem.local_path(direct).samefile(source)
        except (FileError, OSError):
            return False

    def _pace(self, size: int, started: float) -> dict[str, Any]:
        return {"bytes": size, "seconds": round(self.clock.monotonic() - started, 3)}
