"""TIFF stacks: one grey page per slice, by tifffile. Spacing and meaning are kept as ImageJ and this package do."""

import contextlib
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import KEY, carried, with_carried
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MAGICS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_UNITS_MM: Final = {
    "mm": 1.0,
    "millimeter": 1.0,
    "um": 0.001,
    "micron": 0.001,
    "µm": 0.001,
    "μm": 0.001,
    "nm": 1e-6,
    "\\u00b5m": 0.001,
    "cm": 10.0,
}
_OME_SIZE: Final = re.compile(r'PhysicalSize([XYZ](?:Unit)?)="([^"]*)"')
_BIG_TIFF_FROM: Final = 2**32 - 2**25
_INCH_MM: Final = 25.4
_MOST_PER_BYTE: Final = 4096


class TiffCodec:
    """The ``ImageCodec`` of TIFF stacks with one number per pixel."""

    name = "TIFF"
    suffixes: tuple[str, ...] = (".tif", ".tiff")
    encodings: tuple[str, ...] = ("raw", "zlib")

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Tell whether the content is a TIFF."""
        return head.startswith(_MAGICS)

    def describe(self, path: Path) -> ImageInfo:
        """Read the pages' tags; see the port."""
        with self.reader(path) as reader:
            return reader.info

    def reader(self, path: Path) -> "TiffReader":
        """Open the pages; see the port."""
        library = reader_library("tifffile", path, "a TIFF")
        try:
            file = library.TiffFile(path)
        except Exception as error:  # tifffile raises several classes of its own
            raise ImageFormatError(f"tifffile cannot read it: {error}.", path=path, field="header") from error
        try:
            return TiffReader(_described(path, file), file)
        except (ImageFormatError, UnsupportedImage):
            file.close()
            raise
        except Exception as error:
            file.close()
            raise ImageFormatError(
                f"tifffile cannot read its pages: {error!r:.200}.", path=path, field="pages"
            ) from error

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
    rows, columns = (int(count) for count in first.shape)
    depth = _depth(file, first, rows * columns * pixel_type.size)
    if rows * columns * pixel_type.size > max(1, path.stat().st_size) * _MOST_PER_BYTE:
        raise ImageFormatError(
            f"{columns} x {rows} pixels cannot be in so small a file.", path=path, field="ImageWidth"
        )
    description = first.description or ""
    x, y, z = _spacing(file, first)
    info = ImageInfo(
        path=path,
        format=TiffCodec.name,
        encoding=str(first.compression.name).lower(),
        size=(columns, rows, depth),
        pixel_type=pixel_type,
        byte_order="little" if file.byteorder == "<" else "big",
        pixels_path=path,
        spacing_mm=(x, y, z),
        header={"pages": len(pages), "description": description[:1000]},
        files=(path,),
    )
    with contextlib.suppress(ValueError, TypeError, KeyError):
        place = json.loads(description)[KEY + "_place"]
        origin = [float(value) for value in place["origin_mm"]]
        spacing = [float(value) for value in place["spacing_mm"]]
        direction = tuple(float(value) for value in place.get("direction", ALONG_THE_AXES))
        if len(origin) == len(spacing) == 3 and all(0 < step < math.inf for step in spacing):  # noqa: PLR2004 - x, y, z
            info = attrs.evolve(
                info,
                origin_mm=(origin[0], origin[1], origin[2]),
                spacing_mm=(spacing[0], spacing[1], spacing[2]),
                direction=direction,
            )
    return with_carried(info, description)


def _depth(file: Any, first: Any, page_bytes: int) -> int:
    """Count the slices; ImageJ keeps stacks beyond 4 GB behind a single page."""
    count: int = len(file.pages)
    images = (file.imagej_metadata or {}).get("images", count) if file.is_imagej else count
    if count == 1 and isinstance(images, int) and images > 1 and int(first.compression) == 1:
        room: int = (file.filehandle.size - first.dataoffsets[0]) // page_bytes
        return max(1, min(images, room))
    return count


def _spacing(file: Any, first: Any) -> tuple[float, float, float]:
    if file.is_ome:
        return _ome_spacing(file.ome_metadata or "")
    metadata = file.imagej_metadata or {}
    unit = _UNITS_MM.get(str(metadata.get("unit", "")).lower())
    steps = [1.0, 1.0, 1.0]
    for axis, name in enumerate(("XResolution", "YResolution")):
        tag = first.tags.get(name)
        if tag is None:
            continue
        top, bottom = tag.value
        per_unit = top / bottom if bottom else 0
        resolution_unit = int(first.tags["ResolutionUnit"].value) if "ResolutionUnit" in first.tags else 1
        scale = unit or {2: _INCH_MM, 3: 10.0}.get(resolution_unit)
        if per_unit > 0 and scale:
            steps[axis] = scale / per_unit
    between = metadata.get("spacing")
    if isinstance(between, int | float) and between > 0 and unit:
        steps[2] = float(between) * unit
    else:
        steps[2] = steps[0]
    return steps[0], steps[1], steps[2]


def _ome_spacing(xml: str) -> tuple[float, float, float]:
    """Give the physical sizes of the first image's pixels, which are in micrometres unless they say otherwise."""
    stated = dict(_OME_SIZE.findall(xml.partition("</Image>")[0]))
    steps = []
    for axis in "XYZ":
        unit = _UNITS_MM.get(stated.get(f"{axis}Unit", "um").lower())
        try:
            step = float(stated[axis]) * (unit or math.nan)
        except (KeyError, ValueError):
            step = math.nan
        steps.append(step if 0 < step < math.inf else 1.0)
    return steps[0], steps[1], steps[2]


class TiffReader(SlabReader):
    """Reads one page per slice."""

    def __init__(self, info: ImageInfo, file: Any) -> None:
        super().__init__(info)
        self._tiff = file
        self._behind_one_page = len(file.pages) == 1 and info.size[2] > 1

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        last = start if self._behind_one_page else start + len(out)
        try:
            for number in range(start, last):
                self._check_page(number, out)
            if self._behind_one_page:
                at = self._tiff.pages[0].dataoffsets[0] + start * self.info.slab_byte_count
                data = np.fromfile(
                    self.info.path, self.info.pixel_type.numpy_code(self.info.byte_order), out.size, offset=at
                )
                out[...] = data.reshape(out.shape)
                return
            for index, plane in enumerate(out):
                plane[...] = self._tiff.pages[start + index].asarray(maxworkers=1)
        except UnsupportedImage:
            raise
        except Exception as error:  # tifffile raises several classes of its own
            raise ImageFormatError(
                f"tifffile cannot read its pixels: {error!r:.200}.", path=self.info.path, field="pages"
            ) from error

    def _check_page(self, number: int, out: "Pixels") -> None:
        page = self._tiff.pages[number]
        if page.shape != out.shape[1:] or page.dtype != out.dtype:
            raise UnsupportedImage(
                f"{self.info.path}: page {number} is {page.shape} of {page.dtype}, unlike the first."
            )

    def close(self) -> None:
        self._tiff.close()


class TiffWriter(SlabWriter):
    """Writes one page per slice; spacing, origin and calibration as JSON in the first page's description."""

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
        self._partial = PartialFile(path)
        self._tiff = library.TiffWriter(self._partial.file, bigtiff=image.byte_count > _BIG_TIFF_FROM, byteorder="<")
        place = {name: list(getattr(image, name)) for name in ("spacing_mm", "origin_mm", "direction")}
        self._description: str | None = json.dumps({**json.loads(carried(image)), KEY + "_place": place})

    def _write(self, slab: "Pixels") -> None:
        x, y, _ = self.info.spacing_mm
        for plane in slab if slab.ndim > 2 else [slab]:  # noqa: PLR2004 - a single page
            self._tiff.write(
                plane,
                description=self._description,
                metadata=None,
                compression="zlib" if self.info.encoding == "zlib" else None,
                photometric="minisblack",
                resolution=(10 / x, 10 / y),
                resolutionunit="CENTIMETER",
                software="xfworker",
            )
            self._description = None

    def _finish(self) -> None:
        self._tiff.close()
        self._partial.finish()

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self._tiff.close()
        self._partial.discard()
