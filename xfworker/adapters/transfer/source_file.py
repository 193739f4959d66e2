"""A file that is being stored must not change meanwhile."""

import os
from pathlib import Path

from xfworker.domain.errors import FileChanged


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
    if after is None or file_identity(after) != file_identity(before):
        raise FileChanged(f"{source} changed while it was read, so it was not stored; store it when it is complete")


def file_identity(status: os.stat_result) -> tuple[int, int, int]:
    """Give what distinguishes the content of a file from a later one: time in ns, size and number of the file."""
    return status.st_mtime_ns, status.st_size, status.st_ino
