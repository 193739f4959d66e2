"""Digests of streams, computed in a second thread so that hashing does not slow the transfer."""

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self

from xfworker.adapters.transfer.hashing import Hasher, HasherT, new_hasher
from xfworker.domain.digest_field import XXH3

_WORTH_A_THREAD = 1 << 20
"""Up to so many bytes are hashed on the spot: starting a thread for them costs more."""


class DigestThread(Generic[HasherT]):
    """
    A running digest that is computed in a thread of its own.

    Hash objects let go of the interpreter lock for large blocks, so the caller goes on moving bytes meanwhile. At most
    ``depth`` blocks wait, which bounds the memory to ``depth`` times the size of a block.
    """

    def __init__(self, start: HasherT, *, depth: int = 4, on_the_spot: bool = False) -> None:
        """
        Begin, or go on.

        Args:
            start: The hash object.
            depth: How many blocks may wait.
            on_the_spot: Do without the thread: for a digest that is computed sooner than a block is handed over.
        """
        self._hash = start
        self._depth = depth
        self._work: queue.Queue[Callable[[], object] | None] | None = None
        self._thread: threading.Thread | None = None
        self._on_the_spot = 0
        self._worth_a_thread = sys.maxsize if on_the_spot else _WORTH_A_THREAD

    def update(self, block: bytes | memoryview, then: Callable[[], object] | None = None) -> None:
        """
        Add bytes.

        Args:
            block: It must not change until it was hashed.
            then: Called when it was, in the other thread: to use the block's memory again.
        """
        if self._thread is None and self._on_the_spot + len(block) <= self._worth_a_thread:
            self._on_the_spot += len(block)
            self._hash_block(block, then)
        else:
            self.after_that(lambda: self._hash_block(block, then))

    def update_all(self, blocks: Sequence[bytes]) -> None:
        """Add several blocks at once, which costs one handing over instead of many."""
        if self._thread is None and self._on_the_spot + sum(map(len, blocks)) <= self._worth_a_thread:
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
        """Do something, in the other thread if there is one, when everything added so far has been hashed."""
        if self._thread is None and self._worth_a_thread == sys.maxsize:
            work()
            return
        if self._work is None:
            self._work = queue.Queue(self._depth)
            self._thread = threading.Thread(target=_run, args=(self._work,), name="xfworker-digest", daemon=True)
            self._thread.start()
        self._work.put(work)

    def current(self) -> HasherT:
        """Give the hash object as it is; for work that :meth:`after_that` does in the other thread."""
        return self._hash

    def settle(self) -> HasherT:
        """Wait until everything added has been hashed, and give the hash object (to copy, not to change)."""
        if self._work is not None:
            self._work.join()
        return self._hash

    def hexdigest(self) -> str:
        """Wait until everything added has been hashed, and give the digest so far."""
        return self.settle().hexdigest()

    def close(self) -> None:
        if self._work is not None and self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._work = self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _run(waiting: "queue.Queue[Callable[[], object] | None]") -> None:
    while True:
        work = waiting.get()
        try:
            if work is None:
                return
            work()
        finally:
            waiting.task_done()


def running_digest(algorithm: str, start: Hasher | None = None) -> DigestThread[Hasher]:
    """Begin a running digest of a kind, or go on with one; the quick kind is computed on the spot."""
    return DigestThread(new_hasher(algorithm) if start is None else start, on_the_spot=algorithm == XXH3)


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
