"""The modes of what a file store makes: one rule, whatever the process's umask is."""

import stat
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from attrs import define


class GroupAccess(StrEnum):
    """What the group of a store's folder may do with its files without going through the store."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


_BITS = {GroupAccess.NONE: 0o000, GroupAccess.READ: 0o050, GroupAccess.WRITE: 0o070}


@define(frozen=True)
class FileModes:
    """
    Gives files and folders their modes; nothing is ever open to users outside the group.

    Attributes:
        group: What the group may do.
    """

    group: GroupAccess = GroupAccess.NONE

    @classmethod
    def as_of(cls, path: Path) -> "FileModes":
        """Give the modes by which a file of a store was made."""
        mode = path.stat().st_mode
        return cls(GroupAccess.WRITE if mode & 0o020 else GroupAccess.READ if mode & 0o040 else GroupAccess.NONE)

    @property
    def file(self) -> int:
        """The mode of a file: 0600, 0640 or 0660."""
        return 0o600 | (_BITS[self.group] & 0o060)

    @property
    def folder(self) -> int:
        """The mode of a folder: 0700, 0750 or 0770."""
        return 0o700 | _BITS[self.group]

    def make_folders(self, folder: Path) -> None:
        """
        Make a folder and those above it that are not there; those that are there keep their modes.

        Raises:
            OSError: One cannot be made, or a file is in its place.
        """
        if folder.is_dir():
            return
        self.make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        # A folder takes its group from the one above where that one says so (set-group-ID), and says it on.
        _set_mode(folder, self.folder | (folder.stat().st_mode & stat.S_ISGID))

    def set_on_file(self, path: Path) -> None:
        """Give a file its mode."""
        _set_mode(path, self.file)


def _set_mode(path: Path, mode: int) -> None:
    if sys.platform == "win32":
        return  # rights there are inherited from the folder
    with suppress(PermissionError, NotImplementedError):  # some shares decide about modes themselves
        path.chmod(mode)
