"""Turning an image file into one of another format, encoding or pixel type, block after block."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from xfworker.domain.errors import UnsupportedImage, UsageError
from xfworker.domain.image.deidentify import deidentify
from xfworker.domain.image.description import SPACE_AXES, ImageInfo, Triple
from xfworker.domain.image.losses import losses
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.voxel_digest import VoxelDigest
from xfworker.ports.image_codec import ImageFormats, PixelReader, PixelWriter
from xfworker.services.images.blocks import blocks, slices_per_block

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

SliceProgress = Callable[[int, int], None]
"""Called with the slices that are done and all there are."""


_SAME_SPACING = 1e-7
_BETWEEN_SLICES = ("distance between slices", "thickness")
"""What is said in those about the third axis alone."""

_OF_LENGTHS = ("spacing", "thickness", "distance between slices", "resolution", "unit of length", "element size")
"""What is said in assumptions about lengths."""


@attrs.frozen
class Conversion:
    """
    What became of an image.

    Attributes:
        source: The image that was read.
        target: The image that was written.
        removed: What de-identifying took out; empty when it was not asked for.
        losses: What the target does not hold, or holds where other programs do not look, each in one sentence.
    """

    source: ImageInfo
    target: ImageInfo
    removed: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


def convert(
    formats: ImageFormats,
    source: Path,
    target: Path,
    *,
    encoding: str | None = None,
    pixel_type: PixelType | None = None,
    without_person: bool = False,
    spacing_mm: Triple | None = None,
    progress: SliceProgress | None = None,
) -> Conversion:
    """
    Convert an image file.

    The format of the source is detected by its content, that of the target by its suffix. Values do not change; a pixel
    type that cannot hold them is refused before anything appears.

    Args:
        formats: The image formats.
        source: The file to read.
        target: The file to write; one that exists is replaced when the new one is complete.
        encoding: How the target is to store pixels, in its format's words; None for what suits.
        pixel_type: The number type to convert to; fractions are rounded to the nearest integer. None for the same.
        without_person: Whether to leave the person's name and indices out.
        spacing_mm: Distance between voxel centres along x, y and z, in place of what the source states or lacks.
        progress: Called with how far it is.

    Raises:
        UnsupportedImage: The target cannot hold the image.
        ImageFormatError: The source is broken.
        UsageError: The target would replace a file of the source.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source} cannot be converted to itself; write to another name.")
    with formats.reader(source) as reader:
        if spacing_mm is not None:
            reader.info = with_spacing(reader.info, spacing_mm)
        source_info = reader.info
        target_info = _with_digest(source_info, reader, target, encoding)
        removed: tuple[str, ...] = ()
        if without_person:
            result = deidentify(target_info)
            target_info, removed = result.info, result.removed
        if pixel_type is not None:
            target_info = attrs.evolve(target_info, pixel_type=pixel_type)
        # Formats other than OMNI are written in their own byte order; arrays are in the machine's.
        target_info = attrs.evolve(target_info, byte_order="little")
        with formats.writer(target, target_info, encoding=encoding) as writer:
            check_apart(source_info, (writer.info.path, *writer.info.files))
            copy_pixels(reader, writer, progress)
        # What the file says: a format may round the place, or know nothing of a calibration.
        written = formats.describe(writer.info.path)
        return Conversion(source_info, written, removed, (*losses(target_info, written), *writer.remarks))


def with_spacing(info: ImageInfo, spacing_mm: Triple) -> ImageInfo:
    """
    Give an image with a spacing that the caller states; what its file did not say of lengths is no longer assumed.

    One that the file states itself is named among the assumptions, as is that it does not count.

    Raises:
        UsageError: A spacing is not a positive number of mm.
    """
    if len(spacing_mm) != 3 or not all(math.isfinite(step) and step > 0 for step in spacing_mm):  # noqa: PLR2004
        raise UsageError(f"A spacing is three positive numbers of mm (x, y, z); got {spacing_mm!r}.")
    lacking = [one for one in info.assumptions if any(word in one for word in _OF_LENGTHS)]
    rest = tuple(one for one in info.assumptions if one not in lacking)
    stated = sum(letter in SPACE_AXES for letter in info.axes)
    if lacking:
        stated = 2 if all(any(word in one for word in _BETWEEN_SLICES) for one in lacking) else 0
    own, taken = info.spacing_mm[:stated], spacing_mm[:stated]
    if not all(math.isclose(*both, rel_tol=_SAME_SPACING) for both in zip(own, taken, strict=True)):
        before, after = (" x ".join(f"{step:.9g}" for step in steps) for steps in (own, taken))
        rest += (f"states a spacing of {before} mm; {after} mm is taken, as it was asked for",)
    return attrs.evolve(info, spacing_mm=spacing_mm, assumptions=rest)


def copy_pixels(reader: PixelReader, writer: PixelWriter, progress: SliceProgress | None = None) -> None:
    """
    Copy all pixels, converting their type where it differs.

    Raises:
        UnsupportedImage: A value does not fit the writer's type.
    """
    depth = reader.info.size[-1]
    buffer: Pixels | None = None
    step = slices_per_block(reader.info)
    for start in range(0, depth, step):
        stop = min(start + step, depth)
        if buffer is None or len(buffer) != stop - start:
            buffer = _empty(reader.info, stop - start)
        slab = reader.read(start, stop, buffer)
        writer.write(converted(slab, writer.info.pixel_type, reader.info.path))
        if progress is not None:
            progress(stop, depth)


def converted(pixels: "Pixels", pixel_type: PixelType, path: Path) -> "Pixels":
    """
    Give pixels in another number type, fractions rounded to the nearest integer.

    Raises:
        UnsupportedImage: A value does not fit.
    """
    import numpy as np

    target = np.dtype(pixel_type.code)
    if pixels.dtype == target:
        return pixels
    bounds = pixel_type.bounds
    if bounds is None:
        with np.errstate(over="ignore"):
            result = pixels.astype(target)
        if pixels.dtype.kind == "f" and not bool(np.array_equal(np.isfinite(result), np.isfinite(pixels))):
            raise UnsupportedImage(f"{path}: a value is beyond what {pixel_type.value} holds.")
        lossy = pixels.dtype.kind != "f" and pixels.dtype.itemsize > target.itemsize // 2
        if lossy and not _fit(pixels, np.finfo(target).nmant + 1):
            raise UnsupportedImage(f"{path}: not every {pixels.dtype} of it is exact as {pixel_type.value}.")
        return result
    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels)
    least, largest = pixels.min(), pixels.max()
    if not (bounds[0] <= least and largest <= bounds[1]):
        raise UnsupportedImage(
            f"{path}: values from {least} to {largest} do not fit {pixel_type.value} ({bounds[0]} to {bounds[1]})."
        )
    return pixels.astype(target)


def _fit(integers: "Pixels", digits: int) -> bool:
    """Whether integers are exact with so many binary digits; a wider float is not to be had on every system."""
    import numpy as np

    magnitudes = integers.astype(np.uint64)
    magnitudes = np.where(integers < 0, ~magnitudes + np.uint64(1), magnitudes)
    lowest_bits = np.maximum(magnitudes & (~magnitudes + np.uint64(1)), np.uint64(1))
    return not bool(np.any(magnitudes // lowest_bits >> np.uint64(digits)))


def pixels_digest(reader: PixelReader) -> dict[str, str]:
    """Give the digest of all pixels as ``source.voxels`` of a document states it."""
    digest = VoxelDigest()
    for block in blocks(reader):
        digest.update(block.pixels)
    return digest.stated()


def _with_digest(info: ImageInfo, reader: PixelReader, target: Path, encoding: str | None) -> ImageInfo:
    """
    Let an image that goes back into its own format prove that its pixels are unchanged, so that header and log stay.

    Within one format there is no document that kept the digest: it is taken here, in a pass of its own.
    """
    source = info.source or {}
    own = source.get("format")
    same_format = own == info.format and target.name.lower().partition(";")[0].endswith(f".{str(own).lower()}")
    if not same_format or encoding not in (None, source.get("encoding", "raw")):
        return info
    return attrs.evolve(info, source={**source, "voxels": pixels_digest(reader)})


def check_apart(source: ImageInfo, paths: Iterable[Path]) -> None:
    """
    Check that writing files replaces none of an image: formats of two files share names such as ``scan.raw``.

    Args:
        source: The image that is read.
        paths: The files that are to be written.

    Raises:
        UsageError: One of them is a file of the image.
    """
    sources = {source.path, source.pixels_path, *source.files}
    for path in paths:
        if path.exists() and any(other.exists() and path.samefile(other) for other in sources):
            raise UsageError(
                f"{path} would be replaced, but it holds {source.path}, which is being read; write to another name."
            )


def _empty(info: ImageInfo, slices: int) -> "Pixels":
    import numpy as np

    return np.empty((slices, *info.shape[1:]), np.dtype(info.pixel_type.code))
