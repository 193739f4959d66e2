"""Folders of code that many jobs share: jobs can read them and nothing else."""

import os
import shutil
import stat
from pathlib import Path

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def make_read_only(folder: Path) -> None:
    """Take from everybody the right to change what is in a folder, links left as they are."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for path in (Path(parent) / name for name in (*files, *folders)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_WRITABLE)
    folder.chmod(folder.stat().st_mode & ~_WRITABLE)


def remove_read_only(folder: Path) -> None:
    """Remove such a folder, as far as that is possible."""
    # What is in a folder that cannot be written to cannot be removed either.
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent) / name for name in (*folders, *files))):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
