"""A file that is on its way into a bucket: put there piece by piece, hashed meanwhile, then put together at once."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from xfworker.adapters.s3.pieces import Piece, PieceFolder
from xfworker.adapters.transfer.digest_thread import DigestThread
from xfworker.adapters.transfer.hashing import FileHash
from xfworker.domain.digests import Digests, not_as_sent
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import FileStat
from xfworker.ports.served_files import Permit

_UNKNOWN = Digests()

Publish = Callable[[Sequence[Piece], bytes | None, Digests, Permit], FileStat]
"""Makes an object of pieces, or of bytes where nothing was put into the store yet, under a permit."""


class S3IncomingFile:
    """
    A file being received. Not for use by several threads at once.

    Attributes:
        name: What the names of its pieces begin with.
        size: Bytes received so far.
        failed: Whether a write failed, so that hash and content no longer belong together.
    """

    def __init__(
        self,
        folder: PieceFolder,
        publish: Publish,
        *,
        piece_bytes: int,
        name: str | None = None,
        pieces: Sequence[Piece] = (),
        tail: bytes = b"",
        start: FileHash | None = None,
        before_piece: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Begin, or go on.

        Args:
            folder: Where the pieces go.
            publish: What is done with the complete file.
            piece_bytes: How large they are.
            name: What the names of new ones begin with.
            pieces: What is there already.
            tail: What is behind it and too small for a piece of its own.
            start: A hash object that has seen all of that.
            before_piece: Called before each piece is stored; raises where another request goes on with the file.
        """
        self._folder = folder
        self._publish = publish
        self._piece_bytes = piece_bytes
        self.name = name or secrets.token_hex(8)
        self._pieces = list(pieces)
        self._buffer = [tail] if tail else []
        self._buffered = len(tail)
        self._before_piece = before_piece
        self.size = (pieces[-1].end if pieces else 0) + len(tail)
        self.failed = False
        self.digest = _running(start or FileHash())

    def write(self, *blocks: bytes) -> None:
        self.digest.update_all(blocks)
        for block in blocks:
            self._buffer.append(block)
            self._buffered += len(block)
            self.size += len(block)
            if self._buffered >= self._piece_bytes:
                self.flush()

    def flush(self) -> None:
        """Put what is in memory into the store."""
        if not self._buffered:
            return
        try:
            self._before_piece()
            offset = self.size - self._buffered
            self._pieces.append(self._folder.put(self.name, offset, self._buffer))
        except BaseException:
            self.failed = True
            self.size -= self._buffered
            raise
        finally:
            self._buffer, self._buffered = [], 0

    def digests(self, *, sha256: bool = False) -> Digests:
        hashed = self.digest.settle()
        if sha256 and hashed.sha256 is None:
            hashed = FileHash.begin(sha256=True)
            for piece in self._pieces:
                for block in self._folder.read(piece):
                    hashed.update(block)
            for block in self._buffer:
                hashed.update(block)
            self.digest.close()
            self.digest = _running(hashed)
        return hashed.digests()

    def publish(self, permit: Permit, *, size: int | None = None, expected: Digests = _UNKNOWN) -> FileStat:
        digests = self.digests(sha256=expected.sha256 is not None)
        if size not in {None, self.size} or not digests.fit(expected):
            self.discard()
            raise not_as_sent(str(self._folder.resource), self.size, digests, expected_size=size, expected=expected)
        try:
            return self.make_object(digests, permit)
        finally:
            self.discard()

    def make_object(self, digests: Digests, permit: Permit) -> FileStat:
        """Publish what has arrived under a permit; the pieces stay."""
        if not self._pieces:
            return self._publish((), b"".join(self._buffer), digests, permit)
        self.flush()
        return self._publish(self._pieces, None, digests, permit)

    def discard(self) -> None:
        self.close()
        if self._pieces:
            with suppress(XFWorkerError):  # what is left is swept
                self._folder.delete()
            self._pieces = []

    def close(self) -> None:
        """End the hashing; what was put into the store stays."""
        self.digest.close()


def _running(start: FileHash) -> DigestThread[FileHash]:
    return DigestThread(start, on_the_spot=start.sha256 is None)
