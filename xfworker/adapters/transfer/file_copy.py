"""Copies a file by the quickest way that the disks know."""

import errno
import os
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from xfworker.adapters.transfer.partial_file import replacing
from xfworker.adapters.transfer.source_file import open_source

_FICLONE = 0x40049409
"""The ioctl request that makes a copy-on-write clone on Btrfs, XFS and others (linux/fs.h)."""
_CHUNK = 64 << 20
"""Bytes asked of the kernel at once: few enough that progress moves and an interruption takes effect."""

OnBytes = Callable[[int], None]
"""Called with the bytes copied so far."""
_UNSUPPORTED = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF, errno.ETXTBSY}
)
"""What the kernel answers where a file system or a pair of them does not know the call."""


def copy_file(source: Path, target: Path, *, fsync: bool = False, on_bytes: OnBytes | None = None) -> str:
    """
    Copy a file's content; ``target`` appears, or is replaced, only when complete.

    Returns:
        The way it went: ``reflink``, ``copy_file_range``, ``sendfile``, ``CopyFileW`` or ``blocks``.

    Raises:
        OSError: The source cannot be read or the target not be written.
    """
    with replacing(target, fsync=fsync) as partial, open_source(source) as reader:
        return copy_content(reader, partial, on_bytes)


def copy_content(
    reader: FileIO, partial: Path, on_bytes: OnBytes | None = None, *, opener: Callable[[str, int], int] | None = None
) -> str:
    """
    Copy an open file's content to a path that does not exist yet, which ``opener`` makes; see :func:`copy_file`.

    Raises:
        OSError: The source cannot be read, or the target exists or cannot be written.
    """
    report = on_bytes or (lambda _: None)
    if sys.platform == "win32":
        return _copy_windows(Path(reader.name), partial, report)
    with open(partial, "xb", buffering=0, opener=opener) as writer:
        for name, way in (("reflink", _reflink), ("copy_file_range", _copy_range), ("sendfile", _sendfile)):
            if way(reader, writer, report):
                return name
        _copy_blocks(reader, writer, report)
        return "blocks"


def _copy_blocks(reader: FileIO, writer: FileIO, report: OnBytes) -> None:
    reader.seek(0)
    writer.seek(0)
    writer.truncate()
    view = memoryview(bytearray(1 << 20))
    while count := reader.readinto(view):
        rest = view[:count]
        while rest:
            rest = rest[writer.write(rest) :]
        report(reader.tell())


def _reflink(reader: FileIO, writer: FileIO, report: OnBytes) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    try:
        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    report(os.fstat(writer.fileno()).st_size)
    return True


def _copy_range(reader: FileIO, writer: FileIO, report: OnBytes) -> bool:
    call = getattr(os, "copy_file_range", None)
    if call is None:
        return False
    return _in_kernel(reader, lambda done: call(reader.fileno(), writer.fileno(), _CHUNK, done, done), report)


def _sendfile(reader: FileIO, writer: FileIO, report: OnBytes) -> bool:
    if not sys.platform.startswith("linux"):
        return False  # elsewhere sendfile writes to sockets only
    writer.seek(0)
    return _in_kernel(reader, lambda done: os.sendfile(writer.fileno(), reader.fileno(), done, _CHUNK), report)


def _in_kernel(reader: FileIO, move: Callable[[int], int], report: OnBytes) -> bool:
    size = os.fstat(reader.fileno()).st_size
    done = 0
    while done < size:
        try:
            count = move(done)
        except OSError as error:
            if done or error.errno not in _UNSUPPORTED:
                raise
            return False
        if not count:
            # Some network file systems answer "0 bytes" instead of an error; and a file can have become shorter.
            return False
        done += count
        report(done)
    return True


def _copy_windows(source: Path, partial: Path, report: OnBytes) -> str:
    """Copy by CopyFileW, which clones blocks on ReFS and lets a file server copy on its own side (SMB)."""
    if sys.platform != "win32":
        raise AssertionError
    import ctypes

    if not ctypes.windll.kernel32.CopyFileW(str(source), str(partial), 1):
        raise ctypes.WinError()
    partial.chmod(0o600)  # CopyFileW keeps a read-only attribute, which would make the copy undeletable
    report(partial.stat().st_size)
    return "CopyFileW"
