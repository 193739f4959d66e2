"""Where bulk data lies: images and other files, under tokens that say who may touch what."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all. Done may step back when a part has to be sent again."""

FileProgress = Callable[["Resource", int, int], None]
"""Called with the file, bytes done and bytes in all, over all files."""


class FileStore(Protocol):
    """
    A file store. Every method checks that the token allows it.

    Every method raises :class:`~xfworker.domain.errors.PermissionDenied` where the token does not allow it and
    :class:`~xfworker.domain.errors.ServerError` where the store cannot be asked.
    """

    def stat(self, token: "AuthorizationToken", resource: "Resource") -> "FileStat":
        """
        Return size, digest and direct-access path of a file (needs ``read`` or ``write``).

        Raises:
            FileNotInStore: There is no such file.
        """
        ...

    def download(
        self, token: "AuthorizationToken", resource: "Resource", target: Path, *, progress: Progress | None = None
    ) -> "FileStat":
        """
        Fetch a file (needs ``read``). ``target`` appears, or is replaced, only when complete and verified.

        Raises:
            FileNotInStore: There is no such file.
            ChecksumMismatch: What arrived is not what the store holds.
            FileChanged: The file changed in the store while it was fetched, repeatedly.
            NotEnoughSpace: The disk has no room; detected before the first byte where the size is known.
            TransferInterrupted: The link broke too often; a later call goes on from there.
        """
        ...

    def upload(
        self, token: "AuthorizationToken", source: Path, resource: "Resource", *, progress: Progress | None = None
    ) -> "FileStat":
        """
        Store a file (needs ``write``). Readers see the old content or the whole new one, never a part.

        Raises:
            FileChanged: ``source`` changed while it was read.
            ChecksumMismatch: What the store received is not what was sent.
            NotEnoughSpace: The store has no room.
            TransferInterrupted: The link broke too often; a later call goes on from there.
        """
        ...

    def open_read(
        self, token: "AuthorizationToken", resource: "Resource", *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """
        Give the bytes of a file or of a range of it, in pieces of at most 1 MiB (needs ``read``).

        Raises:
            FileNotInStore: There is no such file.
        """
        ...

    def direct_access_path(
        self, token: "AuthorizationToken", resource: "Resource", *, for_writing: bool = False
    ) -> str | None:
        """
        Return where a file lies, or would lie, on a shared disk, in the words of the server; ``None`` where nowhere.

        Args:
            token: Must allow ``read``, or ``write`` where the path is to be written to.
            resource: The file; for writing it need not exist yet.
            for_writing: Ask for a path that may be written to. The folder is there afterwards.
        """
        ...

    def register(self, token: "AuthorizationToken", resource: "Resource", *, size: int, sha256: str) -> "FileStat":
        """
        Register a file that was written through its direct-access path (needs ``write``).

        The store compares it with what the writer says it wrote.

        Raises:
            FileNotInStore: There is no such file.
            ChecksumMismatch: Its size or digest is another.
        """
        ...

    def list(self, token: "AuthorizationToken", folder: "Resource") -> "Folder":
        """Return what a folder holds (needs ``list``); a folder that is not there is empty."""
        ...

    def delete(self, token: "AuthorizationToken", resource: "Resource") -> None:
        """
        Remove a file (needs ``delete``).

        Raises:
            FileNotInStore: There is no such file.
        """
        ...

    def close(self) -> None:
        """Let go of connections; the object is not used afterwards."""
        ...
