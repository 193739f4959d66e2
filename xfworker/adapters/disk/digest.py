"""SHA-256 of files and of streams, the latter in a second thread so that hashing does not slow the transfer."""

import hashlib
import queue
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK = 1 << 20


def file_sha256(path: Path, *, length: int | None = None) -> str:
    """Give the SHA-256 of a file, or of its first ``length`` bytes, as 64 hexadecimal digits."""
    return hash_of_file(path, length).hexdigest()


def hash_of_file(path: Path, length: int | None = None) -> "_Hash":
    """Give a hash object that has seen a file, or its first ``length`` bytes."""
    found = hashlib.sha256()
    buffer = bytearray(_BLOCK)
    view = memoryview(buffer)
    remaining = -1 if length is None else length
    with path.open("rb", buffering=0) as file:
        while remaining:
            count = file.readinto(view if remaining < 0 else view[: min(_BLOCK, remaining)])
            if not count:
                break
            found.update(view[:count])
            remaining -= count if remaining > 0 else 0
    return found


class DigestThread:
    """
    A running SHA-256 that is computed in a thread of its own.

    ``hashlib`` lets go of the interpreter lock for large blocks, so the caller goes on moving bytes meanwhile. At most
    ``depth`` blocks wait, which bounds the memory to ``depth`` times the size of a block.
    """

    def __init__(self, start: "_Hash | None" = None, *, depth: int = 4) -> None:
        self._hash = hashlib.sha256() if start is None else start
        self._blocks: queue.Queue[bytes | memoryview | None] = queue.Queue(depth)
        self._thread: threading.Thread | None = None

    def update(self, block: bytes | memoryview) -> None:
        """Add bytes. The block must not change afterwards until :meth:`settle` or :meth:`hexdigest` has returned."""
        if self._thread is None:
            if len(block) < _BLOCK // 4:  # a thread costs more than hashing so little
                self._hash.update(block)
                return
            self._thread = threading.Thread(target=self._run, name="xfworker-digest", daemon=True)
            self._thread.start()
        self._blocks.put(block)

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)
            self._blocks.task_done()
        self._blocks.task_done()

    def settle(self) -> "_Hash":
        """Wait until everything added has been hashed, and give the hash object (to copy, not to change)."""
        self._blocks.join()
        return self._hash

    def hexdigest(self) -> str:
        """Wait until everything added has been hashed, and give the digest so far."""
        return self.settle().hexdigest()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._blocks.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
