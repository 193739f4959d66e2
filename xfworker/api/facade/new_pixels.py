"""The pixels file of an image that is being made: under a partial name until the image is saved."""

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    from xfworker.adapters.images.incomplete_image import PartialFile
    from xfworker.ports.image_codec import Pixels
    from xfworker.services.images.ownership import Probe


class NewPixels:
    """
    Where the pixels of a new image are, before and after it is saved.

    Nobody finds them under their final name before the document that describes them: an older document there keeps
    its own pixels until then. A script may also write the pixels file itself.

    Args:
        info: What the image will be.
    """

    def __init__(self, info: ImageInfo) -> None:
        self._path = info.pixels_path
        self._before = _identity(info.pixels_path)
        self._partial: PartialFile | None = None

    @property
    def is_written_by_script(self) -> bool:
        """Whether a file appeared under the final name since the image was made, which is not this object's."""
        return self._partial is None and _identity(self._path) not in (None, self._before)

    def current_path(self, info: ImageInfo) -> Path:
        """Give where the pixels are now."""
        return info.pixels_path if self._partial is None else self._partial.partial

    def map(self, info: ImageInfo, probe: "Probe") -> "Pixels":
        """
        Give a writable memory map of the pixels; the room on the disk for all of them is reserved before.

        Raises:
            UsageError: Another image's pixels stand under that name.
            NotEnoughSpace: The disk has not so much room.
            ImageError: The file cannot be made.
        """
        import numpy as np

        from xfworker.adapters.images.abandoned_files import sweep
        from xfworker.adapters.images.disk_room import allocate, writing_errors
        from xfworker.adapters.images.incomplete_image import PartialFile
        from xfworker.adapters.transfer.source_file import open_to_change

        if self._partial is None and self.is_written_by_script and _size(self._path) == info.byte_count:
            with writing_errors(self._path), self._path.open("rb+", buffering=0) as file:
                allocate(file, info.byte_count, self._path)
        elif self._partial is None:
            self._check(info, probe)
            sweep(self._path.parent)
            partial = PartialFile(self._path)
            # An image that is never saved leaves nothing behind.
            weakref.finalize(self, partial.discard)
            partial.allocate(info.byte_count)
            self._partial = partial
        dtype = np.dtype(info.pixel_type.numpy_code(info.byte_order))
        with writing_errors(self._path), open_to_change(self.current_path(info)) as file:
            return np.memmap(file, dtype, "r+", 0, info.shape)

    def completed(self, info: ImageInfo, probe: "Probe") -> "PartialFile | None":
        """
        Give the pixels as a file that waits for its final name, or None where they have it.

        Raises:
            UsageError: Another image's pixels stand under that name.
            ImageFormatError: The image became larger since its pixels were mapped.
        """
        from xfworker.adapters.images.raw_pixels import check_raw_size

        if self._partial is None:
            return None
        self._check(info, probe)
        check_raw_size(attrs.evolve(info, pixels_path=self._partial.partial))
        return self._partial

    def published(self) -> None:
        """Let go of the temporary file: the pixels have their final name. What is mapped stays mapped."""
        if self._partial is not None:
            self._partial.discard()  # where assigned pixels replaced mapped ones
        self._partial, self._before = None, None

    def _check(self, info: ImageInfo, probe: "Probe") -> None:
        from xfworker.services.images.ownership import check_replaceable

        try:
            check_replaceable(info.path, [self._path], probe)
        except UsageError as error:
            raise UsageError(
                f"{error} To describe {self._path.name} as it is, save the image without touching its pixels, and open"
                " it."
            ) from None


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _size(path: Path) -> int:
    return path.stat().st_size
