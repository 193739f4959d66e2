"""A file that appears under its final name only when it is complete."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from xfworker.adapters.transfer.partial_file import partial_path, publish
from xfworker.domain.errors import ImageError, NotEnoughSpace

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}


_KEEP_SIZE = 1
"""Linux: room beyond the file's end, without making it longer."""


class PartialFile:
    """
    A file under a unique partial name in the folder where it is to appear.

    Args:
        path: The final path; a file that stands there is replaced by ``finish``.

    Attributes:
        path: The final path.
        partial: Where the bytes are until then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = partial_path(path.parent)
        try:
            self._file: IO[bytes] | None = self.partial.open("xb+", buffering=0)
        except OSError as error:
            raise _mapped(error, path) from error

    @property
    def file(self) -> IO[bytes]:
        """The open, unbuffered file."""
        if self._file is None:
            raise ImageError(f"Writing {self.path} is over already: it was finished or discarded.")
        return self._file

    def reserve(self, count: int) -> None:
        """
        Ask the disk for room for ``count`` bytes, which makes writing them several times faster on ext4.

        Does nothing where the system does not offer it.

        Raises:
            NotEnoughSpace: The disk says at once that it has not so much room.
        """
        if not sys.platform.startswith("linux"):
            return
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        fallocate = getattr(libc, "fallocate64", None)
        if fallocate is None or count <= 0:
            return
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        failed = fallocate(self.file.fileno(), _KEEP_SIZE, 0, count)
        number = ctypes.get_errno()
        if failed and number in _FULL:
            raise _mapped(OSError(number, os.strerror(number)), self.path)

    def write(self, data: Any) -> None:
        """Append a buffer, all of it."""
        view = memoryview(data).cast("B")
        try:
            while view.nbytes:
                view = view[self.file.write(view) :]
        except OSError as error:
            raise _mapped(error, self.path) from error

    def write_at(self, offset: int, data: bytes) -> None:
        """Overwrite bytes at an offset and come back to the end."""
        self.file.seek(offset)
        self.write(data)
        self.file.seek(0, os.SEEK_END)

    def tell(self) -> int:
        """Give the number of bytes before the current position."""
        return self.file.tell()

    def finish(self) -> None:
        """Give the file its final name."""
        self.file.close()
        try:
            publish(self.partial, self.path)
        except OSError as error:
            self.discard()
            raise _mapped(error, self.path) from error
        self._file = None

    def discard(self) -> None:
        """Remove what was written; does nothing once the file is finished."""
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                self.partial.unlink()


@contextlib.contextmanager
def set_aside(path: Path) -> Iterator[None]:
    """
    Take a file away from its name while the block runs: it is removed when the block ends well, else put back.

    Raises:
        ImageError: It cannot be moved.
    """
    aside = partial_path(path.parent)
    try:
        path.rename(aside)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise _mapped(error, path) from error
    try:
        yield
    except BaseException:
        aside.replace(path)
        raise
    with contextlib.suppress(OSError):
        aside.unlink()


def _mapped(error: OSError, path: Path) -> ImageError | NotEnoughSpace:
    """Give the error that says it in this package's words."""
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return NotEnoughSpace(f"Writing {path} stopped: {reason}. Make room on its disk and try again.")
    return ImageError(f"{path} cannot be written: {reason}.")
