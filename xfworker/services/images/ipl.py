"""What IPL reads of an image: the file that a document points into, and the pixel type that an AIM is to have."""

from pathlib import Path

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.images.statistics import statistics


def pointed_file(formats: ImageFormats, info: ImageInfo) -> Path | None:
    """Give the IPL-compatible file that an OMNI points into if it says the same of the image, or None."""
    if info.format != "OMNI":
        return None
    target = formats.probe(info.pixels_path)
    if target is None or not target.is_ipl_compatible:
        return None
    begins = info.pixels_offset
    if info.encoding == "raw" and begins != target.pixels_offset:
        return None
    same = (
        info.size == target.size
        and info.axes == target.axes
        and info.pixel_type is target.pixel_type
        and (info.byte_order == target.byte_order or target.pixel_type.size == 1)
        and info.spacing_mm == target.spacing_mm
        and info.origin_mm == target.origin_mm
        and info.direction == target.direction
        and [line.metadata for line in info.calibrations] == [line.metadata for line in target.calibrations]
    )
    return info.pixels_path if same else None


def pixel_type_for_ipl(formats: ImageFormats, info: ImageInfo) -> PixelType | None:
    """
    Give the pixel type in which IPL takes an image, or None where it takes it as it is.

    Labels become int8, IPL's type of masks, where they fit; float64 becomes float32; integers beyond an AIM's types
    become the smallest that holds them.
    """
    match info.pixel_type:
        case PixelType.UINT8 | PixelType.UINT16 | PixelType.UINT32 | PixelType.INT64 | PixelType.UINT64:
            with formats.reader(info.path) as reader:
                summary = statistics(reader)
            candidates: tuple[PixelType, ...] = (PixelType.INT16, PixelType.INT32)
            if info.kind == "segments":
                candidates = (PixelType.INT8, *candidates)
            for candidate in candidates:
                bounds = candidate.bounds
                assert bounds is not None
                if bounds[0] <= summary.minimum and summary.maximum <= bounds[1]:
                    return candidate
            raise UnsupportedImage(
                f"{info.path}: values from {summary.minimum:.0f} to {summary.maximum:.0f} fit no type that IPL reads."
            )
        case PixelType.FLOAT64:
            return PixelType.FLOAT32
        case _:
            return None
