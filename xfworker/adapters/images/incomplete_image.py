"""A file that appears under its final name only when it is complete."""

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from xfworker.adapters.images.abandoned_files import OWNER_FILE, hold, incomplete_path
from xfworker.adapters.images.disk_room import allocate, reserve_ahead, writing_error, writing_errors
from xfworker.adapters.transfer.partial_file import partial_path, require_usable_name
from xfworker.domain.errors import ImageError
from xfworker.services.files_in_use import is_in_use, when_free


class PartialFile:
    """
    A file under a unique partial name in the folder where it is to appear.

    While it is open it is held, so that a sweeper (``abandoned_files``) leaves it alone.

    Args:
        path: The final path; a file that stands there is replaced by ``finish``.

    Attributes:
        path: The final path.
        partial: Where the bytes are until then.
        is_finished: Whether it has its final name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_finished = False
        self._process = os.getpid()
        self._file: IO[bytes] | None = None
        with writing_errors(path):
            require_usable_name(path)
        while self._file is None:
            self.partial = incomplete_path(path.parent)
            with writing_errors(path):
                file = self.partial.open("xb+", buffering=0)
            if hold(file, self.partial):
                self._file = file
            else:
                file.close()

    @property
    def file(self) -> IO[bytes]:
        """The open, unbuffered file."""
        if self._file is None:
            raise ImageError(f"Writing {self.path} is over already: it was finished or discarded.")
        return self._file

    def reserve(self, count: int) -> None:
        """Ask the disk for room for ``count`` bytes that are about to be appended; raises as ``reserve_ahead``."""
        reserve_ahead(self.file, count, self.path)

    def allocate(self, count: int) -> None:
        """Make the file ``count`` bytes long, with room for all of them on the disk; raises as ``allocate``."""
        allocate(self.file, count, self.path)

    def write(self, data: Any) -> None:
        """Append a buffer, all of it."""
        view = memoryview(data).cast("B")
        with writing_errors(self.path):
            while view.nbytes:
                view = view[self.file.write(view) :]

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
        # Closing is when some network disks say that they are full; the second handle holds the file until it is named.
        held = None if sys.platform == "win32" else os.dup(self.file.fileno())
        try:
            self.file.close()
            when_free(self._take_name)
        except OSError as error:
            self.discard()
            raise writing_error(error, self.path) from error
        finally:
            if held is not None:
                os.close(held)
        self._file = None
        self.is_finished = True

    def _take_name(self) -> None:
        try:
            self.partial.replace(self.path)
        except OSError as error:
            if not is_in_use(error):
                raise
            # What is mapped there cannot be replaced, but what this package opened can be renamed: whoever maps it
            # keeps it. Under that name it is removed as soon as it is free.
            aside = incomplete_path(self.path.parent)
            self.path.rename(aside)
            try:
                self.partial.rename(self.path)
            except BaseException:
                aside.rename(self.path)
                raise
            with contextlib.suppress(OSError):
                aside.unlink()

    def discard(self) -> None:
        """Remove what was written; does nothing once the file is finished, or in a process forked from the writer's."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if os.getpid() == self._process:
                with contextlib.suppress(OSError):
                    self.partial.unlink()


class PartialFolder:
    """
    A folder under a unique partial name that gets its own when it is complete; held as ``PartialFile`` is.

    Args:
        path: The final path, where nothing may stand.

    Attributes:
        path: The final path.
        partial: Where its files go until then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process = os.getpid()
        self.partial = incomplete_path(path.parent)
        with writing_errors(path):
            self.partial.mkdir()
            self._owner = (self.partial / OWNER_FILE).open("xb+", buffering=0)
        hold(self._owner, self.partial / OWNER_FILE)

    def finish(self) -> None:
        """Give the folder its final name."""
        with writing_errors(self.path):
            # Nobody sweeps a folder without this file, so it is safe before it has its name as well.
            if sys.platform == "win32":
                self._owner.close()
            when_free((self.partial / OWNER_FILE).unlink)
            when_free(lambda: self.partial.rename(self.path))
        self._owner.close()

    def discard(self) -> None:
        """Remove what was written."""
        self._owner.close()
        if os.getpid() == self._process:
            shutil.rmtree(self.partial, ignore_errors=True)


def finish_both(pixels: PartialFile, document: PartialFile) -> None:
    """
    Give new pixels and the document that describes them their names, in place of an image that may stand there.

    Two files cannot be replaced at once: an older document is never found with the new pixels, and what stood there is
    there again where either of the new ones does not get its name.

    Raises:
        ImageError: A file cannot be moved or replaced, or a folder stands there.
    """
    with _set_aside(document), _set_aside(pixels, stays=True):
        pixels.finish()
        document.finish()


@contextlib.contextmanager
def _set_aside(new: PartialFile, *, stays: bool = False) -> Iterator[None]:
    """
    Keep what a new file replaces under a hidden name while the block runs: it is removed when that ends well, else put
    back.

    Args:
        new: The new file; nothing need stand there yet.
        stays: What stands there is there until it is replaced, where the disk knows hard links.

    Raises:
        ImageError: It is a folder, or cannot be moved or put back.
    """
    path = new.path
    aside = partial_path(path.parent)
    try:
        if path.is_dir():  # it could be moved away as a file is
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # What another program has open is refused here on Windows, before anything changes.
        when_free(lambda: path.rename(aside))
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise writing_error(error, path) from error
    is_there = stays and _link(aside, path)
    try:
        yield
    except BaseException:
        try:
            if is_there and not new.is_finished:
                _remove(aside)
            else:
                when_free(lambda: aside.replace(path))
        except OSError as error:
            raise ImageError(
                f"{path} could not be replaced, and what stood there is {aside.name} in the same folder now, which"
                f" could not be renamed: {error.strerror or error}. Rename it to {path.name} to have it back."
            ) from error
        raise
    _remove(aside)


def _remove(aside: Path) -> None:
    """Remove what nobody needs; what is still mapped gets a name that the sweeper removes once it is free."""
    with contextlib.suppress(OSError):
        try:
            aside.unlink()
        except OSError:
            when_free(lambda: aside.rename(incomplete_path(aside.parent)))


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:
        return False  # a disk without hard links
    return True
