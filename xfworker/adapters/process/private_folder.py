"""Folders from which code is run, so nobody else may be able to put anything into them."""

import os
import stat
import sys
from pathlib import Path

from xfworker.domain.errors import ConfigurationError


def private_folder(folder: Path, *, mode: int = 0o700) -> Path:
    """
    Make a folder where it is not there, and make sure that only this user (or root) can put anything into it.

    Args:
        folder: The folder.
        mode: Its rights where it is made.

    Raises:
        ConfigurationError: It cannot be made, belongs to another user, or can be written to by others.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=mode, exist_ok=True)
        # Not resolved: a link could be pointed elsewhere by its owner.
        status = folder.lstat()
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror or error}; name another with --data"
        ) from None
    if sys.platform == "win32":
        return folder
    if stat.S_ISLNK(status.st_mode):
        if status.st_uid not in {os.geteuid(), 0}:
            raise ConfigurationError(f"{folder} is another user's link; code is run from there, so it is not used")
        status = folder.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise ConfigurationError(
            f"{folder} belongs to another user; code is run from there, so it is not used; name another folder with "
            "--data"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"{folder} can be written to by other users (mode {stat.S_IMODE(status.st_mode):o}); code is run from "
            f"there, so it is not used; take that right away (chmod go-w {folder}), or name another folder with --data"
        )
    return folder
