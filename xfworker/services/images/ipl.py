"""Giving IPL a file that it can read: the one that is there where it can be, else an AIM made from it."""

from pathlib import Path

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.images.conversion import Progress, convert
from xfworker.services.images.statistics import statistics


def ipl_image_path(
    formats: ImageFormats,
    filesystem: Filesystem,
    path: Path,
    working_directory: Path,
    *,
    auto_convert_from_omni: bool = True,
    progress: Progress | None = None,
) -> Path:
    """
    Give a local file that IPL reads and that holds the image of ``path``.

    A file that IPL reads stays as it is. An ``.omni`` that points into such a file, and says nothing else of the image
    than that file does, gives that file. Anything else is converted to an AIM in the working directory.

    Args:
        formats: The image formats.
        filesystem: The disks; a file on a network share is copied to the working directory first.
        path: The image file.
        working_directory: Where copies and converted files go.
        auto_convert_from_omni: Whether to convert; without it, an image that IPL cannot read is refused.
        progress: Told how far converting is.

    Raises:
        UnsupportedImage: IPL cannot read the image, and it cannot or must not be converted; the message says why.
        ImageError: The file cannot be read, or is broken.
    """
    info = formats.describe(path)
    readable = info.path if info.is_ipl_compatible else pointed_file(formats, info)
    if readable is not None:
        return _local(filesystem, readable, working_directory)
    if not auto_convert_from_omni:
        raise UnsupportedImage(
            f"IPL cannot read {path} ({info.format}, {info.encoding}), and converting it to AIM was not allowed"
            " (auto_convert_from_omni=False)."
        )
    name = path.name.split(";", 1)[0]
    target = filesystem.unique_path(working_directory / f"{name.rpartition('.')[0] or name}.AIM")
    pixel_type = pixel_type_for_ipl(formats, info)
    return convert(formats, path, target, pixel_type=pixel_type, progress=progress).target.path


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
                found = statistics(reader)
            candidates: tuple[PixelType, ...] = (PixelType.INT16, PixelType.INT32)
            if info.kind == "segments":
                candidates = (PixelType.INT8, *candidates)
            for candidate in candidates:
                bounds = candidate.bounds
                assert bounds is not None
                if bounds[0] <= found.minimum and found.maximum <= bounds[1]:
                    return candidate
            raise UnsupportedImage(
                f"{info.path}: values from {found.minimum:.0f} to {found.maximum:.0f} fit no type that IPL reads."
            )
        case PixelType.FLOAT64:
            return PixelType.FLOAT32
        case _:
            return None


def _local(filesystem: Filesystem, path: Path, working_directory: Path) -> Path:
    if not filesystem.is_network_path(path):
        return path
    target = filesystem.unique_path(working_directory / path.name)
    filesystem.copy(path, target)
    return target
