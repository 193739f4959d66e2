"""The temporary directory of a job, and unique names in it."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePath

from xfworker.domain.errors import UsageError
from xfworker.domain.filenames import check_filename, is_safe_filename
from xfworker.ports.filesystem import Filesystem

_UNSAFE = r"[^A-Za-z0-9_-]+"
_LONGEST_NAME_BYTES = 200
_RANDOM_ENDING = "x" * 8
"""What stands behind the prefix of a working directory."""


class WorkingDirectory:
    """
    A directory for the files of one job; what it names is unique and lies under it.

    In processes that the script forks, names carry the number of the process, so that no two get the same; what they
    download goes to a subdirectory of their own.

    Attributes:
        path: The directory itself.
    """

    def __init__(self, filesystem: Filesystem, prefix: str) -> None:
        """
        Make the directory.

        Raises:
            InvalidFilename: The prefix cannot be the beginning of one safe file name.
            ConfigurationError: The temporary folder is missing or not writable.
        """
        if not isinstance(prefix, str):
            raise UsageError(f"a working directory's prefix is a string, not {prefix!r:.80}")
        check_filename(f"{prefix}{_RANDOM_ENDING}")
        self._filesystem = filesystem
        self.path = filesystem.make_working_directory(prefix)
        self._subdir: ContextVar[Path | None] = ContextVar("subdir", default=None)
        self._of_maker = self.path
        self._maker = threading.get_ident()
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<working directory {self.path}>"

    @property
    def directory(self) -> Path:
        """Where files are brought to: the directory itself, or its subdirectory in use; of a forked process its own."""
        current = self._current
        if not self._forked:
            return current
        own = current / f"process-{os.getpid()}"
        own.mkdir(exist_ok=True)
        return own

    def create_related_path(self, path: Path, postfix: str) -> Path:
        """
        Give a unique path named like ``path`` with its suffix replaced by ``postfix``.

        Unlike ``path.with_suffix`` the postfix may be more than a suffix: ``scan.AIM`` with ``_SEG.AIM`` becomes
        ``scan_SEG.AIM``.

        Args:
            path: The file to be named after; only its name matters.
            postfix: What follows the name without its suffix.

        Returns:
            A path in the working directory (or its current subdirectory) that was never given out before. No file is
            made there.

        Raises:
            InvalidFilename: The result is not one safe file name, so that it could leave the directory.
        """
        if not isinstance(path, PurePath | str) or not isinstance(postfix, str):
            raise UsageError(
                f"create_related_path takes a path and a postfix such as '_seg.omni', not {path!r} and {postfix!r}"
            )
        return self._unique(_shortened(PurePath(path).stem, postfix) + postfix)

    def create_temp_path(self, filename: str) -> Path:
        """
        Give a unique path named ``filename``.

        Returns:
            A path in the working directory (or its current subdirectory) that was never given out before. No file is
            made there.

        Raises:
            InvalidFilename: The name is not one safe file name.
        """
        return self._unique(filename)

    def create_temp_directory(self, name: str, max_name_len: int = 32) -> Path:
        """Make a new directory with a unique name near ``name``, whatever that holds, and give its path."""
        short = re.sub(_UNSAFE, "_", name)[:max_name_len].strip("_") or "sub"
        directory = self._unique(short if is_safe_filename(short) else f"_{short}")
        directory.mkdir()
        return directory

    def is_under(self, p: Path) -> bool:
        """
        Return whether the path lies in the working directory, links and ``..`` resolved.

        Raises:
            UsageError: It is not a path.
        """
        if not isinstance(p, PurePath | str) or "\0" in str(p):
            raise UsageError(f"is_under takes a path, not {p!r:.80}")
        resolved = Path(os.path.realpath(p))
        root = Path(os.path.realpath(self.path))
        return resolved == root or root in resolved.parents

    def remove(self) -> None:
        """Delete the directory with all that is in it; a second call does nothing."""
        self._filesystem.remove_tree(self.path)

    @contextmanager
    def subdir(self, name: str, max_name_len: int = 8) -> Iterator[None]:
        """
        Make a subdirectory and use it for new temporary and related paths during the ``with`` block.

        Threads and asynchronous tasks do not see each other's subdirectories; threads that have none of their own use
        that of the thread which made the working directory.

        Args:
            name: What the subdirectory is about; characters that trouble file systems are left out.
            max_name_len: The most characters of the name to keep, so that deep paths stay short (Windows).

        Raises:
            UsageError: ``max_name_len`` is below 1.
        """
        if not isinstance(name, str) or isinstance(max_name_len, bool) or not isinstance(max_name_len, int):
            raise UsageError(f"subdir takes a name and a number of characters, not {name!r} and {max_name_len!r}")
        if max_name_len < 1:
            raise UsageError(f"subdir: max_name_len must be at least 1, not {max_name_len}")
        directory = self.create_temp_directory(name, max_name_len)
        token = self._subdir.set(directory)
        before = self._of_maker
        if threading.get_ident() == self._maker:
            self._of_maker = directory
        try:
            yield
        finally:
            self._subdir.reset(token)
            if threading.get_ident() == self._maker:
                self._of_maker = before

    def _unique(self, filename: str) -> Path:
        name = check_filename(filename)
        if self._forked:
            # A subdirectory would not do: outputs are stored under their names.
            stem, dot, rest = name.partition(".")
            name = check_filename(f"{stem}_{os.getpid()}{dot}{rest}")
        return self._filesystem.unique_path(self._current / name)

    @property
    def _current(self) -> Path:
        own = self._subdir.get()
        if own is not None:
            return own
        return self.path if threading.get_ident() == self._maker else self._of_maker

    @property
    def _forked(self) -> bool:
        # A forked process does not know which names the others give out.
        return self._process != os.getpid()


def _shortened(stem: str, postfix: str) -> str:
    # A long name must not make the related one impossible; room is kept for the number that makes it unique.
    room = max(_LONGEST_NAME_BYTES - len(postfix.encode(errors="replace")), 1)
    encoded = stem.encode(errors="surrogatepass")
    return stem if len(encoded) <= room else encoded[:room].decode(errors="ignore")
