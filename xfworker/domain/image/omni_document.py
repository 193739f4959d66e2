"""
The JSON inside an ``.omni`` file, and what it says about an image.

The vendor's document is not public; this one is the project's own (docs/images.md describes it). Keys that are not
known are kept.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from xfworker.domain.errors import ImageFormatError, XFWorkerError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ALONG_THE_AXES, AXES_LETTERS, SPACE_AXES, ImageInfo, Kind, Triple
from xfworker.domain.image.pixel_type import ByteOrder, PixelType

OMNI: Final = "OMNI"
FORMAT_VERSION: Final = "1.0"
RAW: Final = "raw"

KNOWN_KEYS: Final = frozenset(
    {
        "format",
        "format_version",
        "kind",
        "axes",
        "size",
        "pixel_type",
        "byte_order",
        "pixels",
        "additional_pixels_filenames",
        "spacing_mm",
        "origin_mm",
        "direction",
        "pixel_calibrations",
        "default_pixel_calibration_unit_type",
        "labels",
        "source",
    }
)

_MOST_PIXELS: Final = 2**62
_FORBIDDEN_IN_FILENAMES: Final = ("/", "\\", "\0", ":")


def document_of(
    image: ImageInfo,
    *,
    pixels_filename: str,
    offset: int = 0,
    encoding: str = RAW,
    additional_pixels_filenames: Iterable[str] = (),
) -> dict[str, Any]:
    """Give the document of an image whose pixels are in a named file beside it."""
    document: dict[str, Any] = {
        "format": OMNI,
        "format_version": FORMAT_VERSION,
        "kind": image.kind,
        "axes": image.axes,
        "size": list(image.size),
        "pixel_type": image.pixel_type.value,
        "byte_order": image.byte_order,
        "pixels": {"filename": pixels_filename, "offset": offset, "encoding": encoding},
        "additional_pixels_filenames": list(additional_pixels_filenames),
        "spacing_mm": list(image.spacing_mm),
        "origin_mm": list(image.origin_mm),
        "pixel_calibrations": [line.metadata for line in image.calibrations],
        "default_pixel_calibration_unit_type": image.default_unit_type,
    }
    if image.direction != ALONG_THE_AXES:
        document["direction"] = list(image.direction)
    if image.kind == "segments" or image.labels:
        document["labels"] = [dict(label) for label in image.labels]
    if image.source is not None:
        document["source"] = dict(image.source)
    return {**image.unknown, **document}


def info_of(document: dict[str, Any], path: Path) -> ImageInfo:
    """
    Give what a document says; the pixels file is taken to stand beside it.

    Raises:
        ImageFormatError: The document lacks a key or holds a wrong value; the message names the key.
    """
    reader = _Document(document, path)
    pixels_filename, offset, encoding = reader.pixels()
    additional = reader.additional_filenames()
    axes = reader.axes()
    size = reader.size(axes)
    default_unit = reader.optional_text("default_pixel_calibration_unit_type")
    source = reader.document.get("source")
    if source is not None and not isinstance(source, dict):
        raise reader.error("source", f"expected an object, got {source!r:.60}")
    return ImageInfo(
        path=path,
        format=OMNI,
        format_version=str(reader.document.get("format_version", FORMAT_VERSION)),
        encoding=encoding,
        kind=reader.kind(),
        axes=axes,
        size=size,
        pixel_type=reader.pixel_type(),
        byte_order=reader.byte_order(),
        pixels_path=path.with_name(pixels_filename),
        pixels_offset=offset if encoding == RAW else None,
        spacing_mm=reader.triple("spacing_mm", (1.0, 1.0, 1.0)),
        origin_mm=reader.triple("origin_mm", (0.0, 0.0, 0.0)),
        direction=reader.direction(),
        calibrations=reader.calibrations(),
        default_unit_type=default_unit,
        labels=reader.labels(),
        header={key: value for key, value in reader.document.items() if key != "source"},
        source=source,
        files=(path, *(path.with_name(name) for name in dict.fromkeys((pixels_filename, *additional)))),
        assumptions=() if "spacing_mm" in reader.document else ("states no spacing_mm; 1 mm is taken",),
        unknown={key: value for key, value in reader.document.items() if key not in KNOWN_KEYS},
    )


class _Document:
    """Reads the keys of one document, and says which one is wrong."""

    def __init__(self, document: dict[str, Any], path: Path) -> None:
        self.path = path
        self.document = document
        if document.get("format", OMNI) != OMNI:
            raise self.error("format", f"expected {OMNI!r}, got {document['format']!r:.60}")

    def error(self, field: str, message: str) -> ImageFormatError:
        return ImageFormatError(f"{message}.", path=self.path, field=field)

    def pixels(self) -> tuple[str, int, str]:
        pixels = self.document.get("pixels")
        if not isinstance(pixels, dict):
            raise self.error("pixels", f"expected an object with filename, offset and encoding, got {pixels!r:.60}")
        offset = pixels.get("offset", 0)
        if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset < _MOST_PIXELS:
            raise self.error("pixels.offset", f"expected a byte count of 0 or more, got {offset!r:.60}")
        encoding = pixels.get("encoding", RAW)
        if not isinstance(encoding, str) or not encoding:
            raise self.error("pixels.encoding", f"expected 'raw' or a format's name, got {encoding!r:.60}")
        return self.filename("pixels.filename", pixels.get("filename")), offset, encoding

    def filename(self, field: str, name: Any) -> str:
        """Give a file name that stays in the document's folder."""
        if not isinstance(name, str) or not name or name in {".", ".."}:
            raise self.error(field, f"expected the name of a file beside the document, got {name!r:.60}")
        if any(character in name for character in _FORBIDDEN_IN_FILENAMES):
            raise self.error(field, f"{name!r:.120} is not a plain file name; files stand beside the document")
        return name

    def additional_filenames(self) -> tuple[str, ...]:
        names = self.document.get("additional_pixels_filenames") or []
        if not isinstance(names, list):
            raise self.error("additional_pixels_filenames", f"expected a list of names, got {names!r:.60}")
        return tuple(self.filename(f"additional_pixels_filenames[{i}]", name) for i, name in enumerate(names))

    def kind(self) -> Kind:
        kind = self.document.get("kind", "image")
        if kind not in ("image", "segments"):
            raise self.error("kind", f"expected 'image' or 'segments', got {kind!r:.60}")
        return cast(Kind, kind)

    def axes(self) -> str:
        axes = self.document.get("axes", SPACE_AXES)
        if not isinstance(axes, str) or not axes or set(axes) - set(AXES_LETTERS) or len(set(axes)) != len(axes):
            raise self.error("axes", f"expected different letters of {AXES_LETTERS}, fastest first, got {axes!r:.60}")
        return axes

    def size(self, axes: str) -> tuple[int, ...]:
        size = self.document.get("size")
        if not isinstance(size, list) or len(size) != len(axes):
            raise self.error("size", f"expected {len(axes)} numbers, one per axis of {axes}, got {size!r:.60}")
        for axis, count in zip(axes, size, strict=True):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise self.error("size", f"expected at least one pixel along {axis}, got {count!r:.60}")
        if math.prod(size) >= _MOST_PIXELS:
            raise self.error("size", f"{size} is more than any file can hold")
        return tuple(size)

    def pixel_type(self) -> PixelType:
        name = self.document.get("pixel_type")
        pixel_type = next((member for member in PixelType if member.value == name), None)
        if pixel_type is None:
            known = ", ".join(member.value for member in PixelType)
            raise self.error("pixel_type", f"expected one of {known}, got {name!r:.60}")
        return pixel_type

    def byte_order(self) -> ByteOrder:
        order = self.document.get("byte_order", "little")
        if order not in ("little", "big"):
            raise self.error("byte_order", f"expected 'little' or 'big', got {order!r:.60}")
        return cast(ByteOrder, order)

    def triple(self, field: str, default: Triple) -> Triple:
        values = self.document.get(field)
        if values is None:
            return default
        if not isinstance(values, list) or len(values) != len(default):
            raise self.error(field, f"expected three numbers (x, y, z) in mm, got {values!r:.60}")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise self.error(field, f"expected finite numbers of mm, got {value!r:.60}")
        return float(values[0]), float(values[1]), float(values[2])

    def direction(self) -> tuple[float, ...]:
        values = self.document.get("direction")
        if values is None:
            return ALONG_THE_AXES
        if not isinstance(values, list) or len(values) != len(ALONG_THE_AXES):
            raise self.error("direction", f"expected the nine numbers of a matrix, got {values!r:.60}")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise self.error("direction", f"expected finite numbers, got {value!r:.60}")
        return tuple(float(value) for value in values)

    def optional_text(self, field: str) -> str | None:
        value = self.document.get(field)
        if value is not None and not isinstance(value, str):
            raise self.error(field, f"expected a string or null, got {value!r:.60}")
        return value

    def calibrations(self) -> tuple[Calibration, ...]:
        stated = self.document.get("pixel_calibrations") or []
        if not isinstance(stated, list) or not all(isinstance(line, dict) for line in stated):
            raise self.error("pixel_calibrations", f"expected a list of objects, got {stated!r:.60}")
        lines = []
        for index, line in enumerate(stated):
            try:
                lines.append(Calibration(line))
            except XFWorkerError as error:
                raise self.error(f"pixel_calibrations[{index}]", str(error).removesuffix(".")) from None
        return tuple(lines)

    def labels(self) -> tuple[Mapping[str, Any], ...]:
        labels = self.document.get("labels") or []
        if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
            raise self.error("labels", f"expected a list of objects with value and name, got {labels!r:.60}")
        return tuple(labels)
