"""Local files that are read to their end: real files, which must not change meanwhile."""

import os
import stat
import sys
from io import FileIO
from pathlib import Path

from xfworker.domain.errors import FileChanged, FileError

_GENERIC_READ, _GENERIC_WRITE, _SHARE_ALL, _OPEN_EXISTING = 0x80000000, 0x40000000, 0x7, 3
"""Of ``CreateFileW``: share to read, to write and to delete."""


def open_source(path: Path) -> FileIO:
    """
    Open a file that is to be read to its end.

    Raises:
        FileError: It is a pipe, a device or a socket, which may have no end, or nobody at its other one; or a file of
            the system's own (``/proc``), whose size is not stated.
        OSError: It cannot be opened, or is a directory.
    """
    file = open_without_waiting(path)
    try:
        error = _refusal(file)
        if error is None:
            file.seek(0)
    except BaseException:
        file.close()
        raise
    if error is not None:
        file.close()
        raise FileError(f"cannot read {path}: {error}")
    return file


def _refusal(file: FileIO) -> str | None:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return "it is a pipe, a device or a socket, not a file"
    if not status.st_size and file.read(1):
        return "it says that it is empty and is not, as what the system shows of itself; copy it to a file first"
    return None


def open_without_waiting(path: Path) -> FileIO:
    """
    Open whatever is there for reading; opening a pipe as usual would wait until somebody writes to it.

    Raises:
        OSError: It cannot be opened, or is a directory.
    """
    return open(path, "rb", buffering=0, opener=_opener)


def open_to_change(path: Path) -> FileIO:
    """
    Open a file of this program's own for reading and writing, so that it can be renamed meanwhile.

    Raises:
        OSError: It cannot be opened, or is a directory.
    """
    return open(path, "rb+", buffering=0, opener=_opener)


def _opener(path: str, flags: int) -> int:
    if sys.platform == "win32":
        return _open_shared(path, flags)
    return os.open(path, flags | os.O_NONBLOCK)


def _open_shared(path: str, flags: int) -> int:
    """Open a file so that others may remove or rename it, which Windows does not let them by default."""
    if sys.platform != "win32":
        raise OSError("this is how files are opened on Windows")
    import ctypes
    import msvcrt

    create_file = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
    create_file.restype = ctypes.c_void_p
    number, pointer = ctypes.c_uint32, ctypes.c_void_p
    create_file.argtypes = (ctypes.c_wchar_p, number, number, pointer, number, number, pointer)
    access = _GENERIC_READ | (_GENERIC_WRITE if flags & os.O_RDWR else 0)
    handle = create_file(os.fspath(path), access, _SHARE_ALL, None, _OPEN_EXISTING, 0, None)
    if handle in {None, ctypes.c_void_p(-1).value}:
        error = ctypes.get_last_error()
        raise OSError(None, ctypes.FormatError(error).strip(), os.fspath(path), error)
    return msvcrt.open_osfhandle(handle, (flags & os.O_RDWR) | os.O_BINARY | os.O_NOINHERIT)


def require_unchanged(source: Path, before: os.stat_result) -> None:
    """
    Refuse to go on with a file that changed since it was first looked at.

    Raises:
        FileChanged: Its size, time or identity is another, or it is gone.
    """
    try:
        after: os.stat_result | None = source.stat()
    except OSError:
        after = None
    # Where Windows lets a file not be opened, as for a moment, it states no number of it.
    numbered = after is not None and after.st_ino and before.st_ino
    if after is None or file_identity(after)[: 3 if numbered else 2] != file_identity(before)[: 3 if numbered else 2]:
        raise FileChanged(f"{source} changed while it was read, so it was not stored; store it when it is complete")


def file_identity(status: os.stat_result) -> tuple[int, int, int]:
    """Give what distinguishes the content of a file from a later one: time in ns, size and number of the file."""
    return status.st_mtime_ns, status.st_size, status.st_ino
