"""Files of a store that lie on a disk of this machine, for what has to read in the middle of them."""

from pathlib import Path
from typing import Protocol

from xfworker.domain.files import Resource


class LocalFiles(Protocol):
    """Where files of a store lie, and what their content is called; rights are the caller's to check."""

    def local_path(self, resource: Resource) -> Path:
        """
        Give the path of a file, which is only read.

        Raises:
            FileNotInStore: There is no such file.
            FileError: The store does not keep its files on a disk of this machine.
        """
        ...

    def content_id(self, resource: Resource) -> str:
        """
        Name the content of a file: its digest where the store knows it, else what changes when the file is written.

        Raises:
            FileNotInStore: There is no such file.
        """
        ...
