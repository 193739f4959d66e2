"""Reading and writing at any position of a file, from several threads."""

import os
import sys
import threading
from pathlib import Path


class PositionedFile:
    """A file open for reading and writing at any position. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """
        Open the file; it is made where it is not there, readable by this user only.

        Raises:
            OSError: It cannot be opened.
        """
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return os.fstat(self._handle).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._handle, size)

    def write_at(self, position: int, block: memoryview) -> None:
        while block:
            count = self._write_some(position, block)
            position += count
            block = block[count:]

    def _write_some(self, position: int, block: memoryview) -> int:
        if sys.platform != "win32":
            return os.pwrite(self._handle, block, position)
        with self._lock:  # Windows has one file pointer for all
            os.lseek(self._handle, position, os.SEEK_SET)
            return os.write(self._handle, block)

    def read_at(self, position: int, view: memoryview) -> int:
        """Fill memory from a position; give how many bytes there were."""
        if sys.platform != "win32":
            return os.preadv(self._handle, [view], position)
        with self._lock:
            os.lseek(self._handle, position, os.SEEK_SET)
            content = os.read(self._handle, len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
