"""Files that are not complete yet: a unique hidden name beside the target, published by one rename."""

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xfworker.domain.filenames import filename_violation
from xfworker.services.files_in_use import when_free

PARTIAL_PREFIX = ".xfpart-"
"""How the names of incomplete files begin; listings leave them out and sweepers look for them."""


def partial_path(folder: Path, infix: str = "") -> Path:
    """Give a unique hidden path in a folder for a file that is being written."""
    return folder / f"{PARTIAL_PREFIX}{infix}{secrets.token_hex(8)}"


def require_usable_name(target: Path) -> None:
    """
    Refuse a name that Windows would take for a device, a stream of another file or another name.

    Raises:
        OSError: It is such a name, on Windows.
    """
    violation = filename_violation(target.name) if sys.platform == "win32" else None
    if violation is not None:
        raise OSError(errno.EINVAL, f"its name {violation}", str(target))


def for_owner(path: str, flags: int) -> int:
    """Open a file as ``opener`` of :func:`open`: one that is made is for its owner only, whatever the umask."""
    return os.open(path, flags, 0o600)


def publish(partial: Path, target: Path, *, fsync: bool = False) -> None:
    """
    Give a complete file its final name, replacing what was there.

    Args:
        partial: The complete file, on the same file system.
        target: Its final path.
        fsync: Wait until content and name are on the disk, so that a power cut loses neither.
    """
    if fsync:
        flush_file(partial)
    rename(partial, target)
    if fsync:
        flush_folder(target.parent)


def rename(partial: Path, target: Path) -> None:
    """Give a file on the same file system another name, replacing what was there."""
    when_free(lambda: partial.replace(target))


@contextmanager
def replacing(target: Path, *, fsync: bool = False, private: bool = False) -> Iterator[Path]:
    """
    Write a file that appears under its name only when the block ends well.

    Args:
        target: Its path.
        fsync: Wait until content and name are on the disk.
        private: It is for its owner only, whatever the umask; the path to write to is an empty file then.

    Yields:
        The path to write to. After an exception what was written there is deleted.
    """
    require_usable_name(target)
    partial = partial_path(target.parent)
    try:
        if private:
            partial.touch(mode=0o600, exist_ok=False)
        yield partial
        publish(partial, target, fsync=fsync)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def replace_text(target: Path, text: str) -> None:
    """Write a small file for its owner only, whatever the umask, which appears under its name when it is complete."""
    require_usable_name(target)
    partial = partial_path(target.parent)
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        rename(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def flush_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    # Windows refuses to flush what was opened for reading only.
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there, and NTFS journals names
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
