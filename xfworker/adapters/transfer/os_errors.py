"""Turns errors of the operating system about files into this project's own, once, at the edge."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xfworker.domain.errors import FileError, NotEnoughSpace, XFWorkerError
from xfworker.services.files_in_use import is_in_use

_OPEN_ELSEWHERE = frozenset({32, 33, 1224})
"""ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION and ERROR_USER_MAPPED_FILE."""
_NO_SUCH_PATH = frozenset({2, 3, 206})
"""ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND and ERROR_FILENAME_EXCED_RANGE."""
_LONGEST_PATH = 259
_WINDOWS_DISK_FULL = frozenset({39, 112})
"""ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL."""


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """
    Turn every ``OSError`` in the block into an error that says what was being done.

    Args:
        doing: What the block does, as the sentence goes on after "cannot": ``store job_result/17/a.raw``.

    Raises:
        NotEnoughSpace: The disk or the quota is full.
        FileError: Anything else.
    """
    try:
        yield
    except XFWorkerError:
        raise
    except OSError as error:
        raise disk_error(doing, error) from error


def disk_error(doing: str, error: OSError) -> FileError:
    """Give this project's error for one of the operating system."""
    if is_disk_full(error):
        return NotEnoughSpace(f"cannot {doing}: the disk is full{_at(error)}; make room and try again")
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return FileError(f"cannot {doing}: {reason}{_at(error)}{windows_advice(error)}")


def windows_advice(error: OSError) -> str:
    """Say who has a file open, or that its path is too long for Windows, as the sentence goes on; else nothing."""
    number = getattr(error, "winerror", None)
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
    if is_in_use(error):
        from xfworker.adapters.transfer.file_holders import file_holders  # which takes ctypes along

        holders = list(dict.fromkeys(holder for name in names for holder in file_holders(name)))
        if holders:
            return f"; it is open in {', '.join(holders)}: close what was read from it, and try again"
        # What stands there already is open, mostly, where a file may not take its name.
        if number in _OPEN_ELSEWHERE or error.filename2:
            return "; a program has it open, this one perhaps: close what was read from it, and try again"
    longest = max((len(os.path.abspath(name)) for name in names), default=0)  # noqa: PTH100  names, also of another's
    if number in _NO_SUCH_PATH and longest > _LONGEST_PATH:
        return (
            f"; the path has {longest} characters, and Windows takes {_LONGEST_PATH} unless long paths are switched on "
            "(LongPathsEnabled): switch them on, or choose a shorter folder, such as XFTEMP for a working directory"
        )
    return ""


def require_room(folder: Path, size: int, doing: str, *, freed: int = 0) -> None:
    """
    Refuse what cannot fit on the disk of a folder; ``freed`` bytes more are free when it begins.

    Raises:
        NotEnoughSpace: Saying what is there and what is needed.
    """
    free = shutil.disk_usage(folder).free + freed
    if free < size:
        raise NotEnoughSpace(f"cannot {doing}: it has {size} bytes, and the disk of {folder} has room for {free}")


def is_disk_full(error: OSError) -> bool:
    """Whether the error means that a disk or a quota is full."""
    return (
        error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        or getattr(error, "winerror", None) in _WINDOWS_DISK_FULL
    )


def _at(error: OSError) -> str:
    return f" ({Path(error.filename)})" if isinstance(error.filename, str) and error.filename else ""
