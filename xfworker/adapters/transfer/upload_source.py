"""A local file being sent: read once, hashed in a second thread, and watched for changes."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from xfworker.adapters.transfer.digest_thread import BlockPool, running_digest
from xfworker.adapters.transfer.hashing import Hasher, hash_file, new_hasher
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.source_file import file_identity, open_source, require_unchanged
from xfworker.domain.digest_field import SHA256
from xfworker.domain.errors import FileChanged


class UploadSource:
    """
    A file with the digest of what was read so far.

    Attributes:
        path: The file.
        size: Its size when it was opened.
        position: Up to here it was read and goes into the digest.
        algorithm: Of the digest.
    """

    def __init__(self, path: Path, *, block_bytes: int, blocks: int, algorithm: str = SHA256) -> None:
        """
        Open the file.

        Raises:
            FileError: It cannot be read, or is not a file.
        """
        self.path = path
        with disk_errors(f"read {path}"):
            self._file = open_source(path)
            self._before = os.fstat(self._file.fileno())
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        self.size = self._before.st_size
        self.position = 0
        self._pool = BlockPool(blocks, max(min(block_bytes, self.size), 1))
        self.algorithm = algorithm
        self._digest = running_digest(algorithm)
        self._confirmed: tuple[int, Hasher] = (0, new_hasher(algorithm))

    def check_by(self, algorithm: str) -> None:
        """Take another digest from now on; reading begins at the start again."""
        if algorithm != self.algorithm:
            self.algorithm = algorithm
            self._confirmed = (0, new_hasher(algorithm))
            self.position = -1
            self.go_to(0)

    @property
    def identity(self) -> list[int]:
        """What distinguishes this content from a later one: time, size and number of the file."""
        return list(file_identity(self._before))

    def require_unchanged(self) -> None:
        """
        Refuse to go on when the file changed since it was opened.

        Raises:
            FileChanged: Its size, time or identity is another, or it is gone.
        """
        require_unchanged(self.path, self._before)

    def blocks(self, count: int) -> Iterator[memoryview]:
        """
        Give the next ``count`` bytes block by block. A block may be used until the next is asked for.

        Raises:
            FileChanged: The file ends before.
        """
        while count:
            block = self._pool.take()
            with disk_errors(f"read {self.path}"):
                size = self._file.readinto(block[: min(count, len(block))])
            if not size:
                self._pool.give_back(block)
                raise self._shorter()
            self.position += size
            count -= size
            # The digest may give the block back before it was sent; but only this generator takes blocks, and it
            # takes the next when this one was sent.
            self._digest.update(block[:size], lambda block=block: self._pool.give_back(block))  # type: ignore[misc]  # binds the block of this round
            yield block[:size]

    def read_into(self, memory: memoryview) -> memoryview:
        """
        Fill memory with the next bytes, and give it.

        Raises:
            FileChanged: The file ends before.
        """
        filled = 0
        while filled < len(memory):
            with disk_errors(f"read {self.path}"):
                size = self._file.readinto(memory[filled:])
            if not size:
                raise self._shorter()
            filled += size
        self.position += filled
        self._digest.update(memory)
        self._digest.settle()
        return memory

    def _shorter(self) -> FileChanged:
        return FileChanged(f"{self.path} became shorter while it was read, so it was not stored")

    def read(self, count: int) -> bytes:
        """
        Give the next ``count`` bytes at once.

        Raises:
            FileChanged: The file ends before.
        """
        return bytes(self.read_into(memoryview(bytearray(count))))

    def digest(self) -> str:
        """Give the digest of everything up to the position."""
        return self._digest.hexdigest()

    def confirm(self) -> None:
        """Keep the digest of this position: the server has confirmed everything up to the position."""
        self._confirmed = (self.position, self._digest.settle().copy())

    def go_to(self, offset: int) -> None:
        """
        Go on reading from another position, with the digest of everything before it.

        Raises:
            FileError: The file cannot be read again.
        """
        if offset != self.position:
            confirmed, hasher = self._confirmed
            self._digest.close()
            with disk_errors(f"read {self.path}"):
                start = hasher.copy() if confirmed <= offset else new_hasher(self.algorithm)
                begin = confirmed if confirmed <= offset else 0
                hash_file(self.path, start, offset=begin, length=offset - begin)
                self._digest = running_digest(self.algorithm, start)
        with disk_errors(f"read {self.path}"):
            self._file.seek(offset)
        self.position = offset

    def close(self) -> None:
        self._digest.close()
        self._file.close()
