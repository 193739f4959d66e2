"""NRRD (.nrrd in one file, .nhdr with the pixels beside it); headers are read by pynrrd."""

import math
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.adapters.images.ascii_pixels import AsciiReader
from xfworker.adapters.images.carried_metadata import KEY, carried, unseen_calibrations, with_carried
from xfworker.adapters.images.deflated_pixels import DeflatedReader, Packing, unpacked_size
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.header_lines import read_lines, sibling
from xfworker.adapters.images.nrrd_geometry import place_of
from xfworker.adapters.images.opening import file_size, open_to_read
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, check_raw_size
from xfworker.adapters.images.simple_writer import HeaderThenPixelsWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo, turns_in_itself
from xfworker.domain.image.pixel_type import PixelType

_TYPE_WORDS: Final = {
    PixelType.INT8: "signed char",
    PixelType.UINT8: "unsigned char",
    PixelType.INT16: "short",
    PixelType.UINT16: "unsigned short",
    PixelType.INT32: "int",
    PixelType.UINT32: "unsigned int",
    PixelType.INT64: "long long int",
    PixelType.UINT64: "unsigned long long int",
    PixelType.FLOAT32: "float",
    PixelType.FLOAT64: "double",
}
_MOST_AXES: Final = 3
_ENCODINGS: Final = {
    "raw": "raw",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "ascii",
    "text": "ascii",
    "ascii": "ascii",
}
_PACKINGS: Final[dict[str, Packing]] = {"gzip": "deflate", "bzip2": "bzip2"}
_KINDS_OF_SPACE: Final = ("domain", "space", "none", "???", "")


class NrrdCodec:
    """The ``ImageCodec`` of NRRD volumes: raw, as text, or compressed with gzip or bzip2."""

    name = "NRRD"
    suffixes: tuple[str, ...] = (".nrrd",)
    encodings: tuple[str, ...] = ("raw",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is a NRRD."""
        return head.startswith(b"NRRD000")

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        return self._described(path)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the pixels; see the port."""
        info, offset, skip = self._described(path)
        if info.pixels_offset is not None:
            return RawReader(info)
        if info.encoding == "ascii":
            return AsciiReader(info, info.pixels_path, offset=offset)
        packing = _PACKINGS[info.encoding]
        if skip < 0:
            skip = unpacked_size(info.pixels_path, offset, packing) - info.byte_count
        return DeflatedReader(info, info.pixels_path, offset=offset, skip=skip, packing=packing)

    def _described(self, path: Path) -> tuple[ImageInfo, int, int]:
        """Describe the image; also where its pixels' stream begins, and how much of it to skip once it is unpacked."""
        nrrd = reader_library("nrrd", path, "a NRRD")
        data, _ = read_lines(path)
        end = data.find(b"\n\n")
        windows = data.find(b"\r\n\r\n")
        header_size = windows + 4 if windows >= 0 and (end < 0 or windows < end) else end + 2 if end >= 0 else len(data)
        try:
            lines = data[:header_size].decode("ascii", "replace").splitlines()
            header: dict[str, Any] = dict(nrrd.read_header(iter(line + "\n" for line in lines)))
            size = tuple(int(count) for count in header["sizes"])
            # pynrrd's own map from the many names of a type to numpy's.
            code = nrrd.reader._TYPEMAP_NRRD2NUMPY[header["type"]]  # noqa: SLF001 - there is no public one
        except Exception as error:  # pynrrd raises NRRDError, KeyError, ValueError and others
            raise ImageFormatError(
                f"pynrrd cannot read its header: {error!r:.200}.", path=path, field="header"
            ) from error
        pixel_type, encoding = _checked(header, code, size, path)
        name = header.get("data file") or header.get("datafile")
        if name is not None and (str(name).upper().startswith("LIST") or "%" in str(name)):
            raise UnsupportedImage(
                f"{path}: pixels in several files ({str(name)[:60]}) are not read; write them to one."
            )
        pixels = path if name is None else sibling(path, str(name), "data file")
        offset = header_size if name is None else 0
        try:
            spacing, origin, direction, assumptions = place_of(header, len(size), path)
            skip = int(header.get("byte skip", header.get("byteskip", 0)) or 0)
            lines_to_skip = int(header.get("line skip", header.get("lineskip", 0)) or 0)
        except (TypeError, ValueError, AttributeError) as error:
            raise ImageFormatError(f"its place cannot be read: {error}.", path=path, field="header") from error
        if skip < -1 or lines_to_skip < 0:
            raise ImageFormatError(
                f"{skip} bytes and {lines_to_skip} lines cannot be skipped.", path=path, field="byte skip, line skip"
            )
        offset = _behind_lines(pixels, offset, lines_to_skip)
        if encoding == "raw" and skip == -1:
            offset, skip = max(offset, file_size(pixels) - math.prod(size) * pixel_type.size), 0
        if encoding == "ascii":
            offset, skip = offset + max(skip, 0), 0
        info = ImageInfo(
            path=path,
            format=self.name,
            format_version=data[4:8].decode("ascii", "replace"),
            encoding=encoding,
            axes="XYZ"[: len(size)],
            size=size,
            pixel_type=pixel_type,
            byte_order="big" if header.get("endian") == "big" else "little",
            pixels_path=pixels,
            pixels_offset=offset + skip if encoding == "raw" else None,
            spacing_mm=spacing,
            origin_mm=origin,
            direction=direction,
            header={key: str(value) for key, value in header.items() if key != KEY},
            files=tuple(dict.fromkeys((path, pixels))),
            assumptions=assumptions,
        )
        if encoding == "raw":
            check_raw_size(info)
        return with_carried(info, str(header.get(KEY, ""))), offset, skip

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> HeaderThenPixelsWriter:
        """Begin a NRRD; see the port."""
        if encoding not in (None, "raw") or image.axes not in ("X", "XY", "XYZ"):
            raise UnsupportedImage(f"{path}: NRRD is written raw with axes XYZ, not {encoding} {image.axes}.")
        count = len(image.size)
        is_held = count == _MOST_AXES or turns_in_itself(image.direction, count)
        direction = image.direction if is_held else ALONG_THE_AXES
        directions = [
            "(" + ",".join(repr(step * direction[3 * row + axis]) for row in range(count)) + ")"
            for axis, step in enumerate(image.spacing_mm[:count])
        ]
        lines = [
            "NRRD0005",
            f"type: {_TYPE_WORDS[image.pixel_type]}",
            f"dimension: {count}",
            "space: left-posterior-superior" if count == _MOST_AXES else f"space dimension: {count}",
            f"sizes: {' '.join(map(str, image.size))}",
            f"space directions: {' '.join(directions)}",
            f"space origin: ({','.join(map(repr, image.origin_mm[:count]))})",
            "space units: " + " ".join(count * ['"mm"']),
            "endian: little",
            "encoding: raw",
            f"{KEY}:={carried(image)}",
        ]
        info = attrs.evolve(
            image, path=path, format=self.name, encoding="raw", pixels_path=path, files=(path,), byte_order="little"
        )
        remarks = unseen_calibrations(image, None, f"the key {KEY}")
        return HeaderThenPixelsWriter(info, ("\n".join(lines) + "\n\n").encode("ascii"), remarks=remarks)


def _behind_lines(path: Path, offset: int, count: int) -> int:
    """Give the byte behind so many lines from an offset on."""
    if not count:
        return offset
    with open_to_read(path) as file:
        file.seek(offset)
        left, block = count, b"-"
        while left and (block := file.read(1 << 16)):
            ends = block.count(b"\n")
            if ends < left:
                left, offset = left - ends, offset + len(block)
                continue
            at = -1
            for _ in range(left):
                at = block.index(b"\n", at + 1)
            return offset + at + 1
    raise ImageFormatError(f"it ends within the {count} lines that are to be skipped.", path=path, field="line skip")


def _checked(header: dict[str, Any], code: str, size: tuple[int, ...], path: Path) -> tuple[PixelType, str]:
    """Give pixel type and encoding; refuse what is not a volume of numbers."""
    pixel_type = PixelType.of_numpy_code(code)
    if pixel_type is None or not 1 <= len(size) <= _MOST_AXES or min(size) < 1:
        raise UnsupportedImage(f"{path}: pixels of type {header.get('type')} and size {size} are not read.")
    encoding = _ENCODINGS.get(str(header.get("encoding", "raw")).lower(), "")
    if not encoding:
        raise UnsupportedImage(
            f"{path}: NRRD with encoding {header.get('encoding')} is not read; {', '.join(_ENCODINGS)} are."
        )
    kinds = [str(kind) for kind in header.get("kinds") or ()]
    foreign = [kind for kind in kinds if kind.lower() not in _KINDS_OF_SPACE]
    if foreign:
        raise UnsupportedImage(f"{path} has an axis of kind {foreign[0]}, which is not one of space.")
    return pixel_type, encoding
