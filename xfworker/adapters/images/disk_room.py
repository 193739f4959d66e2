"""Room on a disk: reserved before it is written to, and errors that say so when it has run out."""

import contextlib
import errno
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from xfworker.adapters.transfer.os_errors import windows_advice
from xfworker.domain.errors import ImageError, NotEnoughSpace

_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
_FULL_ON_WINDOWS: Final = frozenset({39, 112})
"""ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL."""

_FULL_BELOW_BYTES: Final = 1 << 16
"""A disk with less room than this is full: libraries write more at once."""

_KEEP_SIZE: Final = 1
"""Linux: room beyond the file's end, without making it longer."""

_F_PREALLOCATE: Final = 42
_F_ALLOCATEALL, _F_PEOFPOSMODE = 4, 3
_FSTORE: Final = "=Iiqqq"
"""macOS: ``struct fstore``: flags, position mode, offset, length, bytes allocated."""

_ZEROS: Final = 1 << 23


def reserve_ahead(file: IO[bytes], count: int, path: Path) -> None:
    """
    Ask the disk for room for ``count`` bytes that are about to be appended, which is several times faster on ext4.

    Does nothing where the system does not offer it.

    Raises:
        NotEnoughSpace: The disk says at once that it has not so much room.
    """
    if not sys.platform.startswith("linux") or count <= 0:
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(libc, "fallocate64", None)
    if fallocate is None:
        return
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    failed = fallocate(file.fileno(), _KEEP_SIZE, 0, count)
    number = ctypes.get_errno()
    if failed and number in _FULL:
        raise writing_error(OSError(number, os.strerror(number)), path)


def allocate(file: IO[bytes], count: int, path: Path) -> None:
    """
    Make a file ``count`` bytes long with room on the disk for every one of them; what it holds stays.

    A memory map of a file with holes ends the process when a hole cannot be filled (SIGBUS); this one has none.

    Args:
        file: The file, open for writing.
        count: Its length to be, in bytes.
        path: What to call it in an error.

    Raises:
        NotEnoughSpace: The disk has not so much room.
        ImageError: The file cannot be written.
    """
    try:
        length = os.fstat(file.fileno()).st_size
        if not _allocated(file, count):
            _fill(file, length, count)
    except OSError as error:
        raise writing_error(error, path) from error


def _allocated(file: IO[bytes], count: int) -> bool:
    """Let the system reserve the room; false where this disk has no such way."""
    try:
        if sys.platform == "win32":
            file.truncate(count)  # NTFS and FAT give a file its clusters as it grows
            return True
        if sys.platform == "darwin":
            import fcntl

            request = struct.pack(_FSTORE, _F_ALLOCATEALL, _F_PEOFPOSMODE, 0, count, 0)
            fcntl.fcntl(file.fileno(), _F_PREALLOCATE, request)
            file.truncate(count)
            return True
        os.posix_fallocate(file.fileno(), 0, count)
    except OSError as error:
        if error.errno in _FULL or getattr(error, "winerror", None) in _FULL_ON_WINDOWS:
            raise
        return False
    return True


def _fill(file: IO[bytes], length: int, count: int) -> None:
    """Write zeros behind what the file holds: the way that every disk knows."""
    zeros = memoryview(bytes(min(_ZEROS, max(1, count - length))))
    file.seek(length)
    while length < count:
        length += file.write(zeros[: count - length])
    file.seek(0)


@contextlib.contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn every ``OSError`` of writing in the block, this package's or a library's, into an error that says why."""
    try:
        yield
    except OSError as error:
        raise writing_error(error, path) from error


def writing_error(error: OSError, path: Path) -> ImageError | NotEnoughSpace:
    """
    Give the error for one of the operating system or of a library while ``path`` was written.

    Libraries that count what was written raise errors without a number: then it is looked whether the disk is full.
    """
    reason = error.strerror or str(error) or type(error).__name__
    full = error.errno in _FULL or getattr(error, "winerror", None) in _FULL_ON_WINDOWS
    if full or (error.errno is None and _is_full(path.parent)):
        said = reason if full else f"{os.strerror(errno.ENOSPC)} ({reason})"
        return NotEnoughSpace(f"Writing {path} stopped: {said}. Make room on its disk and try again.")
    return ImageError(f"{path} cannot be written: {reason}{windows_advice(error)}.")


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL_BELOW_BYTES
    except OSError:
        return False
