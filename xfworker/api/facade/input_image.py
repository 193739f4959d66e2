"""An input image as a job opened it: where it lies, and where a changed copy of its metadata goes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define

from xfworker.domain.image.description import ImageInfo

NewFolder = Callable[[Path, Sequence[Path]], Path]
"""Makes a folder in the working directory for a document like this one, with links to these files."""


@define
class InputImage:
    """
    Where an input image came from.

    Attributes:
        path: Its main file.
        is_in_place: Whether it lies in the file store, where nothing of it may be changed.
        is_only_metadata: Whether its pixels were left where they are.
        new_folder: Makes the folder for a private document.
    """

    path: Path
    is_in_place: bool
    is_only_metadata: bool
    new_folder: NewFolder

    def private_document(self, info: ImageInfo, *, with_pixels: bool) -> Path:
        """
        Give the path of a document in the working directory that points at the same pixels; it is private from then on.

        Args:
            info: The image.
            with_pixels: Whether the pixels are to be found beside the document, by links.
        """
        pixels = [path for path in dict.fromkeys(info.files[1:]) if path.exists()] if with_pixels else []
        document = self.new_folder(info.path, pixels) / info.path.name
        self.is_in_place = False
        return document
