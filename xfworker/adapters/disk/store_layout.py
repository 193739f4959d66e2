"""Where the files of a store lie in its folder: ``<source>/<serial>/<filename>``, and what must never be reached."""

import os
from pathlib import Path

from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX
from xfworker.domain.errors import FileError, FileNotInStore, InvalidFilename
from xfworker.domain.files import Resource, require_file

PRIVATE_FOLDER = ".xfstore"
"""The store's own folder inside its root; no source of files has such a name."""


def in_file_store(path: Path) -> bool:
    """Return whether a path lies in the folder of a file store."""
    return any((folder / PRIVATE_FOLDER).is_dir() for folder in Path(os.path.realpath(path)).parents)


class StoreLayout:
    """
    Turns resources into paths below a root.

    Attributes:
        root: The store's folder.
        private: The store's own things: digests and incomplete uploads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.private = self.root / PRIVATE_FOLDER
        self._real_root = os.path.realpath(self.root)

    def path(self, resource: Resource) -> Path:
        """
        Give the path of a file or folder.

        Raises:
            InvalidFilename: The name is kept for incomplete files.
            FileError: There is a link on the way.
        """
        if any(segment.startswith(PARTIAL_PREFIX) for segment in resource.segments):
            raise InvalidFilename(f"{resource}: names that begin with {PARTIAL_PREFIX!r} are kept for incomplete files")
        path = self.root.joinpath(*resource.segments)
        # A script that may write on the shared disk could plant a link there, out of the store or to another's files;
        # rights are about names, so no name may stand for another.
        if self._has_link(path, resource):
            raise FileError(f"{resource}: a link is on its way in the file store, which is not followed; remove it")
        return path

    def _has_link(self, path: Path, resource: Resource) -> bool:
        if os.name != "nt":
            # Only what lies below the root is looked at: a link above it is the operator's.
            step = os.fspath(self.root)
            return any(os.path.islink(step := f"{step}/{segment}") for segment in resource.segments)  # noqa: PTH114  a path object for each costs more than the look
        straight = os.path.join(self._real_root, *resource.segments)  # noqa: PTH118  compared as the system writes it
        return os.path.normcase(os.path.realpath(path)) != os.path.normcase(straight)

    def file_path(self, resource: Resource) -> Path:
        """
        Give the path of an existing file.

        Raises:
            FileNotInStore: There is none.
        """
        path = self.path(require_file(resource))
        try:
            exists = path.is_file()
        except OSError:
            exists = False
        if not exists:
            raise FileNotInStore(f"the file store holds no file {resource}")
        return path

    def prune(self, folder: Path) -> None:
        """Remove folders that are empty now, up to the one of the source."""
        while folder.parent not in {self.root, folder}:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent
