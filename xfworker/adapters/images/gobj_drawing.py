"""Contours that were drawn on an image as a GOBJ, which counts pixels from the scanner's own corner."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from xfworker.adapters.images.gobj import GobjWriter
from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.contour import Contour
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

_UPRIGHT: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_SAME_VOXEL: Final = 0.05
_SAME_DIRECTION: Final = 1e-3


def write_drawn_contours(path: Path, image: ImageInfo, contours: Sequence[Contour]) -> None:
    """
    Write contours that lie where they were drawn when the file is laid over the image again.

    Args:
        path: The file to be.
        image: What they were drawn on.
        contours: As traced from a mask, by slice, in voxels of the image.

    Raises:
        UnsupportedImage: A GOBJ cannot say where the image lies: it stands at an angle, or begins between pixels.
    """
    if any(abs(is_ - upright) > _SAME_DIRECTION for is_, upright in zip(image.direction, _UPRIGHT, strict=True)):
        raise UnsupportedImage(f"{image.path.name} stands at an angle, which a GOBJ cannot state; draw a mask instead.")
    places = [at / step for at, step in zip(image.origin_mm, image.spacing_mm, strict=True)]
    if any(abs(place - round(place)) > _SAME_VOXEL for place in places):
        formatted = ", ".join(f"{place:.3f}" for place in places)
        raise UnsupportedImage(
            f"{image.path.name} begins between pixels of the scan, at ({formatted}), and a GOBJ counts whole ones; "
            "draw a mask instead."
        )
    mask = attrs.evolve(image, pixel_type=PixelType.INT8, kind="segments")
    with GobjWriter(path, mask) as writer:
        writer.write_contours(contours)
