"""VGI and VOL: the text header and raw voxels of Volume Graphics and of many industrial scanners."""

from pathlib import Path
from typing import Final

import attrs

from xfworker.adapters.images.header_lines import numbers, read_lines, sibling, whole_numbers
from xfworker.adapters.images.raw_pixels import RawReader, check_raw_size
from xfworker.adapters.images.simple_writer import HeaderThenPixelsWriter
from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.length_units import MILLIMETRE, is_not_a_unit, length_unit
from xfworker.domain.image.pixel_type import PixelType

_TYPES: Final = {
    ("unsigned integer", 8): PixelType.UINT8,
    ("unsigned integer", 16): PixelType.UINT16,
    ("unsigned integer", 32): PixelType.UINT32,
    ("integer", 8): PixelType.INT8,
    ("integer", 16): PixelType.INT16,
    ("integer", 32): PixelType.INT32,
    ("signed integer", 8): PixelType.INT8,
    ("signed integer", 16): PixelType.INT16,
    ("signed integer", 32): PixelType.INT32,
    ("float", 32): PixelType.FLOAT32,
    ("float", 64): PixelType.FLOAT64,
}


class VolumeGraphicsCodec:
    """The ``ImageCodec`` of a ``.vgi`` header with its ``.vol`` beside it."""

    name = "VGI"
    suffixes: tuple[str, ...] = (".vgi",)
    encodings: tuple[str, ...] = ("raw",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content begins as a VGI header."""
        begin = head.lstrip().lower()
        return (
            begin.startswith((b"{volume1}", b"{volume}", b"[representation]", b"{volumeprimitive")) and b"size" in begin
        )

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        fields = _fields(path)
        size = tuple(whole_numbers(fields.get("size", ""), 3, path, "size", least=1))
        (bits,) = whole_numbers(
            fields.get("bitsperelement", fields.get("bitspersample", "16")), 1, path, "bitsperelement"
        )
        (offset,) = whole_numbers(fields.get("skipheader", "0"), 1, path, "skipheader")
        word = fields.get("datatype", "unsigned integer").lower()
        pixel_type = _TYPES.get((word, bits))
        if pixel_type is None:
            raise UnsupportedImage(f"{path}: voxels of type {word} with {bits} bits are not read.")
        word = fields.get("unit", "")
        unit = MILLIMETRE if is_not_a_unit(word) else length_unit(word, path, "unit")
        spacing = [unit.mm(step) for step in numbers(fields.get("resolution", "1 1 1"), 3, path, "resolution")]
        place = [unit.mm(step) for step in numbers(fields.get("position", "0 0 0"), 3, path, "position")]
        assumptions = [] if "resolution" in fields else ["states no spacing (resolution); 1 mm is taken"]
        if is_not_a_unit(word) and "resolution" in fields:
            assumptions.append("states no unit of length; mm are taken")
        pixels = sibling(path, fields.get("name", path.with_suffix(".vol").name), "Name")
        info = ImageInfo(
            path=path,
            format=self.name,
            size=size,
            pixel_type=pixel_type,
            byte_order="big" if "big" in fields.get("byteorder", "little").lower() else "little",
            pixels_path=pixels,
            pixels_offset=offset,
            spacing_mm=(spacing[0], spacing[1], spacing[2]),
            origin_mm=(place[0], place[1], place[2]),
            header=dict(fields),
            files=(path, pixels),
            assumptions=tuple(assumptions),
        )
        check_raw_size(info)
        return info

    def reader(self, path: Path) -> RawReader:
        """Open the voxels; see the port."""
        return RawReader(self.describe(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> HeaderThenPixelsWriter:
        """Begin a VGI with its VOL beside it; see the port."""
        word = next(
            (key for key, kind in _TYPES.items() if kind is image.pixel_type and "signed int" not in key[0][:10]), None
        )
        if encoding not in (None, "raw"):
            raise UnsupportedImage(f"{path}: VGI has raw voxels only, not {encoding}.")
        if image.axes != "XYZ" or word is None:
            raise UnsupportedImage(
                f"{path}: VGI holds volumes XYZ of up to 32 bits or float, not {image.pixel_type.value}."
            )
        pixels = path.with_suffix(".vol")
        lines = [
            "{volume1}",
            "[representation]",
            f"size = {' '.join(map(str, image.size))}",
            f"datatype = {word[0]}",
            f"bitsperelement = {word[1]}",
            "byteorder = little",
            "[file1]",
            "SkipHeader = 0",
            "FileFormat = raw",
            f"Size = {' '.join(map(str, image.size))}",
            f"Name = {pixels.name}",
            "[geometry]",
            f"position = {' '.join(map(repr, image.origin_mm))}",
            f"resolution = {' '.join(map(repr, image.spacing_mm))}",
            "unit = mm",
        ]
        info = attrs.evolve(
            image,
            path=path,
            format=self.name,
            encoding="raw",
            pixels_path=pixels,
            pixels_offset=0,
            files=(path, pixels),
            byte_order="little",
        )
        return HeaderThenPixelsWriter(info, ("\n".join(lines) + "\n").encode("utf-8"))


def _fields(path: Path) -> dict[str, str]:
    """Read ``key = value`` lines; of a key that comes several times, the first."""
    data, _ = read_lines(path)
    fields: dict[str, str] = {}
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        # As programs of Windows write it.
        text = data.decode("latin-1")
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields.setdefault(key.strip().lower(), value.strip())
    return fields
