"""What the file service needs of the store that it serves: whole files, opened or received, and resumable uploads."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from xfworker.domain.digests import Digests
from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource

Permit = Callable[[], AbstractContextManager[None]]
"""
Holds the rights of a request still while its file is published or removed, or raises where they have ended meanwhile.

A body may take hours to arrive, and its sender may have lost the right to store it by then.
"""


_UNKNOWN = Digests()


class OpenedFile(Protocol):
    """
    A file of the store that stays the same file while it is read, even where another takes its name; a store that
    cannot hold it ends the reading with ``FileChanged``.
    """

    @property
    def descriptor(self) -> int | None:
        """The open file on a disk of this machine, for a web server that sends it by itself; ``None`` elsewhere."""
        ...

    def blocks(self, *, offset: int, length: int, block_bytes: int = ...) -> Iterator[bytes]:
        """
        Give a part of the file block by block, each of at most ``block_bytes``; the file is closed behind the last one.

        Raises:
            FileError: The file cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the file; closing twice is not an error."""
        ...


class IncomingFile(Protocol):
    """A file being received, hashed meanwhile. Not for use by several threads at once."""

    def write(self, *blocks: bytes) -> None:
        """
        Add bytes.

        Raises:
            NotEnoughSpace: The store is full.
        """
        ...

    def digests(self, *, sha256: bool = False) -> Digests:
        """
        Give the digests of everything received so far.

        Args:
            sha256: Whether the SHA-256 must be among them, from here on as well. Where it was not computed from the
                start, what arrived is read again.
        """
        ...

    def publish(self, permit: Permit, *, size: int | None = None, expected: Digests = _UNKNOWN) -> FileStat:
        """
        Publish the file under a permit; it appears whole.

        Raises:
            ChecksumMismatch: It is not the file with this size and these digests; it was deleted.
        """
        ...

    def discard(self) -> None:
        """Delete what was received."""
        ...


class ServedFiles(Protocol):
    """A store that a file service offers; every request comes with what its token allows."""

    def stat(self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False) -> FileStat:
        """Describe a file; arguments and errors are those of :meth:`open_file`."""
        ...

    def open_file(
        self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False
    ) -> tuple[FileStat, OpenedFile]:
        """
        Open a file and describe it; the two belong together even while others replace the file.

        Args:
            token: Must allow ``read``.
            resource: The file.
            sha256: Whether somebody asks for the SHA-256: where it is not known yet it is computed now, which takes as
                long as reading the file. The entity tag is the same before and after.

        Raises:
            FileNotInStore: There is no such file.
            PermissionDenied: The token does not allow ``read``.
        """
        ...

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        """Give the path by which clients may reach the file without the service, or ``None``."""
        ...

    def download_url(self, stat: FileStat) -> str | None:
        """
        Give an address from which whoever has it can read a file without the service, for a while, or ``None``.

        Args:
            stat: What :meth:`open_file` gave under a token that allows ``read``.
        """
        ...

    def receive(self, resource: Resource, *, size: int | None = None, sha256: bool = False) -> IncomingFile:
        """
        Begin to receive a file; the caller has checked the token.

        Args:
            resource: Where it goes.
            size: How large it will be, where that is known: so much room is kept for it, where the store has an end.
            sha256: Whether its SHA-256 is needed when it is complete; else the store may compute it later.

        Raises:
            NotEnoughSpace: The store has no room for it.
            InvalidFilename: The resource is a folder.
        """
        ...

    def register(
        self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str, permit: Permit = nullcontext
    ) -> FileStat:
        """
        Take over a file that was written by its direct-access path.

        Raises:
            ChecksumMismatch: It is not the file with this size and digest.
        """
        ...

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        """List a folder."""
        ...

    def delete(self, token: AuthorizationToken, resource: Resource, *, permit: Permit = nullcontext) -> None:
        """
        Delete a file.

        Raises:
            FileNotInStore: There is no such file.
        """
        ...


class ResumableUpload(Protocol):
    """An upload that is under way, or was completed a short while ago."""

    @property
    def identifier(self) -> str:
        """Its name in URLs."""
        ...

    @property
    def resource(self) -> Resource:
        """Where the file goes."""
        ...

    @property
    def size(self) -> int:
        """Its size when complete."""
        ...

    @property
    def metadata(self) -> str:
        """What the client said of it, as it came."""
        ...

    @property
    def sha256(self) -> str | None:
        """The digest that the client promised, if any."""
        ...

    @property
    def verified(self) -> int:
        """So many bytes from the start are known to be what the client sent."""
        ...

    @property
    def offset(self) -> int:
        """Bytes received so far."""
        ...

    @property
    def completed(self) -> FileStat | None:
        """The file that came of it, once it is complete."""
        ...


UploadT = TypeVar("UploadT", bound=ResumableUpload)
IncomingT = TypeVar("IncomingT", bound=IncomingFile)


class PiecewiseUpload(ResumableUpload, Protocol):
    """An upload whose pieces may be put into the store without the service."""

    @property
    def piece_bytes(self) -> int | None:
        """How large every piece but the last is; ``None`` where this upload has to go through the service."""
        ...


@runtime_checkable
class PiecewiseUploads(Protocol):
    """
    What a store of uploads may offer besides: clients put pieces into the store themselves.

    A piece counts as arrived when the store says that it has its promised MD5. So nobody has to read the pieces again:
    the client computes the digest of the whole and the MD5 of every piece from the same bytes in one go, the store
    proves each MD5, and the MD5 over all of them proves that the pieces are those of that one go.
    """

    def piece_url(self, upload: Any, offset: int, md5: str) -> str:
        """
        Give an address to which whoever has it can put a piece, for a while.

        Args:
            upload: The upload.
            offset: Where in the file the piece begins.
            md5: The digest that the piece has to have, in hexadecimal digits.
        """
        ...

    def complete_pieces(self, upload: Any, digests: Digests, pieces_md5: str, permit: Permit) -> FileStat:
        """
        Publish the file that all pieces make, under a permit, without reading them.

        Args:
            upload: The upload.
            digests: What the client computed of the whole.
            pieces_md5: The MD5 of the MD5s (16 bytes each) of all pieces in order.
            permit: Holds the rights.

        Raises:
            ChecksumMismatch: The pieces are others, or not all there; they were deleted.
        """
        ...


class ResumableUploads(Protocol[UploadT, IncomingT]):
    """Uploads that take several requests: what has arrived outlives a cut link and a restarted server."""

    def create(self, resource: Resource, size: int, *, metadata: str, sha256: str | None) -> UploadT:
        """
        Begin an upload.

        Raises:
            NotEnoughSpace: The store has no room for it.
            InvalidFilename: The resource is a folder.
        """
        ...

    def load(self, identifier: str) -> UploadT:
        """
        Find an upload.

        Raises:
            FileNotInStore: There is none, or it expired.
        """
        ...

    def open(self, upload: UploadT) -> IncomingT:
        """Go on receiving behind what has arrived."""
        ...

    def keep(self, upload: UploadT, incoming: IncomingT) -> int:
        """Keep what has arrived for the next request, and give the new offset."""
        ...

    def mark_verified(self, upload: UploadT, incoming: IncomingT) -> None:
        """Record that everything up to here is what the client sent."""
        ...

    def roll_back(self, upload: UploadT, offset: int) -> None:
        """Drop what arrived behind an offset."""
        ...

    def complete(self, upload: UploadT, incoming: IncomingT, digests: Digests, permit: Permit) -> FileStat:
        """Publish the file under a permit; the upload stays known for a while, in case the answer is lost."""
        ...

    def remove(self, upload: UploadT) -> None:
        """End an upload and delete what arrived."""
        ...

    def expires_at(self, upload: UploadT) -> datetime:
        """Give the time (UTC) at which the upload is deleted unless more arrives."""
        ...

    def sweep(self) -> int:
        """Delete uploads and other incomplete files that nobody went on with; give their number."""
        ...

    def sweep_is_due(self) -> bool:
        """Whether it is time to sweep; the next time is counted from here."""
        ...
