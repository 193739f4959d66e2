"""Giving SCANCO's IPL an image that it can read: as it is where it can, converted to AIM where that is wished."""

from collections.abc import Callable
from pathlib import Path

from attrs import define

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.images.conversion import convert
from xfworker.services.images.ipl import pixel_type_for_ipl, pointed_file


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
        return pointed_file(self.formats, info)

    def convert(self, path: Path, target: Callable[[], Path]) -> Path:
        """
        Write an image as AIM, slab by slab.

        Args:
            path: The image.
            target: Gives the file to be made.

        Raises:
            UnsupportedImage: AIM cannot hold such pixels.
        """
        pixel_type = pixel_type_for_ipl(self.formats, self.formats.describe(path))
        return convert(self.formats, path, target(), pixel_type=pixel_type).target.path

    def not_readable(self, path: Path) -> UnsupportedImage:
        """Give the error for an image that IPL cannot read."""
        info: ImageInfo = self.formats.describe(path)
        return UnsupportedImage(
            f"{path.name} is {info.format} ({info.encoding}), which IPL cannot read; give an AIM or ISQ image, or "
            "allow the conversion from OMNI (auto_convert_from_omni)"
        )
