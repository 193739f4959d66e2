"""Files of a store that lie on a disk of this machine, for what has to read in the middle of them."""

from pathlib import Path
from typing import Protocol

from xfworker.domain.files import Resource


class LocalFiles(Protocol):
    """
    Where files of a store lie, and what their content is called; rights are the caller's to check.

    A resource may be a file, a folder of a record or below it, or a series (``slice_0001.dcm.series``): the files
    beside one file that may be slices of the same image. A file that has the name of a series is that file.
    """

    def local_path(self, resource: Resource) -> Path:
        """
        Give the path of a file or folder, which is only read; of a series that of the file which names it.

        Raises:
            FileNotInStore: There is no such file or folder.
            FileError: The store does not keep its files on a disk of this machine.
        """
        ...

    def content_id(self, resource: Resource) -> str:
        """
        Name the content: a file's digest where the store knows it, else what changes when a file is written.

        Of folders and series it may be as old as a few seconds.

        Raises:
            FileNotInStore: There is no such file or folder.
        """
        ...
