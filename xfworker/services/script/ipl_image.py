"""Giving SCANCO's IPL an image that it can read: as it is where it can, converted to AIM where that is asked for."""

from collections.abc import Callable
from pathlib import Path

from attrs import define

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.losses import calibration_losses
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.event_log import EventLog
from xfworker.services.images.conversion import convert
from xfworker.services.images.ipl import pixel_type_for_ipl, pointed_file

_log = EventLog("xfworker.images")


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
            ImageError: The file is not an image, or is broken.
        """
        info = self.formats.describe(path)
        if info.is_ipl_compatible:
            return path
        return pointed_file(self.formats, info)

    def convert(self, path: Path, target: Callable[[], Path], *, allow_calibration_loss: bool = False) -> Path:
        """
        Write an image as AIM, slab by slab; what AIM does not hold of its place is written to the log.

        Args:
            path: The image.
            target: Gives the file to be made.
            allow_calibration_loss: Whether to write an image although an AIM cannot state one of its calibrations.

        Raises:
            UnsupportedImage: AIM cannot hold such pixels, or not such calibrations.
        """
        info = self.formats.describe(path)
        lost = calibration_losses(info.calibrations, ScancoCalibration.of(info.calibrations).calibrations())
        if lost and not allow_calibration_loss:
            raise UnsupportedImage(
                f"{path.name} cannot be given to IPL with its values: {'; '.join(lost)}. An AIM states HU as 1000 mu /"
                " mu_water - 1000 and linear attenuation as raw / Mu_Scaling. Change the calibrations or the raw"
                " values, or allow it (allow_calibration_loss=True), which keeps the raw values only."
            )
        done = convert(self.formats, path, target(), pixel_type=pixel_type_for_ipl(self.formats, info))
        for text in (*done.source.assumptions, *done.losses):
            _log.warning("xfworker.ipl_image_differs", image=path.name, file=done.target.path.name, difference=text)
        return done.target.path

    def not_readable(self, path: Path) -> UnsupportedImage:
        """Give the error for an image that IPL cannot read."""
        info: ImageInfo = self.formats.describe(path)
        return UnsupportedImage(
            f"{path.name} is {info.format} ({info.encoding}), which IPL cannot read; give an AIM or ISQ image, or "
            "allow the conversion from OMNI (auto_convert_from_omni)"
        )
