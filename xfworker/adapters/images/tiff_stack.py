"""TIFF stacks: one grey page per slice, by tifffile. Spacing and meaning are kept as ImageJ and this package do."""

import contextlib
import json
import lzma
import math
import zlib
from collections.abc import Callable
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import (
    KEY,
    carried,
    line_for_others,
    unseen_calibrations,
    with_carried,
)
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, SlabWriter, file_bytes
from xfworker.adapters.images.tiff_metadata import (
    calibrations_of,
    has_line_in_imagej,
    imagej_description,
    lengths_of,
    pixels_per,
)
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo
from xfworker.domain.image.pixel_type import ByteOrder, PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MAGICS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG_TIFF_FROM: Final = 2**32 - 2**25
_SLICES: Final = "ZIQ"
"""What tifffile calls an axis along which slices follow one another: depth, sequence, unknown."""

_WHITE_IS_ZERO, _PALETTE = 0, 3
"""What a page states of its colours (PhotometricInterpretation)."""

_FIRST_ROW_ON_TOP: Final = 1
_MOST_PER_BYTE: Final = 4096
_NOTE: Final = "xfworker="


class TiffCodec:
    """The ``ImageCodec`` of TIFF stacks with one number per pixel."""

    name = "TIFF"
    suffixes: tuple[str, ...] = (".tif", ".tiff")
    encodings: tuple[str, ...] = ("raw", "zlib")

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is a TIFF."""
        return head.startswith(_MAGICS)

    def describe(self, path: Path) -> ImageInfo:
        """Read the pages' tags; see the port."""
        with self.reader(path) as reader:
            return reader.info

    def reader(self, path: Path) -> SlabReader:
        """Open the pages; see the port."""
        library = reader_library("tifffile", path, "a TIFF")
        try:
            file = library.TiffFile(path)
        except Exception as error:  # tifffile raises several classes of its own
            raise ImageFormatError(f"tifffile cannot read it: {error}.", path=path, field="header") from error
        try:
            info = _described(path, file)
            if info.pixels_offset is None:
                return TiffReader(info, file)
            reader = RawReader(info)
        except ImageError:
            file.close()
            raise
        except Exception as error:
            file.close()
            raise ImageFormatError(
                f"tifffile cannot read its pages: {error!r:.200}.", path=path, field="pages"
            ) from error
        file.close()
        return reader

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "TiffWriter":
        """Begin a TIFF; see the port."""
        if encoding not in (None, *self.encodings):
            raise UnsupportedImage(f"{path}: TIFF is written raw or zlib, not {encoding}.")
        return TiffWriter(path, image, encoding or "raw")


def _described(path: Path, file: Any) -> ImageInfo:
    pages = file.pages
    first = pages[0]
    if first.samplesperpixel != 1 or len(first.shape) != 2:  # noqa: PLR2004 - rows and columns
        raise UnsupportedImage(
            f"{path}: pages with {first.samplesperpixel} numbers per pixel are not read, grey ones are."
        )
    pixel_type = None if first.dtype is None else PixelType.of_numpy_code(first.dtype.str)
    if pixel_type is None:
        raise UnsupportedImage(f"{path}: pixels of type {first.dtype} are not read.")
    # A damaged tag may be of a type with fractions or a sign.
    rows, columns = (index(count) for count in first.shape)
    if rows < 1 or columns < 1:
        raise ImageFormatError(f"it is of {columns} x {rows} pixels.", path=path, field="ImageWidth")
    if rows * columns * pixel_type.size > max(1, path.stat().st_size) * _MOST_PER_BYTE:
        raise ImageFormatError(
            f"{columns} x {rows} pixels cannot be in so small a file.", path=path, field="ImageWidth"
        )
    _check_last_page(path, file)
    depth = _depth(path, file)
    lengths = lengths_of(file, first, depth, path)
    calibrations, others = calibrations_of(file, pixel_type)
    description = first.description or ""
    compression = getattr(first.compression, "name", None) or ("none" if int(first.compression) == 1 else "unknown")
    info = ImageInfo(
        path=path,
        format=TiffCodec.name,
        encoding=str(compression).lower(),
        size=(columns, rows, depth),
        pixel_type=pixel_type,
        byte_order="little" if file.byteorder == "<" else "big",
        pixels_path=path,
        pixels_offset=_offset(file, first, depth, rows * columns * pixel_type.size),
        spacing_mm=lengths.spacing_mm,
        origin_mm=lengths.origin_mm,
        calibrations=calibrations,
        default_unit_type=calibrations[0].unit_type if calibrations else None,
        header={"pages": len(pages), "description": description[:1000]},
        files=(path,),
        assumptions=lengths.assumptions,
    )
    noted = _with_note(info, description)
    if _are_planes_of_their_own(file):
        others = (*others, f"holds {depth} images of equal size, which are taken as slices in their order")
    return attrs.evolve(noted, assumptions=(*noted.assumptions, *others, *_shown_otherwise(first)))


def _shown_otherwise(page: Any) -> tuple[str, ...]:
    """Say how pixels are meant to be shown, where that is not from black to white; they are read as they are stored."""
    meanings = {_WHITE_IS_ZERO: "shows 0 as white (MINISWHITE)", _PALETTE: "has a table of colours (PALETTE)"}
    meaning = meanings.get(int(page.photometric))
    remarks = [] if meaning is None else [f"{meaning}; values are taken as they are stored"]
    tag = page.tags.get("Orientation")
    if tag is not None and int(tag.value) not in (0, _FIRST_ROW_ON_TOP):
        remarks.append(f"is to be turned for display (Orientation {int(tag.value)}); rows are taken as they are stored")
    return tuple(remarks)


def _with_note(info: ImageInfo, description: str) -> ImageInfo:
    """Give the image with what this package noted in the first page's description."""
    note = next(
        (line.removeprefix(_NOTE) for line in description.splitlines() if line.startswith(_NOTE)),
        description,
    )
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        place = json.loads(note)[KEY + "_place"]
        origin = [float(value) for value in place["origin_mm"]]
        spacing = [float(value) for value in place["spacing_mm"]]
        direction = tuple(float(value) for value in place.get("direction", ALONG_THE_AXES))
        if len(origin) == len(spacing) == 3 and all(0 < step < math.inf for step in spacing):  # noqa: PLR2004 - x, y, z
            info = attrs.evolve(
                info,
                origin_mm=(origin[0], origin[1], origin[2]),
                spacing_mm=(spacing[0], spacing[1], spacing[2]),
                direction=direction,
                assumptions=(),
            )
    return with_carried(info, note)


def _check_last_page(path: Path, file: Any) -> None:
    """
    Check that the chain of pages ends: tifffile leaves pages out that are behind the file's end.

    Raises:
        ImageFormatError: It does not.
    """
    handle, last = file.filehandle, file.pages[-1]
    count_bytes, entry_bytes, offset_bytes = (8, 20, 8) if file.is_bigtiff else (2, 12, 4)
    order: ByteOrder = "little" if file.byteorder == "<" else "big"
    handle.seek(last.offset)
    entries = int.from_bytes(handle.read(count_bytes), order)
    handle.seek(last.offset + count_bytes + entries * entry_bytes)
    following = int.from_bytes(handle.read(offset_bytes), order)
    if following and not file.is_lsm:
        raise ImageFormatError(
            f"the page after {len(file.pages)} is to be at byte {following}, where none is; the file was cut short.",
            path=path,
            offset=following,
            field="pages",
        )


def _depth(path: Path, file: Any) -> int:
    """
    Count the slices.

    Raises:
        UnsupportedImage: There are channels, points of time or several images, which are not slices.
    """
    count: int = len(file.pages)
    stated = (file.imagej_metadata or {}) if file.is_imagej else {}
    for key, what in (("channels", "channels"), ("frames", "points of time")):
        number = stated.get(key, 1)
        if isinstance(number, int) and number > 1:
            raise UnsupportedImage(
                f"{path} is a hyperstack of {number} {what}, which are not slices; save one of them as a stack of"
                " its own."
            )
    images = stated.get("images", count)
    if count == 1 and isinstance(images, int) and images > 1:
        # ImageJ keeps the slices of a stack behind its only page.
        return images
    if _are_planes_of_their_own(file):
        return count
    if len(file.series) != 1:
        raise UnsupportedImage(
            f"{path} holds {len(file.series)} images (of {count} pages), which are not slices of one; save one of them"
            " as a stack of its own."
        )
    series = file.series[0]
    sizes = dict(zip(series.axes, series.shape, strict=True))
    others = {axis: length for axis, length in sizes.items() if axis not in "YX" and length > 1}
    foreign = [axis for axis in others if axis not in _SLICES]
    if foreign or len(others) > 1 or series.is_multifile:
        formatted = ", ".join(f"{axis} {length}" for axis, length in others.items()) or "several files"
        raise UnsupportedImage(
            f"{path} has axes that are not slices ({formatted}); save one volume as a stack of its own."
        )
    return next(iter(others.values()), 1) if others else count


def _are_planes_of_their_own(file: Any) -> bool:
    """
    Return whether the file is equal planes that were written one by one, each stated to be an image of its own.

    So does tifffile's ``TiffWriter`` when a script calls ``write(plane)`` in a loop.
    """
    planes = file.series
    return (
        len(planes) > 1
        and not file.is_ome
        and len(planes) == len(file.pages)
        and all(len(plane.pages) == 1 and len(plane.levels) == 1 for plane in planes)
        and len({(plane.shape, plane.dtype) for plane in planes}) == 1
    )


def _offset(file: Any, first: Any, depth: int, page_bytes: int) -> int | None:
    """Give where the pixels of all slices stand uncompressed behind one another, or None where they do not."""
    if int(first.compression) != 1 or first.predictor != 1 or first.fillorder != 1 or first.is_tiled:
        return None
    begin = index(first.dataoffsets[0])
    strips = zip(first.dataoffsets, first.databytecounts, strict=True)
    if len(file.pages) == 1:
        together = all(at == begin + sum(first.databytecounts[:number]) for number, (at, _) in enumerate(strips))
        return begin if together else None
    offset = file.series[0].dataoffset
    return (
        index(offset)
        if offset is not None and file.series[0].size * first.dtype.itemsize == depth * page_bytes
        else None
    )


_PADDING: Final = 1 << 20
"""What a strip or a tile may hold besides its pixels."""
_UNPACKERS: Final[dict[int, tuple[Callable[[], Any], int]]] = {
    8: (zlib.decompressobj, 1 << 20),
    32946: (zlib.decompressobj, 1 << 20),
    34925: (lzma.LZMADecompressor, 0),
}
"""
By number of the compression, with how many packed bytes are unpacked without asking (deflate: 1032 for each at most):
whoever packs slices in strips of usual sizes should not wait for them twice.
"""


class TiffReader(SlabReader):
    """Reads one page per slice."""

    def __init__(self, info: ImageInfo, file: Any) -> None:
        super().__init__(info)
        self._tiff = file
        if len(file.pages) < info.size[2]:
            raise UnsupportedImage(
                f"{info.path}: {info.size[2]} slices behind one page are read uncompressed, not as {info.encoding}."
            )

    def _read_into(self, start: int, out: "Pixels") -> None:
        try:
            for index, plane in enumerate(out):
                self._check_page(start + index, out)
                self._refuse_bombs(self._tiff.pages[start + index])
                plane[...] = self._tiff.pages[start + index].asarray(maxworkers=1)
        except UnsupportedImage:
            raise
        except Exception as error:  # tifffile raises several classes of its own
            if "imagecodecs" in str(error):
                raise UnsupportedImage(
                    f"{self.info.path}: pixels packed by {self.info.encoding} need the package 'imagecodecs'; install"
                    " it with: pip install imagecodecs"
                ) from error
            raise ImageFormatError(
                f"tifffile cannot read its pixels: {error!r:.200}.", path=self.info.path, field="pages"
            ) from error

    def _check_page(self, number: int, out: "Pixels") -> None:
        page = self._tiff.pages[number]
        if page.shape != out.shape[1:] or page.dtype != out.dtype:
            raise UnsupportedImage(
                f"{self.info.path}: page {number} is {page.shape} of {page.dtype}, unlike the first."
            )

    def _refuse_bombs(self, page: Any) -> None:
        """Unpack no strip or tile to more than it holds: tifffile unpacks all of it at once, and then cuts it off."""
        new_unpacker, harmless = _UNPACKERS.get(int(page.compression), (None, 0))
        if new_unpacker is None:
            return
        places = zip(page.dataoffsets, page.databytecounts, strict=True)
        large = [(offset, count) for offset, count in places if count > harmless]
        most = math.prod(page.chunks) * page.dtype.itemsize + _PADDING
        for offset, count in large:
            for packed, _ in self._tiff.filehandle.read_segments([offset], [count]):
                if len(new_unpacker().decompress(packed, most + 1)) > most:
                    raise ValueError(f"{count} bytes at byte {offset} unpack to more than {most}")

    def close(self) -> None:
        self._tiff.close()


class TiffWriter(SlabWriter):
    """
    Writes one page per slice, with distances and a line of values where ImageJ looks for them.

    What it has no place for stands in a line of the same description. Uncompressed pixels of all pages are behind one
    another, as in ImageJ's own stacks.
    """

    def __init__(self, path: Path, image: ImageInfo, encoding: str) -> None:
        library = reader_library("tifffile", path, "to be a TIFF")
        if image.axes not in ("XY", "XYZ"):
            raise UnsupportedImage(f"{path}: TIFF is written from axes XYZ, not {image.axes}.")
        super().__init__(
            attrs.evolve(
                image,
                path=path,
                format=TiffCodec.name,
                encoding=encoding,
                pixels_path=path,
                files=(path,),
                byte_order="little",
            )
        )
        line = line_for_others(image) if has_line_in_imagej(image.pixel_type) else None
        self.remarks = unseen_calibrations(image, line, "a note that this package reads")
        place = {name: list(getattr(image, name)) for name in ("spacing_mm", "origin_mm", "direction")}
        note = _NOTE + json.dumps({**json.loads(carried(image, line)), KEY + "_place": place})
        self._is_raw = encoding == "raw"
        x, y, _ = image.spacing_mm
        self._tags: dict[str, Any] = {
            "metadata": None,
            "photometric": "minisblack",
            "resolution": (pixels_per(x), pixels_per(y)),
            "resolutionunit": "NONE",
            "software": "xfworker",
            "description": imagej_description(image, line, is_contiguous=self._is_raw, note=note),
        }
        self._waiting: list[Pixels] = []
        self._partial = PartialFile(path)
        try:
            self._partial.reserve(image.byte_count if self._is_raw else 0)
            self._tiff = library.TiffWriter(
                self._partial.file, bigtiff=image.byte_count > _BIG_TIFF_FROM, byteorder="<"
            )
            if self._is_raw:
                dtype = image.pixel_type.numpy_code()
                self._at, _ = self._tiff.write(shape=image.shape, dtype=dtype, returnoffset=True, **self._tags)
                self._tiff.close()
        except BaseException:
            self._partial.discard()
            raise

    def _write(self, slab: "Pixels") -> None:
        if self._is_raw:
            data = file_bytes(slab, self.info)
            self._partial.write_at(self._at, data)
            self._at += data.nbytes
            return
        if self.info.axes == "XY":
            # A single page comes in rows, and is written when all of them are there.
            self._waiting.append(slab.copy())
            return
        for plane in slab:
            self._write_page(plane)

    def _write_page(self, plane: "Pixels") -> None:
        self._tiff.write(plane, compression="zlib", **self._tags)
        self._tags["description"] = None

    def _finish(self) -> None:
        import numpy as np

        if self._waiting:
            self._write_page(np.concatenate(self._waiting))
        if not self._is_raw:
            self._tiff.close()
        self._partial.finish()

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self._tiff.close()
        self._partial.discard()
