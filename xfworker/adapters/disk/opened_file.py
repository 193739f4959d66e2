"""A file of a folder store that is open for reading."""

from collections.abc import Iterator
from io import FileIO

from attrs import define

from xfworker.adapters.transfer.os_errors import disk_errors

BLOCK = 1 << 20


@define
class OpenedFile:
    """
    Stays the same file even where another takes its name.

    Attributes:
        file: The open file.
    """

    file: FileIO

    @property
    def descriptor(self) -> int:
        """The open file, for a web server that sends it by itself."""
        return self.file.fileno()

    def blocks(self, *, offset: int = 0, length: int | None = None, block_bytes: int = BLOCK) -> Iterator[bytes]:
        """Give a part of the file in blocks of at most ``block_bytes``, and close it at the end."""
        with self.file as opened, disk_errors(f"read {opened.name}"):
            opened.seek(offset)
            remaining = length
            while remaining is None or remaining > 0:
                block = opened.read(block_bytes if remaining is None else min(block_bytes, remaining))
                if not block:
                    return
                remaining = None if remaining is None else remaining - len(block)
                yield block

    def close(self) -> None:
        self.file.close()
