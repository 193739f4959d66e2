"""NRRD (.nrrd in one file, .nhdr with the pixels beside it); headers are read by pynrrd."""

import math
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import KEY, carried, with_carried
from xfworker.adapters.images.deflated_pixels import DeflatedReader
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.header_lines import read_lines, sibling
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, check_raw_size
from xfworker.adapters.images.simple_writer import HeaderThenPixelsWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ImageInfo, Triple
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
_PER_MM: Final = {"um": 1000.0, "µm": 1000.0, "micron": 1000.0, "microns": 1000.0, "nm": 1e6, "cm": 0.1, "m": 0.001}


class NrrdCodec:
    """The ``ImageCodec`` of NRRD volumes, raw or compressed with gzip."""

    name = "NRRD"
    suffixes: tuple[str, ...] = (".nrrd",)
    encodings: tuple[str, ...] = ("raw",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Tell whether the content is a NRRD."""
        return head.startswith(b"NRRD000")

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        return self._described(path)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the pixels; see the port."""
        info, offset, skip = self._described(path)
        if info.pixels_offset is not None:
            return RawReader(info)
        return DeflatedReader(info, info.pixels_path, offset=offset, skip=skip)

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
        pixel_type = PixelType.of_numpy_code(code)
        encoding = str(header.get("encoding", "raw")).lower()
        if pixel_type is None or not 1 <= len(size) <= _MOST_AXES or min(size) < 1:
            raise UnsupportedImage(f"{path}: pixels of type {header.get('type')} and size {size} are not read.")
        if encoding not in ("raw", "gz", "gzip"):
            raise UnsupportedImage(f"{path}: NRRD with encoding {encoding} is not read; raw and gzip are.")
        name = header.get("data file") or header.get("datafile")
        pixels = path if name is None else sibling(path, str(name), "data file")
        offset = header_size if name is None else 0
        packed = encoding != "raw"
        try:
            spacing, origin, direction = _place(header, len(size))
            skip = int(header.get("byte skip", header.get("byteskip", 0)) or 0)
            lines_to_skip = int(header.get("line skip", header.get("lineskip", 0)) or 0)
        except (TypeError, ValueError, AttributeError) as error:
            raise ImageFormatError(f"its place cannot be read: {error}.", path=path, field="header") from error
        if skip < 0 or lines_to_skip:
            raise UnsupportedImage(f"{path}: NRRD with skipped lines is not read.")
        info = ImageInfo(
            path=path,
            format=self.name,
            format_version=data[4:8].decode("ascii", "replace"),
            encoding="gzip" if packed else "raw",
            axes="XYZ"[: len(size)],
            size=size,
            pixel_type=pixel_type,
            byte_order="big" if header.get("endian") == "big" else "little",
            pixels_path=pixels,
            pixels_offset=None if packed else offset + skip,
            spacing_mm=spacing,
            origin_mm=origin,
            direction=direction,
            header={key: str(value) for key, value in header.items() if key != KEY},
            files=tuple(dict.fromkeys((path, pixels))),
        )
        if not packed:
            check_raw_size(info)
        return with_carried(info, str(header.get(KEY, ""))), offset, skip

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> HeaderThenPixelsWriter:
        """Begin a NRRD; see the port."""
        if encoding not in (None, "raw") or image.axes not in ("X", "XY", "XYZ"):
            raise UnsupportedImage(f"{path}: NRRD is written raw with axes XYZ, not {encoding} {image.axes}.")
        count = len(image.size)
        directions = [
            "(" + ",".join(repr(step * image.direction[3 * row + axis]) for row in range(count)) + ")"
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
            "endian: little",
            "encoding: raw",
            f"{KEY}:={carried(image)}",
        ]
        info = attrs.evolve(
            image, path=path, format=self.name, encoding="raw", pixels_path=path, files=(path,), byte_order="little"
        )
        return HeaderThenPixelsWriter(info, ("\n".join(lines) + "\n\n").encode("ascii"))


def _place(header: dict[str, Any], count: int) -> tuple[Triple, Triple, tuple[float, ...]]:
    """Give spacing, origin and direction; a space that points to the right and front is turned to the left and back."""
    import numpy as np

    units = [
        _PER_MM.get(str(unit).strip().lower(), 1.0) for unit in header.get("space units") or header.get("units") or ()
    ]
    per_mm = [*units, *[1.0] * 3][:3]
    sides = _sides(str(header.get("space", "")).lower())
    places = [] if header.get("space origin") is None else [float(value) for value in header["space origin"]]
    at = [place if math.isfinite(place) else 0.0 for place in (*places, 0.0, 0.0, 0.0)]
    origin = (sides[0] * at[0] / per_mm[0] + 0.0, sides[1] * at[1] / per_mm[1] + 0.0, at[2] / per_mm[2])
    turned = np.eye(3)
    spacings: Any = header.get("spacings", ())
    steps = [float(step) for step in spacings][:count]
    if header.get("space directions") is not None:
        rows = np.asarray(header["space directions"], np.float64)[:count]
        steps = [float(step) for step in np.linalg.norm(rows, axis=1)]
        if rows.shape == (3, 3) and all(0 < step < math.inf for step in steps):
            turned = (np.asarray(sides)[:, None] * (rows / np.asarray(steps)[:, None]).T) + 0.0
    lengths = [abs(step) if math.isfinite(step) and step else 1.0 for step in (*steps, 1.0, 1.0, 1.0)]
    spacing = (lengths[0] / per_mm[0], lengths[1] / per_mm[1], lengths[2] / per_mm[2])
    return spacing, origin, tuple(turned.ravel().tolist())


def _sides(space: str) -> tuple[float, float, float]:
    """Give the signs that turn a named space to one that points to the left, the back and up."""
    right = space.startswith(("right", "ra", "rp"))
    front = "anterior" in space or space in ("ras", "las")
    return (-1.0 if right else 1.0, -1.0 if front else 1.0, 1.0)
