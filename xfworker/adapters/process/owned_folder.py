"""Temporary folders that can be known to be abandoned: their owner holds a lock that the system frees when it dies."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.errors import FileError
from xfworker.ports.filesystem import Filesystem

if TYPE_CHECKING:
    import psutil

PREFIX = "xfworker-"
"""How the names of all temporary folders of commands begin."""

_OWNER = ".owner"
_KEPT = ".kept"
_HELD = b"held\n"
_GRACE_SECONDS = 5.0


@contextmanager
def owned_folder(purpose: str, filesystem: Filesystem, *, keep: bool = False) -> Iterator[Path]:
    """
    Make a temporary folder that is removed at the end, or by :func:`sweep_abandoned` after its owner was killed.

    Args:
        purpose: What it is for, as a part of its name.
        filesystem: Removes it.
        keep: Leave it where it is, whatever becomes of its owner.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
    if keep:
        yield folder
        return
    owner = folder / _OWNER
    try:
        with owner.open("xb", buffering=0) as lock_file:
            try_lock(lock_file)
            # Only one with content counts: between being made and being locked it looks like that of a dead owner.
            lock_file.write(_HELD)
            try:
                yield folder
            finally:
                _remove_content(folder, filesystem)
    finally:
        _remove_lock_file(owner)


def keep_folder(folder: Path) -> None:
    """Leave an owned folder where it is, after all."""
    (folder / _KEPT).touch()


def sweep_abandoned(filesystem: Filesystem) -> list[Path]:
    """
    Remove the temporary folders of owners that were killed, and end processes that still work in them.

    What cannot be removed now is left for the next time.

    Args:
        filesystem: Removes them.

    Returns:
        The folders that were abandoned.
    """
    abandoned = []
    try:
        entries = list(os.scandir(tempfile.gettempdir()))
    except OSError:
        return []
    for entry in entries:
        # Another user's folder, or a link, is not ours to remove.
        if entry.name.startswith(PREFIX) and _is_own_folder(entry):
            folder = Path(entry.path)
            with contextlib.suppress(OSError):
                if _take_over(folder, filesystem):
                    abandoned.append(folder)
    return abandoned


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and (
            sys.platform == "win32" or entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        )
    except OSError:
        return False


def _take_over(folder: Path, filesystem: Filesystem) -> bool:
    owner = folder / _OWNER
    with owner.open("r+b", buffering=0) as lock_file:
        if not try_lock(lock_file) or not os.fstat(lock_file.fileno()).st_size or (folder / _KEPT).exists():
            return False
        _end_processes(folder)
        _remove_content(folder, filesystem)
    _remove_lock_file(owner)
    return True


def _remove_content(folder: Path, filesystem: Filesystem) -> None:
    if (folder / _KEPT).exists():
        return
    # The lock file goes last: a folder without one is never swept.
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name != _OWNER:
                with contextlib.suppress(FileError):
                    filesystem.remove_tree(path)


def _remove_lock_file(owner: Path) -> None:
    with contextlib.suppress(OSError):
        if [path.name for path in owner.parent.iterdir()] == [_OWNER]:
            owner.unlink()
            owner.parent.rmdir()


def _end_processes(folder: Path) -> None:
    """End servers whose data are in the folder, and scripts whose temporary files are."""
    import psutil

    asked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _works_in(process, folder):
                process.terminate()
                asked.append(process)
    _, alive = psutil.wait_procs(asked, timeout=_GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def _works_in(process: "psutil.Process", folder: Path) -> bool:
    beginning = str(folder) + os.sep
    if process.environ().get("XFTEMP", "").startswith(beginning):
        return True
    # Not whatever names the folder: a person may look at a log in it.
    words = process.cmdline()
    return "serve" in words and any(word.startswith(beginning) for word in words)
