"""A file that is on its way into a folder store: written piece by piece, hashed meanwhile, published by a rename."""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from xfworker.adapters.transfer.digest_thread import DigestThread
from xfworker.adapters.transfer.hashing import FileHash, hash_file
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.domain.digests import Digests, not_as_sent
from xfworker.domain.files import FileStat
from xfworker.ports.served_files import Permit

_MOST_AT_ONCE = 512
"""Systems take 1024 pieces in one call."""

_UNKNOWN = Digests()

Publish = Callable[[Path, Digests, Permit], FileStat]
"""Gives a complete file with its digests its final name, under a permit."""


class IncomingFile:
    """
    A file being received. Not for use by several threads at once.

    Attributes:
        what: What messages call it.
        size: Bytes received so far.
        failed: Whether a write failed, so that hash and content no longer belong together.
    """

    def __init__(
        self,
        what: str,
        partial: Path,
        publish: Publish,
        *,
        size: int = 0,
        start: FileHash | None = None,
        resume: bool = False,
        coming: Callable[[int], None] | None = None,
        arrived: Callable[[int], None] = lambda _: None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Open the partial file.

        Args:
            what: What messages call the file.
            partial: Where to write.
            publish: What is done with the complete file.
            size: Bytes that are already there; what lies behind them is cut off.
            start: A hash object that has seen them.
            resume: Whether the file is there already; a new one must not be.
            coming: Called with the number of bytes that are about to be written; refuses them by raising.
            arrived: Called with the number of bytes that were written.
            closed: Called when nothing more is written.
        """
        self.what = what
        self.size = size
        self.failed = False
        self._partial = partial
        self._publish = publish
        self._coming, self._arrived, self._closed = coming, arrived, closed
        with disk_errors(f"store {what}"):
            self._file = os.open(
                partial, os.O_RDWR | getattr(os, "O_BINARY", 0) | (0 if resume else os.O_CREAT | os.O_EXCL), 0o600
            )
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)
        self.digest = _running(start or FileHash())

    def write(self, *blocks: bytes) -> None:
        self.digest.update_all(blocks)
        before = self.size
        try:
            if self._coming is not None:
                self._coming(sum(map(len, blocks)))
            with disk_errors(f"store {self.what}"):
                self._write_all(blocks)
        except BaseException:
            self.failed = True
            raise
        finally:
            self._arrived(self.size - before)

    def _write_all(self, blocks: Sequence[bytes]) -> None:
        if len(blocks) > 1 and hasattr(os, "writev"):
            count = os.writev(self._file, blocks[:_MOST_AT_ONCE])
            self.size += count
            blocks = _behind(blocks, count)
        for block in blocks:
            view = memoryview(block)
            while view:
                count = os.write(self._file, view)
                if not count:
                    raise OSError(errno.EIO, "nothing could be written")
                view = view[count:]
                self.size += count

    def digests(self, *, sha256: bool = False) -> Digests:
        hashed = self.digest.settle()
        if sha256 and hashed.sha256 is None:
            with disk_errors(f"store {self.what}"):
                hashed = hash_file(self._partial, FileHash.begin(sha256=True), length=self.size)
            self.digest.close()
            self.digest = _running(hashed)
        return hashed.digests()

    def publish(self, permit: Permit, *, size: int | None = None, expected: Digests = _UNKNOWN) -> FileStat:
        digests = self.digests(sha256=expected.sha256 is not None)
        if size not in {None, self.size} or not digests.fit(expected):
            self.discard()
            raise not_as_sent(self.what, self.size, digests, expected_size=size, expected=expected)
        self.close()
        try:
            return self._publish(self._partial, digests, permit)
        except BaseException:
            with suppress(OSError):
                self._partial.unlink()
            raise

    def discard(self) -> None:
        self.close()
        with suppress(OSError):
            self._partial.unlink()

    def close(self) -> None:
        """Close the file and keep what was received."""
        self.digest.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._closed()


def _running(start: FileHash) -> DigestThread[FileHash]:
    return DigestThread(start, on_the_spot=start.sha256 is None)


def _behind(blocks: Sequence[bytes], count: int) -> list[bytes]:
    """Give the rest of the blocks behind their first ``count`` bytes."""
    left: list[bytes] = []
    for block in blocks:
        if count < len(block):
            left.append(block[count:])
        count = max(count - len(block), 0)
    return left
