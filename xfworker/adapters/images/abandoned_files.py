"""
Incomplete images whose writer is gone: they are recognised by a lock, and removed.

A writer holds an advisory lock on its incomplete file as long as it lives; the system lets go of it however the process
ends. The name says which machine wrote it, since locks of other machines are not always seen.
"""

import contextlib
import os
import platform
import shutil
import stat
import sys
import time
import zlib
from pathlib import Path
from typing import IO, Final

from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, partial_path

OWNER_FILE: Final = ".xfowner"
"""The file in an incomplete folder that its writer keeps locked."""

_WINDOWS_QUIET_SECONDS: Final = 60
"""On Windows a file is closed before it gets its name: one that was written to a moment ago is left alone."""


def incomplete_path(folder: Path) -> Path:
    """Give a unique hidden path for an image that is being written on this machine."""
    return partial_path(folder, _mark())


def hold(file: IO[bytes], path: Path) -> bool:
    """
    Hold a file that was just made as one that is being written, until it is closed.

    Args:
        file: The open file.
        path: Its path.

    Returns:
        False where a sweeper took it in between, so that another is to be made.
    """
    if sys.platform == "win32":
        return True  # a file that is open cannot be removed there
    import fcntl

    with contextlib.suppress(OSError):  # a disk without locks: no sweeper gets one either
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except OSError:
        return False


def sweep(folder: Path) -> None:
    """Remove the incomplete images in a folder that this machine began and whose writers are gone."""
    prefix = PARTIAL_PREFIX + _mark()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_abandoned(Path(entry.path))


def _remove_abandoned(path: Path) -> None:
    is_folder = stat.S_ISDIR(path.lstat().st_mode)
    owned = path / OWNER_FILE if is_folder else path
    if sys.platform == "win32":
        if time.time() - owned.stat().st_mtime < _WINDOWS_QUIET_SECONDS:
            return
        owned.unlink()  # fails while it is open
    else:
        import fcntl

        with owned.open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            if not is_folder:
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)
        return
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)


def _mark() -> str:
    return f"image-{zlib.crc32(platform.node().encode()):08x}-"
