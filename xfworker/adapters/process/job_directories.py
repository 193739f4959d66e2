"""The directories of jobs in a folder that several workers may share: those of running jobs are held by a lock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define

from xfworker.adapters.process.file_lock import try_lock
from xfworker.adapters.transfer.partial_file import for_owner

_OWNER = ".owner"
_NEW_SECONDS = 60.0
"""A directory of this age may be one that its worker is about to lock."""


@define(frozen=True)
class JobDirectories:
    """
    Directories of jobs.

    Attributes:
        folder: The folder that holds them.
        prefix: How their names begin.
    """

    folder: Path
    prefix: str

    @contextmanager
    def held(self, directory: Path) -> Iterator[None]:
        """Hold a directory, so that no other worker takes it for one of an ended job."""
        with open(directory / _OWNER, "xb", buffering=0, opener=for_owner) as file:
            try_lock(file)
            yield
        # Windows removes no directory with an open file in it, and what is not held needs no owner.
        with suppress(OSError):
            (directory / _OWNER).unlink()

    def unused(self) -> list[tuple[Path, float]]:
        """List the directories that no process holds, and how many seconds ago each was last touched."""
        now = time.time()
        unused = []
        for path in self.folder.iterdir():
            if path.name.startswith(self.prefix) and path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    age = now - path.stat().st_mtime
                    if not _is_held(path, age):
                        unused.append((path, age))
        return unused


def _is_held(directory: Path, age: float) -> bool:
    try:
        with (directory / _OWNER).open("r+b", buffering=0) as file:
            return not try_lock(file)
    except FileNotFoundError:
        return age < _NEW_SECONDS and not any(directory.iterdir())
    except OSError:
        return True  # another user's
