"""SHA-256 of files and of streams, the latter in a second thread so that hashing does not slow the transfer."""

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK = 1 << 20
_WORTH_A_THREAD = 1 << 20
"""Up to so many bytes are hashed on the spot: starting a thread for them costs more."""


def file_sha256(path: Path, *, length: int | None = None) -> str:
    """Give the SHA-256 of a file, or of its first ``length`` bytes, as 64 hexadecimal digits."""
    return hash_of_file(path, length).hexdigest()


def hash_of_file(path: Path, length: int | None = None, *, offset: int = 0, start: "_Hash | None" = None) -> "_Hash":
    """
    Give a hash object that has seen a file or a part of it.

    Args:
        path: The file.
        length: How many bytes; to the end where ``None``. Fewer are taken where the file ends before.
        offset: Where to begin.
        start: A hash object that has seen what comes before; it is gone on with.
    """
    found = hashlib.sha256() if start is None else start
    view = memoryview(bytearray(_BLOCK))
    remaining = length
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while remaining is None or remaining > 0:
            count = file.readinto(view if remaining is None else view[: min(_BLOCK, remaining)])
            if not count:
                break
            found.update(view[:count])
            remaining = None if remaining is None else remaining - count
    return found


class DigestThread:
    """
    A running SHA-256 that is computed in a thread of its own.

    ``hashlib`` lets go of the interpreter lock for large blocks, so the caller goes on moving bytes meanwhile. At most
    ``depth`` blocks wait, which bounds the memory to ``depth`` times the size of a block.
    """

    def __init__(self, start: "_Hash | None" = None, *, depth: int = 4) -> None:
        self._hash = hashlib.sha256() if start is None else start
        self._work: queue.Queue[Callable[[], object] | None] = queue.Queue(depth)
        self._thread: threading.Thread | None = None
        self._on_the_spot = 0

    def update(self, block: bytes | memoryview, then: Callable[[], object] | None = None) -> None:
        """
        Add bytes.

        Args:
            block: It must not change until it was hashed.
            then: Called when it was, in the other thread: to use the block's memory again.
        """
        if self._thread is None and self._on_the_spot + len(block) <= _WORTH_A_THREAD:
            self._on_the_spot += len(block)
            self._hash_block(block, then)
        else:
            self.after_that(lambda: self._hash_block(block, then))

    def update_all(self, blocks: Sequence[bytes]) -> None:
        """Add several blocks at once, which costs one handing over instead of many."""
        if self._thread is None and self._on_the_spot + sum(map(len, blocks)) <= _WORTH_A_THREAD:
            for block in blocks:
                self.update(block)
        else:
            self.after_that(lambda: self._hash_all(blocks))

    def _hash_all(self, blocks: Sequence[bytes]) -> None:
        for block in blocks:
            self._hash.update(block)

    def _hash_block(self, block: bytes | memoryview, then: Callable[[], object] | None) -> None:
        self._hash.update(block)
        if then is not None:
            then()

    def after_that(self, work: Callable[[], object]) -> None:
        """Do something in the other thread when everything added so far has been hashed."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="xfworker-digest", daemon=True)
            self._thread.start()
        self._work.put(work)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                if work is None:
                    return
                work()
            finally:
                self._work.task_done()

    def current(self) -> "_Hash":
        """Give the hash object as it is; for work that :meth:`after_that` does in the other thread."""
        return self._hash

    def settle(self) -> "_Hash":
        """Wait until everything added has been hashed, and give the hash object (to copy, not to change)."""
        if self._thread is not None:
            self._work.join()
        return self._hash

    def hexdigest(self) -> str:
        """Wait until everything added has been hashed, and give the digest so far."""
        return self.settle().hexdigest()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockPool:
    """A few blocks of memory that go round between the threads of one transfer; made when they are first needed."""

    def __init__(self, count: int, size: int) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._unmade = count
        self._size = size

    def take(self) -> memoryview:
        """Give a free block; wait until there is one. Only one thread takes blocks."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            if self._unmade:
                self._unmade -= 1
                return memoryview(bytearray(self._size))
            return self._free.get()

    def give_back(self, block: memoryview) -> None:
        """Make a block free again."""
        self._free.put(block)
