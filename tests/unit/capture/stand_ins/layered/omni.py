"""Images of the stand-in."""

from labcore.images import Calibration, Image

__all__ = ["Calibration", "Image"]
