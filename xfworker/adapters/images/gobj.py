"""
GOBJ: contours of regions in the slices of a scan, read to a mask or to polygons, and written from a mask.

A header of 512 bytes, then records of int32: per slice one that says how many outlines follow, per outline its box, its
start and a chain of 3-bit steps. docs/images.md states what is known from where.
"""

import itertools
import struct
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images import ctdata_header
from xfworker.adapters.images.ctdata_header import BLOCK, GOBJ_TYPE
from xfworker.adapters.images.disk_room import writing_errors
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.opening import read_whole
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.contour import Contour, Point, fill, follow, trace
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

NAME: Final = "GOBJ"
MASK_VALUE: Final = 127

_SLICE: Final = struct.Struct("<14i")
_OUTLINE: Final = struct.Struct("<17i")
_PRIMITIVE: Final = struct.Struct("<9i")
_STEPS: Final = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""The step (x, y) that each stored code means."""

_ONE: Final = 16512
"""1.0 as VAX F, read as an integer: the records' scale factors."""

_RECTANGLE, _ELLIPSE = 4, 6
_FARTHEST: Final = 1 << 20
_WIDEST: Final = 1 << 16
_MOST_PIXELS: Final = 1 << 30
"""Of one slice: a file of some hundred bytes may ask for a mask that no memory holds."""

_MOST_FILE_BYTES: Final = 1 << 28
_PLAUSIBLE_UM: Final = (0.1, 10_000.0)


@attrs.frozen
class Gobj:
    """
    The content of one file.

    Attributes:
        contours: Every outline, in the file's order.
        spacing_mm: Size of a pixel along x, y and z; 1 mm where the header holds nothing plausible.
        has_primitives: Whether there were drawn rectangles or ellipses among them.
    """

    contours: tuple[Contour, ...]
    spacing_mm: Triple
    has_primitives: bool = False

    @property
    def box(self) -> tuple[int, int, int, int, int, int]:
        """The smallest and largest x, y and z."""
        boxes = [contour.box for contour in self.contours]
        lows, highs = (
            zip(*((box[0], box[2]) for box in boxes), strict=True),
            zip(*((box[1], box[3]) for box in boxes), strict=True),
        )
        (x0, y0), (x1, y1) = map(min, lows), map(max, highs)
        return x0, x1, y0, y1, min(c.z for c in self.contours), max(c.z for c in self.contours)


def read_contours(path: Path) -> Gobj:
    """
    Read the contours of a GOBJ file.

    Raises:
        ImageFormatError: A record cannot be right.
        UnsupportedImage: It holds a drawn shape that is not known.
    """
    data = read_whole(path, _MOST_FILE_BYTES)
    header = ctdata_header.parse(data, path, len(data))
    parser = _Parser(data, header.data_offset, path)
    contours = tuple(parser.contours())
    if not contours:
        raise ImageFormatError("it holds no contour.", path=path, offset=header.data_offset, field="contours")
    gobj = Gobj(contours, _spacing(data, header), parser.has_primitives)
    x0, x1, y0, y1, _, _ = gobj.box
    if (x1 - x0 + 1) * (y1 - y0 + 1) > _MOST_PIXELS:
        raise ImageFormatError(
            f"its contours span {x1 - x0 + 1} x {y1 - y0 + 1} pixels, which is more than the slices of any scan have.",
            path=path,
            offset=header.data_offset,
            field="contours",
        )
    return gobj


def _spacing(data: bytes, header: ctdata_header.CtdataHeader) -> Triple:
    """Take the lengths from where they stand, or from where they stand in an ISQ, whichever is plausible."""
    isq = struct.unpack_from("<3i", data, 44), struct.unpack_from("<3i", data, 56)
    for dim, extent in ((header.dim, header.extent_um), isq):
        steps = [um / count if count > 0 else 0.0 for um, count in zip(extent, dim, strict=True)]
        if all(_PLAUSIBLE_UM[0] <= step <= _PLAUSIBLE_UM[1] for step in steps):
            return steps[0] / 1000, steps[1] / 1000, steps[2] / 1000
    return 1.0, 1.0, 1.0


class _Parser:
    """Reads the records behind the header."""

    def __init__(self, data: bytes, at: int, path: Path) -> None:
        self.data, self.at, self.path = data, at, path
        self.has_primitives = False

    def error(self, field: str, message: str) -> ImageFormatError:
        return ImageFormatError(message, path=self.path, offset=self.at, field=field)

    def contours(self) -> list[Contour]:
        contours: list[Contour] = []
        while self.at + _SLICE.size <= len(self.data):
            record = _SLICE.unpack_from(self.data, self.at)
            if record[0] == 0 and record[13] == 0:
                self.at += _SLICE.size
                continue
            if record[0] != 1 or record[7:9] != (3, 20):
                raise self.error("slice record", f"expected the record of a slice, got {record[:9]}.")
            if not 0 <= record[13] <= (len(self.data) - self.at) // _PRIMITIVE.size:
                raise self.error("number of contours", f"{record[13]} contours cannot be right.")
            self.at += _SLICE.size
            contours.extend(self.outline() for _ in range(record[13]))
        return contours

    def outline(self) -> Contour:
        if self.at + _PRIMITIVE.size > len(self.data):
            raise self.error("contour record", "the file ends inside it; it was cut short.")
        kind = struct.unpack_from("<i", self.data, self.at + 32)[0]
        if kind == 0:
            return self.primitive()
        if self.at + _OUTLINE.size > len(self.data):
            raise self.error("contour record", "the file ends inside it; it was cut short.")
        record = _OUTLINE.unpack_from(self.data, self.at)
        if record[7:9] != (3, 32):
            raise self.error("contour record", f"expected the record of a contour, got {record[:9]}.")
        x, y, z = record[1] + record[13], record[2] + record[14], record[3]
        elements, count = record[15], record[16]
        if elements < 1 or count < (3 * (elements - 1) + 7) // 8:
            raise self.error("contour length", f"{elements} pixels in {count} bytes cannot be right.")
        begin = self.at + _OUTLINE.size
        if count > len(self.data) - begin:
            raise self.error("contour length", f"{count} bytes go beyond the end of the file; it was cut short.")
        points = self.checked(_decoded(self.data[begin : begin + count], elements, (x, y)), z)
        self.at = begin + count
        return Contour(z, points)

    def primitive(self) -> Contour:
        shape, x, y, z, width, height = struct.unpack_from("<6i", self.data, self.at)
        if shape not in (_RECTANGLE, _ELLIPSE):
            raise UnsupportedImage(
                f"{self.path} holds a drawn shape of kind {shape} (byte {self.at}), which is not known."
            )
        if not (1 <= width <= _WIDEST and 1 <= height <= _WIDEST):
            raise self.error("shape", f"a size of {width} x {height} cannot be right.")
        self.has_primitives = True
        left, top = x - (width - 1) // 2, y - (height - 1) // 2
        points = self.checked(_rectangle(left, top, width, height), z)
        if shape == _ELLIPSE:
            points = _ellipse(left, top, width, height)
        self.at += _PRIMITIVE.size
        return Contour(z, points)

    def checked(self, points: tuple[Point, ...], z: int) -> tuple[Point, ...]:
        if abs(z) > _FARTHEST or any(abs(x) > _FARTHEST or abs(y) > _FARTHEST for x, y in points):
            raise self.error("contour place", f"slice {z}, pixel {points[0]} is farther out than any scan.")
        (x0, y0), (x1, y1) = points[0], points[-1]
        if max(abs(x0 - x1), abs(y0 - y1)) > 1:
            raise self.error("contour chain", f"it ends at {points[-1]}, not beside its start {points[0]}.")
        return points


def _decoded(data: bytes, elements: int, start: Point) -> tuple[Point, ...]:
    """Follow the steps of a chain; the step that closes it is not stored."""
    bits = int.from_bytes(data, "little")
    x, y = start
    points = [start]
    for begin in range(0, elements - 1, 4096):
        # Shifting one huge number once per step would take quadratic time: take some at a time.
        packed = bits >> (3 * begin) & ((1 << 3 * 4096) - 1)
        for _ in range(min(4096, elements - 1 - begin)):
            dx, dy = _STEPS[packed & 7]
            packed >>= 3
            x, y = x + dx, y + dy
            points.append((x, y))
    return tuple(points)


def _encoded(points: Sequence[Point]) -> bytes:
    codes = [_STEPS.index((x1 - x0, y1 - y0)) for (x0, y0), (x1, y1) in itertools.pairwise(points)]
    data = bytearray()
    for begin in range(0, len(codes), 8):
        packed = sum(code << (3 * index) for index, code in enumerate(codes[begin : begin + 8]))
        data += packed.to_bytes(3, "little")
    return bytes(data).ljust((3 * len(points) + 5) // 8, b"\0")[: (3 * len(points) + 5) // 8]


def _rectangle(left: int, top: int, width: int, height: int) -> tuple[Point, ...]:
    right, bottom = left + width - 1, top + height - 1
    down = [(left, y) for y in range(top, bottom + 1)]
    along = [(x, bottom) for x in range(left + 1, right + 1)]
    up = [(right, y) for y in range(bottom - 1, top if width == 1 else top - 1, -1)]
    back = [(x, top) for x in range(right - 1, left, -1)]
    return tuple(down + along + up + back)


@attrs.frozen
class _Ellipse:
    """
    The pixels whose centres lie in the ellipse that fits a box.

    They are asked for one by one along the rim: a box may be as large as no memory is, in a file of some hundred bytes.
    """

    width: int
    height: int

    def __getitem__(self, number: int) -> int:
        y, x = divmod(number, self.width + 2)
        across, down = self._part(x - 1, self.width), self._part(y - 1, self.height)
        return across * across + down * down <= 1

    @staticmethod
    def _part(at: int, count: int) -> float:
        return (at - (count - 1) / 2) / (count / 2)

    def outline(self) -> tuple[Point, ...]:
        """Trace them from the first one in reading order; rows at the ends of a narrow ellipse have none."""
        row, middle = self.width + 2, (self.width + 1) // 2
        first = next(number for number in range(row + middle, row * (self.height + 1), row) if self[number])
        # What is in a row lies around its middle.
        begin = first - bisect_left(range(middle), 1, key=lambda west: not self[first - west]) + 1
        return follow(self, begin, row, set())


def _ellipse(left: int, top: int, width: int, height: int) -> tuple[Point, ...]:
    return tuple((x + left, y + top) for x, y in _Ellipse(width, height).outline())


class GobjCodec:
    """The ``ImageCodec`` of GOBJ files: a mask of 0 and 127 over the contours' common box."""

    name = NAME
    suffixes: tuple[str, ...] = (".gobj",)
    encodings: tuple[str, ...] = ("contours",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is a GOBJ."""
        return ctdata_header.recognises(head, GOBJ_TYPE)

    def describe(self, path: Path) -> ImageInfo:
        """Read the contours for their box; see the port."""
        return _described(path, read_contours(path))

    def reader(self, path: Path) -> "GobjReader":
        """Open the mask; see the port."""
        gobj = read_contours(path)
        return GobjReader(_described(path, gobj), gobj)

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "GobjWriter":
        """Begin a GOBJ; see the port and ``GobjWriter``."""
        if encoding not in (None, "contours"):
            raise UnsupportedImage(f"{path}: GOBJ holds contours only, not {encoding}.")
        return GobjWriter(path, image)


def _described(path: Path, gobj: Gobj) -> ImageInfo:
    x0, x1, y0, y1, z0, z1 = gobj.box
    size = (x1 - x0 + 1, y1 - y0 + 1, z1 - z0 + 1)
    if max(size[:2]) > _WIDEST:
        raise ImageFormatError(
            f"contours over {size[0]} x {size[1]} pixels cannot be right.", path=path, field="contours"
        )
    spacing = gobj.spacing_mm
    return ImageInfo(
        path=path,
        format=NAME,
        format_version="V1",
        encoding="contours",
        kind="segments",
        size=size,
        pixel_type=PixelType.INT8,
        pixels_path=path,
        spacing_mm=spacing,
        origin_mm=(x0 * spacing[0], y0 * spacing[1], z0 * spacing[2]),
        labels=({"value": MASK_VALUE, "name": "object"},),
        is_ipl_compatible=True,
        header={
            "contours": len(gobj.contours),
            "slices": len({contour.z for contour in gobj.contours}),
            "position": [x0, y0, z0],
            "has_primitives": gobj.has_primitives,
        },
        files=(path,),
    )


class GobjReader(SlabReader):
    """Fills contours slice by slice when they are asked for."""

    def __init__(self, info: ImageInfo, gobj: Gobj) -> None:
        super().__init__(info)
        self._left, _, self._top, _, self._first, _ = gobj.box
        self._by_slice: dict[int, list[Contour]] = {}
        for contour in gobj.contours:
            self._by_slice.setdefault(contour.z, []).append(contour)

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        for index, plane in enumerate(out):
            contours = self._by_slice.get(self._first + start + index, ())
            mask = fill(contours, self._left, self._top, plane.shape) if contours else False
            np.multiply(mask, MASK_VALUE, out=plane, casting="unsafe")


class GobjWriter(SlabWriter):
    """
    Writes the contours of what is not 0 in a mask; reading them gives the mask back, cropped to its objects.

    Args:
        path: The file to be.
        image: Size and geometry of the mask, of an integer type.

    Raises:
        UnsupportedImage: The pixels are no labels, or lie too far out.
    """

    def __init__(self, path: Path, image: ImageInfo) -> None:
        if image.pixel_type.is_float or image.axes not in ("XYZ", "XY", "X"):
            raise UnsupportedImage(f"{path}: contours are written from a mask of integers; threshold the image first.")
        super().__init__(
            attrs.evolve(image, path=path, pixels_path=path, format=NAME, encoding="contours", files=(path,))
        )
        corner = [round(at / step) for at, step in zip(image.origin_mm, image.spacing_mm, strict=True)]
        if any(abs(at) + length > _FARTHEST for at, length in zip(corner, image.size_3d, strict=True)):
            raise UnsupportedImage(f"{path}: a position of {corner} pixels is farther out than any scan.")
        self._left, self._top, self._z = corner
        self._contours = 0
        self._partial = PartialFile(path)
        try:
            self._partial.write(self._header())
        except BaseException:
            self._partial.discard()
            raise

    def _header(self) -> bytes:
        size = self.info.size_3d
        block = bytearray(BLOCK)
        block[:16] = ctdata_header.MAGIC
        struct.pack_into("<i", block, 16, GOBJ_TYPE)
        extent = [round(count * step * 1000) for count, step in zip(size, self.info.spacing_mm, strict=True)]
        if max(extent) >= 2**31:
            raise UnsupportedImage(
                f"{self.info.path}: a volume of {extent} micrometres does not fit the header of a GOBJ."
            )
        struct.pack_into("<6i", block, 32, *size, *extent)
        return bytes(block)

    def _write(self, slab: "Pixels") -> None:
        for plane in slab.reshape(-1, *self.info.shape[-2:]) if slab.ndim > 1 else slab.reshape(1, 1, -1):
            inside = plane != 0
            if not self.remarks and bool((plane[inside] != MASK_VALUE).any()):
                self.remarks = (f"the values: what is not 0 becomes {MASK_VALUE}",)
            contours = trace(inside, self._z)
            if contours:
                self._partial.write(self._slice(contours))
                self._contours += len(contours)
            self._z += 1

    def write_contours(self, contours: Sequence[Contour]) -> None:
        """Write traced contours in voxels of the mask, slice by slice, in the place of all slabs."""
        with writing_errors(self.info.path):
            for z, some in itertools.groupby(contours, lambda contour: contour.z):
                self._partial.write(self._slice([attrs.evolve(contour, z=self._z + z) for contour in some]))
        self._contours += len(contours)
        self._written = self.info.size[-1]

    def _slice(self, contours: Sequence[Contour]) -> bytes:
        boxes = [contour.box for contour in contours]
        x, y, width, height = self._place(
            (min(b[0] for b in boxes), max(b[1] for b in boxes)), (min(b[2] for b in boxes), max(b[3] for b in boxes))
        )
        z = contours[0].z
        parts = [_SLICE.pack(1, x, y, z, width, height, 0, 3, 20, 0, 0, _ONE, _ONE, len(contours))]
        for contour in contours:
            x0, x1, y0, y1 = contour.box
            x, y, width, height = self._place((x0, x1), (y0, y1))
            start_x, start_y = contour.points[0][0] + self._left, contour.points[0][1] + self._top
            chain = _encoded(contour.points)
            record = (3, x, y, z, width, height, 0, 3, 32, 0, 0, _ONE, _ONE, start_x - x, start_y - y)
            parts += [_OUTLINE.pack(*record, len(contour.points), len(chain)), chain]
        return b"".join(parts)

    def _place(self, xs: tuple[int, int], ys: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give a box as records have it: its centre in the scan's pixels, and its size."""
        width, height = xs[1] - xs[0] + 1, ys[1] - ys[0] + 1
        return xs[0] + self._left + (width - 1) // 2, ys[0] + self._top + (height - 1) // 2, width, height

    def _finish(self) -> None:
        if not self._contours:
            raise UnsupportedImage(f"{self.info.path}: the mask is empty, and a GOBJ without contours says nothing.")
        self._partial.write(bytes(_SLICE.size))
        self._partial.write(bytes(-self._partial.tell() % BLOCK))
        self._partial.finish()

    def _discard(self) -> None:
        self._partial.discard()
