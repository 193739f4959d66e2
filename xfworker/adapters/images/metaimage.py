"""MetaImage (.mha in one file, .mhd with the pixels beside it)."""

import math
from pathlib import Path
from typing import Final

import attrs

from xfworker.adapters.images.ascii_pixels import AsciiReader
from xfworker.adapters.images.carried_metadata import (
    KEY,
    carried,
    line_for_others,
    rescaled,
    unseen_calibrations,
    with_carried,
)
from xfworker.adapters.images.deflated_pixels import DeflatedReader
from xfworker.adapters.images.header_lines import numbers, read_lines, sibling, whole_numbers
from xfworker.adapters.images.opening import file_size
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, check_raw_size
from xfworker.adapters.images.simple_writer import HeaderThenPixelsWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo, turns_in_itself
from xfworker.domain.image.length_units import MILLIMETRE, is_not_a_unit, length_unit
from xfworker.domain.image.pixel_type import PixelType

_TYPES: Final = {
    "MET_CHAR": PixelType.INT8,
    "MET_UCHAR": PixelType.UINT8,
    "MET_SHORT": PixelType.INT16,
    "MET_USHORT": PixelType.UINT16,
    "MET_INT": PixelType.INT32,
    "MET_UINT": PixelType.UINT32,
    "MET_LONG_LONG": PixelType.INT64,
    "MET_ULONG_LONG": PixelType.UINT64,
    "MET_FLOAT": PixelType.FLOAT32,
    "MET_DOUBLE": PixelType.FLOAT64,
}
_OLD_NOTE: Final = "Comment"
"""Where notes stood once: MetaIO takes no comment beyond 500 characters, but any value of a key that is new to it."""

_SLOPE, _INTERCEPT = "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"
_ASCII: Final = "ASCII"
_MOST_AXES: Final = 3


class MetaImageCodec:
    """The ``ImageCodec`` of MetaImage volumes with one number per voxel."""

    name = "MetaImage"
    suffixes: tuple[str, ...] = (".mha", ".mhd")
    encodings: tuple[str, ...] = ("raw",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content begins as a MetaImage header of an image."""
        begin = head.lstrip()[:256].replace(b" ", b"")
        return begin.startswith((b"ObjectType=Image", b"NDims=", b"Comment=")) and b"NDims" in head

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        return self._described(path)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the pixels; see the port."""
        info, offset = self._described(path)
        if info.pixels_offset is not None:
            return RawReader(info)
        reader = AsciiReader if info.encoding == _ASCII else DeflatedReader
        return reader(info, info.pixels_path, offset=offset)

    def _described(self, path: Path) -> tuple[ImageInfo, int]:
        fields, header_size = _fields(path)
        (count,) = whole_numbers(fields.get("NDims", ""), 1, path, "NDims")
        if not 1 <= count <= _MOST_AXES:
            raise UnsupportedImage(f"{path} has {count} axes; MetaImages of up to 3 are read.")
        size = tuple(whole_numbers(fields.get("DimSize", ""), count, path, "DimSize", least=1))
        pixel_type = _TYPES.get(fields.get("ElementType", ""))
        if pixel_type is None or fields.get("ElementNumberOfChannels", "1") != "1":
            raise UnsupportedImage(f"{path}: elements of type {fields.get('ElementType')} are not read.")
        ones, zeros = "1 " * count, "0 " * count
        assumptions: tuple[str, ...] = ()
        step = fields.get("ElementSpacing") or fields.get("ElementSize")
        steps = numbers(step or ones, count, path, "ElementSpacing")
        if step is None or 0 in steps:
            assumptions = ("states no spacing (ElementSpacing); 1 mm is taken",)
        word = fields.get("DistanceUnits", "")
        unit = MILLIMETRE if is_not_a_unit(word) else length_unit(word, path, "DistanceUnits")
        spacing = [unit.mm(abs(value)) or 1.0 for value in steps] + [1.0, 1.0]
        place = fields.get("Offset") or fields.get("Position") or fields.get("Origin") or zeros
        origin = [*(unit.mm(at) for at in numbers(place, count, path, "Offset")), 0.0, 0.0]
        turned = fields.get("TransformMatrix") or fields.get("Rotation") or fields.get("Orientation")
        direction: tuple[float, ...] = ALONG_THE_AXES
        if turned:
            # A row of it says where an axis points, which is a column here. A plane is turned in itself only.
            rows = numbers(turned, count * count, path, "TransformMatrix")
            direction = tuple(
                rows[count * axis + row] if max(row, axis) < count else float(row == axis)
                for row in range(3)
                for axis in range(3)
            )
        # A step backwards is one forwards along an axis that points the other way, as ITK has it.
        signs = [*(-1.0 if step < 0 else 1.0 for step in steps), 1.0, 1.0]
        direction = tuple(part * signs[place % 3] + 0.0 for place, part in enumerate(direction))
        packed = fields.get("CompressedData", "False").lower() == "true"
        big = (fields.get("BinaryDataByteOrderMSB") or fields.get("ElementByteOrderMSB") or "False").lower() == "true"
        is_text = fields.get("BinaryData", "True").lower() == "false"
        name = fields.get("ElementDataFile", "")
        if name.upper().startswith("LIST") or "%" in name:
            raise UnsupportedImage(f"{path}: pixels in several files ({name[:60]}) are not read; write them to one.")
        local = name.upper() == "LOCAL"
        pixels = path if local else sibling(path, name, "ElementDataFile")
        bytes_of_pixels = math.prod(size) * pixel_type.size
        (skip,) = whole_numbers(fields.get("HeaderSize", "0"), 1, path, "HeaderSize", least=-1)
        offset = header_size if local else skip
        if offset < 0:
            offset = max(0, file_size(pixels) - bytes_of_pixels)
        (slope,) = numbers(fields.get(_SLOPE, "1"), 1, path, _SLOPE)
        (intercept,) = numbers(fields.get(_INTERCEPT, "0"), 1, path, _INTERCEPT)
        calibrations = rescaled(slope, intercept, "Scaled")
        info = ImageInfo(
            path=path,
            format=self.name,
            encoding=_ASCII if is_text else "zlib" if packed else "raw",
            axes="XYZ"[:count],
            size=size,
            pixel_type=pixel_type,
            byte_order="big" if big else "little",
            pixels_path=pixels,
            pixels_offset=None if packed or is_text else offset,
            spacing_mm=(spacing[0], spacing[1], spacing[2]),
            origin_mm=(origin[0], origin[1], origin[2]),
            direction=direction,
            calibrations=calibrations,
            default_unit_type=calibrations[0].unit_type if calibrations else None,
            header={key: value for key, value in fields.items() if key not in (KEY, _OLD_NOTE)},
            files=(path,) if local else (path, pixels),
            assumptions=assumptions,
        )
        if info.pixels_offset is not None:
            check_raw_size(info)
        return with_carried(info, fields.get(KEY) or fields.get(_OLD_NOTE, "")), offset

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> HeaderThenPixelsWriter:
        """Begin a MetaImage; ``.mhd`` puts the pixels into ``.raw`` beside it. See the port."""
        if encoding not in (None, "raw") or image.axes not in ("X", "XY", "XYZ"):
            raise UnsupportedImage(f"{path}: MetaImage is written raw with axes XYZ, not {encoding} {image.axes}.")
        pixels = path.with_suffix(".raw") if path.suffix.lower() == ".mhd" else path
        count = len(image.size)
        turned = [image.direction[3 * row + axis] for axis in range(count) for row in range(count)]
        has_directions = count == _MOST_AXES or turns_in_itself(image.direction, count)
        word = next(name for name, kind in _TYPES.items() if kind is image.pixel_type)
        line = line_for_others(image)
        lines_of_values = (
            [] if line is None else [f"{_SLOPE} = {line.line()[0]!r}", f"{_INTERCEPT} = {line.line()[1]!r}"]
        )
        lines = [
            "ObjectType = Image",
            f"NDims = {count}",
            "BinaryData = True",
            "BinaryDataByteOrderMSB = False",
            "CompressedData = False",
            *([f"TransformMatrix = {' '.join(map(repr, turned))}"] if has_directions else []),
            f"Offset = {' '.join(map(repr, image.origin_mm[:count]))}",
            f"ElementSpacing = {' '.join(map(repr, image.spacing_mm[:count]))}",
            f"DimSize = {' '.join(map(str, image.size))}",
            *lines_of_values,
            f"ElementType = {word}",
            f"{KEY} = {carried(image, line)}",
            f"ElementDataFile = {'LOCAL' if pixels == path else pixels.name}",
        ]
        info = attrs.evolve(
            image,
            path=path,
            format=self.name,
            encoding="raw",
            pixels_path=pixels,
            files=tuple(dict.fromkeys((path, pixels))),
            byte_order="little",
        )
        # ITK takes no notice of the function, other programs that read MetaImages do.
        remarks = unseen_calibrations(image, None, f"the keys {_SLOPE} and {KEY}")
        return HeaderThenPixelsWriter(info, ("\n".join(lines) + "\n").encode("utf-8"), remarks=remarks)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Read ``Key = Value`` lines up to the one that names the pixels, which is the last."""
    data, ended = read_lines(path)
    fields: dict[str, str] = {}
    at = 0
    while at < len(data):
        end = ended.index(b"\n", at)
        key, equals, value = ended[at:end].decode("utf-8", "replace").partition("=")
        at = end + 1
        if not equals:
            continue
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, at
    raise ImageFormatError("no line names the pixels; it was cut short.", path=path, field="ElementDataFile")
