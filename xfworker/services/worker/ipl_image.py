"""Giving SCANCO's IPL an image that it can read: as it is where it can, converted to AIM where that is wished."""

from collections.abc import Callable
from pathlib import Path

from attrs import define

from xfworker.domain.errors import ImageError, UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageFormats

_SLAB_BYTES = 32 * 1024 * 1024


@define(frozen=True)
class IplImages:
    """
    Finds or makes the file that IPL reads.

    Attributes:
        formats: All image formats.
    """

    formats: ImageFormats

    def readable_file(self, path: Path) -> Path | None:
        """
        Give the file of an image that IPL reads as it is: the file itself, or the one that an OMNI document points to.

        ``None`` where there is none.

        Raises:
            ImageError: The file is no image, or is broken.
        """
        info = self.formats.describe(path)
        if info.is_ipl_compatible:
            return path
        for part in info.files:
            if part != path and (inner := self._described(part)) is not None and inner.is_ipl_compatible:
                return part
        return None

    def convert(self, path: Path, target: Callable[[], Path]) -> Path:
        """
        Write an image as AIM, slab by slab.

        Args:
            path: The image.
            target: Gives the file to be made.

        Raises:
            UnsupportedImage: AIM cannot hold such pixels.
        """
        with self.formats.reader(path) as reader:
            aim = target()
            info = reader.info
            step = max(1, _SLAB_BYTES // max(1, info.slab_byte_count))
            with self.formats.writer(aim, info) as writer:
                for start in range(0, info.size[-1], step):
                    writer.write(reader.read(start, min(start + step, info.size[-1])))
        return aim

    def not_readable(self, path: Path) -> UnsupportedImage:
        """Give the error for an image that IPL cannot read."""
        info: ImageInfo = self.formats.describe(path)
        return UnsupportedImage(
            f"{path.name} is {info.format} ({info.encoding}), which IPL cannot read; give an AIM or ISQ image, or "
            "allow the conversion from OMNI (auto_convert_from_omni)"
        )

    def _described(self, path: Path) -> ImageInfo | None:
        try:
            return self.formats.probe(path)
        except (ImageError, OSError):
            return None
