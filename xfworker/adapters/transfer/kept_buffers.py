"""Memory for small files, used again: new memory costs more than to fill it."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BUFFER_BYTES: Final = 256 << 10
"""A file up to this size is moved in one step, and is in memory whole meanwhile."""


class KeptBuffers:
    """Buffers of :data:`BUFFER_BYTES`, as many as were ever in use at once. Safe to share between threads."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()

    def take(self) -> memoryview:
        """Give a buffer; what it holds is whatever was in it before."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return memoryview(bytearray(BUFFER_BYTES))

    def give_back(self, buffer: memoryview) -> None:
        """Let others use a buffer."""
        self._free.put(buffer)

    @contextmanager
    def of_size(self, size: int) -> Iterator[memoryview]:
        """Give so much memory for the block: a part of a buffer, or memory of its own where that is too small."""
        if size > BUFFER_BYTES:
            yield memoryview(bytearray(size))
            return
        buffer = self.take()
        try:
            yield buffer[:size]
        finally:
            self.give_back(buffer)
