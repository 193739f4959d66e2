"""How the server names files to its callers: as the file store does, never by paths of its own disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import Resource


@define(frozen=True)
class CallersNames:
    """
    Puts the names of the file store in place of the paths at which an image lies here.

    Readers of images name files by their paths, which is right for whoever runs them on files of their own.

    Attributes:
        folder: What paths of the server begin with.
        known_as: What stands in its place.
    """

    folder: str = ""
    known_as: str = ""

    @classmethod
    def of(cls, resource: Resource, path: Path) -> "CallersNames":
        """Give the names for an image and for what lies near it, such as pixels that it says are in another folder."""
        folder, names = path.parent, resource.segments[:-1]
        while names and folder.name == names[-1]:
            folder, names = folder.parent, names[:-1]
        return cls(f"{folder}{os.sep}", "".join(f"{name}/" for name in names))

    def text(self, text: str) -> str:
        """Give a text for callers."""
        return text.replace(self.folder, self.known_as)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let every error of the block say its message so."""
        try:
            yield
        except XFWorkerError as error:
            error.args = tuple(self.text(part) if isinstance(part, str) else part for part in error.args)
            raise
