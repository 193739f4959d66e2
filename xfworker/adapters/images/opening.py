"""Opening image files for reading, and saying in a sentence why it did not work."""

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xfworker.adapters.transfer.source_file import open_without_waiting
from xfworker.domain.errors import ImageError, UnsupportedImage

HEAD_BYTES = 4096
"""How many bytes a format may look at to recognise its files."""


def open_to_read(path: Path) -> IO[bytes]:
    """
    Open a file unbuffered; where the system knows of that, so that others can rename it meanwhile.

    Raises:
        ImageError: It is absent, a folder, or not readable.
    """
    try:
        # Opening a pipe would wait for somebody to write into it.
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ImageError(f"{path} cannot be read: it is a pipe or a device, not a file.")
        return open_without_waiting(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error


def head_of(path: Path) -> bytes:
    """Give the first bytes of a file, none for a folder; raises as ``open_to_read``."""
    try:
        if path.is_dir():
            return b""
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    with open_to_read(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error


def file_size(path: Path) -> int:
    """
    Give the bytes of a file.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_whole(path: Path, most: int) -> bytes:
    """
    Read all of a small file.

    Raises:
        ImageError: It cannot be read.
        UnsupportedImage: It has more than ``most`` bytes.
    """
    with open_to_read(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise UnsupportedImage(f"{path} has {size} bytes; more than {most} are not read as one of these.")
            return file.read()
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def _naming(file: IO[bytes]) -> Iterator[None]:
    """Say which file it is that cannot be read; the operating system knows its number only."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{file.name} cannot be read: {error.strerror or error}.") from error


def positioned_reader(file: IO[bytes]) -> Callable[[int, int], bytes]:
    """Give a function that reads bytes at an offset, safe for threads that share the file."""
    if sys.platform != "win32":
        descriptor = file.fileno()

        def read_at(offset: int, count: int) -> bytes:
            parts = []
            while count > 0:
                with _naming(file):
                    part = os.pread(descriptor, min(count, 1 << 30), offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                count -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

        return read_at
    lock = threading.Lock()

    def seek_and_read(offset: int, count: int) -> bytes:
        with lock:
            file.seek(offset)
            return file.read(count)

    return seek_and_read


def positioned_reader_into(file: IO[bytes]) -> Callable[[int, memoryview], int]:
    """Give a function that fills a buffer from an offset and returns how many bytes there were; safe for threads."""
    if sys.platform != "win32":
        descriptor = file.fileno()

        def read_into(offset: int, view: memoryview) -> int:
            done = 0
            while done < view.nbytes:
                with _naming(file):
                    count = os.preadv(descriptor, [view[done : done + (1 << 30)]], offset + done)
                if not count:
                    break
                done += count
            return done

        return read_into
    lock = threading.Lock()

    def seek_and_read_into(offset: int, view: memoryview) -> int:
        done = 0
        with lock:
            file.seek(offset)
            while done < view.nbytes:
                count = file.readinto(view[done:])  # type: ignore[attr-defined, unused-ignore]  # they have it
                if not count:
                    break
                done += count
        return done

    return seek_and_read_into
