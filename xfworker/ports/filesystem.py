"""The local disks as a script's job uses them."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xfworker.domain.files import FileStat


class Filesystem(Protocol):
    """Working directories, unique names, free space, and files that lie on shared disks."""

    def make_working_directory(self, prefix: str) -> Path:
        """
        Make a new, empty directory that only this user can read, under the configured temporary folder.

        Raises:
            ConfigurationError: The temporary folder is missing or not writable; the message names it.
        """
        ...

    def unique_path(self, path: Path) -> Path:
        """
        Give ``path``, or a sibling with a number before its suffixes where it is taken.

        Names given out are not given out again by this object, even before a file is made there.
        """
        ...

    def remove_tree(self, directory: Path) -> None:
        """Delete a directory with all that is in it; one that is not there is not an error. Links are not followed."""
        ...

    def free_bytes(self, directory: Path) -> int:
        """Return how many bytes fit on the disk of ``directory``."""
        ...

    def local_path(self, direct_access_path: str) -> Path:
        """Translate a path in the server's words to one of this machine, by the configured path map."""
        ...

    def can_read(self, path: Path, *, size: int | None = None) -> bool:
        """Return whether the file can really be opened for reading here and has the size. Never opens to write."""
        ...

    def reading_error(self, path: Path, expected: "FileStat") -> str | None:
        """
        Return why the file at ``path`` cannot be used in place of the one in the store, or ``None`` where it can.

        It must open for reading and have the store's size and content samples. Never opens to write.
        """
        ...

    def can_write(self, path: Path) -> bool:
        """Return whether a file at ``path`` can really be created or replaced here, leaving nothing behind."""
        ...

    def copy(self, source: Path, target: Path) -> None:
        """
        Copy a file by the quickest way the disks know (reflink, in-kernel copy, else blocks).

        ``target`` appears only when complete.
        """
        ...

    def sha256(self, path: Path) -> str:
        """Give the SHA-256 of a file's content, 64 hexadecimal digits."""
        ...

    def is_network_path(self, path: Path) -> bool:
        r"""Return whether the path is a UNC share, ``\\server\share\...``, which some programs cannot open."""
        ...
