"""
The header of an AIM file: sizes of its blocks, type, place and element size of the image, processing log.

A file is ``[magic, v030 only][pre-header][image struct][processing log][voxels][associated data][padding]``, little
endian, without gaps. The pre-header holds its own size and those of the four blocks. There is no public vendor
specification; docs/images.md states what is known from where.
"""

import math
import os
import struct
from pathlib import Path
from typing import IO, Any, Final, Literal

import attrs

from xfworker.adapters.images.vax_floats import f_from_float, f_to_float
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image import processing_log
from xfworker.domain.image.description import Triple

MAGIC: Final = b"AIMDATA_V030   \0"
RECORD: Final = 512
"""IPL reads and writes whole records of 512 bytes."""

V020_LIMIT: Final = 2**31 - 1
"""The largest number that a v020 header can state."""

MOST_LOG_BYTES: Final = 64 * 2**20
"""A log beyond this size is a lie of the header; those of IPL have a few kilobytes."""

NM_PER_MM: Final = 1_000_000

_KILOMETRE_MM: Final = 1e6

Version = Literal["v010", "v011", "v020", "v030"]
IntTriple = tuple[int, int, int]

_OLD_IMAGE_STRUCTS: Final[dict[int, tuple[Version, int]]] = {92: ("v010", 1), 96: ("v011", 1), 104: ("v011", 3)}
"""Versions older than v020 by the size of their image struct, with how many element sizes it holds."""

OLD_TYPE_OFFSET: Final = 36
"""Where the older versions state the data type, behind a pre-header of 20 bytes."""

_OLD_PRE_HEADERS: Final = (16, 20)
"""The oldest files do without the block of associated data."""

_V020_HEADER: Final = 20 + 140
_V030_HEADER: Final = 16 + 40 + 224
_V020: Final = struct.Struct("<5i B3x 2i 2i i 3i 3i 3i 3i 3i 3i 3i 12s 20s")
_V030: Final = struct.Struct("<16s 5q B3x 2i i 3q 3q 3q 3q 3q 3q 3q 3q 16s")


_OLD: Final = struct.Struct("<2i 2i i 3i 3i 3i 3i")
"""What v010 and v011 begin with: pointers, id and ref, type, dim, off, subdim, pos; then element sizes, associated."""


@attrs.frozen(kw_only=True)
class AimHeader:
    """
    The header of one AIM file.

    Attributes:
        version: ``v020`` or ``v030``, or one of the older ``v010`` and ``v011``, which are only read.
        type_code: ``kind << 16 | element size``.
        pos: Global index of voxel (0, 0, 0), per axis x, y, z.
        dim: Voxels per axis, including the frame.
        off: Width of the invalid frame per axis, on either side.
        supdim: Size of the image that this one was cut from, or zeros; likewise suppos, subdim and testoff.
        element_size_mm: Distance between voxels per axis.
        log: The processing log as it stands in the file, with the NUL that ends it.
        voxel_bytes: Size of the voxel block.
        associated_bytes: Size of the block behind it.
        ids: The numbers id and ref.
        associated: The fields that describe the associated data, as bytes; IPL leaves garbage in them.
        verbatim: The bytes before the log as they stood in the file; empty for a header that was not read.
    """

    version: Version
    type_code: int
    pos: IntTriple
    dim: IntTriple
    off: IntTriple = (0, 0, 0)
    supdim: IntTriple = (0, 0, 0)
    suppos: IntTriple = (0, 0, 0)
    subdim: IntTriple = (0, 0, 0)
    testoff: IntTriple = (0, 0, 0)
    element_size_mm: Triple
    log: bytes = attrs.field(default=b"\0", repr=False)
    voxel_bytes: int = 0
    associated_bytes: int = 0
    ids: tuple[int, int] = (0, 0)
    associated: bytes = b""
    verbatim: bytes = attrs.field(default=b"", repr=False)

    @property
    def log_offset(self) -> int:
        """The byte at which the processing log begins."""
        return len(self.verbatim) or (_V020_HEADER if self.version == "v020" else _V030_HEADER)

    @property
    def voxel_offset(self) -> int:
        """The byte at which the voxel block begins."""
        return self.log_offset + len(self.log)

    @property
    def associated_offset(self) -> int:
        """The byte at which the associated data begin."""
        return self.voxel_offset + self.voxel_bytes

    @property
    def end(self) -> int:
        """The byte behind the last block."""
        return self.associated_offset + self.associated_bytes

    def encoded(self) -> bytes:
        """Give the bytes before the processing log."""
        if self.version == "v020":
            return _V020.pack(
                20,
                140,
                len(self.log),
                self.voxel_bytes,
                self.associated_bytes,
                0o20,
                0,
                0,
                *self.ids,
                self.type_code,
                *self.pos,
                *self.dim,
                *self.off,
                *self.supdim,
                *self.suppos,
                *self.subdim,
                *self.testoff,
                b"".join(f_from_float(size) for size in self.element_size_mm),
                self.associated.ljust(20, b"\0")[:20],
            )
        return _V030.pack(
            MAGIC,
            40,
            224,
            len(self.log),
            self.voxel_bytes,
            self.associated_bytes,
            0o30,
            *self.ids,
            self.type_code,
            *self.pos,
            *self.dim,
            *self.off,
            *self.supdim,
            *self.suppos,
            *self.subdim,
            *self.testoff,
            *(round(size * NM_PER_MM) for size in self.element_size_mm),
            self.associated.ljust(16, b"\0")[:16],
        )


def recognises(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is an AIM, of any version."""
    if head.startswith(MAGIC[:15]):
        return True
    if len(head) < 21:  # noqa: PLR2004 - the pre-header and the version byte
        return False
    pre_header, image_struct = struct.unpack_from("<2i", head)
    return (pre_header == 20 and image_struct == 140) or (  # noqa: PLR2004 - the sizes in the format's table
        pre_header in _OLD_PRE_HEADERS and image_struct in _OLD_IMAGE_STRUCTS
    )


def parse(data: bytes, path: Path, file_size: int) -> AimHeader:
    """
    Read the fields before the log; the log itself is left empty but for its size.

    Args:
        data: The first 280 bytes of the file, or all of it where it is shorter.
        path: The file, for messages.
        file_size: Its size in bytes.

    Returns:
        The header, with a log of NULs of the stated length.

    Raises:
        ImageFormatError: A field cannot be right.
    """
    if data.startswith(MAGIC[:15]):
        version: Version = "v030"
        layout, at_sizes, names = _V030, 16, _V030_OFFSETS
    else:
        if len(data) >= 8 and struct.unpack_from("<2i", data)[1] in _OLD_IMAGE_STRUCTS:  # noqa: PLR2004 - two numbers
            return _parsed_old(data, path, file_size)
        version, layout, at_sizes, names = "v020", _V020, 0, _V020_OFFSETS
    if len(data) < layout.size:
        raise ImageFormatError(
            f"the file ends after {file_size} bytes, inside the header of {layout.size} bytes; it was cut short.",
            path=path,
            offset=file_size,
            field="header",
        )
    values: tuple[Any, ...] = layout.unpack_from(data)
    if version == "v030":
        values = values[1:]
        sizes, ids, type_code, triples = values[:5], values[6:8], values[8], values[9:33]
        nanometres, associated = triples[21:24], values[33]
        element = [size / NM_PER_MM for size in nanometres]
    else:
        sizes, ids, type_code, triples = values[:5], values[8:10], values[10], values[11:32]
        associated = values[33]
        raw = values[32]
        element = [_shortest(f_to_float(raw[at : at + 4])) for at in (0, 4, 8)]
    check = _Checks(path, names)
    fixed = (40, 224) if version == "v030" else (20, 140)
    for index, (name, expected) in enumerate(zip(("pre-header size", "image struct size"), fixed, strict=True)):
        if sizes[index] != expected:
            width = 8 if version == "v030" else 4
            raise ImageFormatError(
                f"expected {expected}, got {sizes[index]}.", path=path, offset=at_sizes + index * width, field=name
            )
    check.sizes(sizes[2:], file_size, layout.size)
    groups = [tuple(triples[at : at + 3]) for at in range(0, 21, 3)]
    check.dimensions(groups[1], groups[2])
    return AimHeader(
        version=version,
        type_code=type_code,
        pos=groups[0],
        dim=groups[1],
        off=groups[2],
        supdim=groups[3],
        suppos=groups[4],
        subdim=groups[5],
        testoff=groups[6],
        element_size_mm=(element[0], element[1], element[2]),
        log=bytes(sizes[2]),
        voxel_bytes=sizes[3],
        associated_bytes=sizes[4],
        ids=ids,
        associated=associated,
        verbatim=bytes(data[: layout.size]),
    )


def _parsed_old(data: bytes, path: Path, file_size: int) -> AimHeader:
    """Read the fields of a v010 or v011; as Aimpack and AimIO have them, dim and pos are what they are in v020."""
    pre_header, image_struct = struct.unpack_from("<2i", data)
    version, element_sizes = _OLD_IMAGE_STRUCTS[image_struct]
    header_size = pre_header + image_struct
    if pre_header not in _OLD_PRE_HEADERS:
        raise ImageFormatError(f"expected 16 or 20, got {pre_header}.", path=path, offset=0, field="pre-header size")
    if len(data) < header_size:
        raise ImageFormatError(
            f"the file ends after {file_size} bytes, inside the header of {header_size} bytes; it was cut short.",
            path=path,
            offset=file_size,
            field="header",
        )
    log, voxels, associated = (*struct.unpack_from(f"<{pre_header // 4 - 2}i", data, 8), 0)[:3]
    values = _OLD.unpack_from(data, pre_header)
    dim, off, subdim, pos = (values[at : at + 3] for at in (5, 8, 11, 14))
    at = pre_header + _OLD.size
    sizes = [_shortest(f_to_float(data[at + 4 * index : at + 4 * index + 4])) for index in range(element_sizes)]
    at += 4 * element_sizes
    check = _Checks(path, {**_V020_OFFSETS, "dim": pre_header + 20, "off": pre_header + 32})
    check.sizes((log, voxels, associated), file_size, header_size)
    check.dimensions(dim, off)
    return AimHeader(
        version=version,
        type_code=values[4],
        pos=(pos[0], pos[1], pos[2]),
        dim=(dim[0], dim[1], dim[2]),
        off=(off[0], off[1], off[2]),
        subdim=(subdim[0], subdim[1], subdim[2]),
        element_size_mm=(sizes[0], sizes[len(sizes) // 2], sizes[-1]),
        log=bytes(log),
        voxel_bytes=voxels,
        associated_bytes=associated,
        ids=(values[2], values[3]),
        associated=data[at : at + 20],
        verbatim=data[:header_size],
    )


def spacing_of(header: AimHeader) -> Triple:
    """
    Give the distance between voxels.

    Images made from contours can hold garbage there; then it is what the log says of the scan, or else 1 mm.
    """
    if all(math.isfinite(size) and 0 < size < _KILOMETRE_MM for size in header.element_size_mm):
        return header.element_size_mm
    log = header.log.decode(processing_log.ENCODING)
    try:
        points = [int(word) for word in (processing_log.last(log, "Orig-ISQ-Dim-p") or "").split()]
        micrometres = [int(word) for word in (processing_log.last(log, "Orig-ISQ-Dim-um") or "").split()]
        x, y, z = (um / point / 1000 for um, point in zip(micrometres, points, strict=True))
    except (ValueError, ZeroDivisionError, OverflowError):
        return 1.0, 1.0, 1.0
    return (x, y, z) if 0 < min(x, y, z) <= max(x, y, z) < _KILOMETRE_MM else (1.0, 1.0, 1.0)


def read(file: IO[bytes], path: Path) -> AimHeader:
    """Read the header and the processing log of an open file; raises as ``parse``."""
    file_size = os.fstat(file.fileno()).st_size
    file.seek(0)
    header = parse(file.read(_V030_HEADER), path, file_size)
    file.seek(header.log_offset)
    log = file.read(len(header.log))
    if len(log) != len(header.log):
        raise ImageFormatError(
            "the file ends inside the processing log.", path=path, offset=header.log_offset, field="processing log"
        )
    return attrs.evolve(header, log=log)


_V020_OFFSETS: Final = {"log size": 8, "voxel block size": 12, "associated data size": 16, "dim": 56, "off": 68}
_V030_OFFSETS: Final = {"log size": 32, "voxel block size": 40, "associated data size": 48, "dim": 96, "off": 120}


class _Checks:
    """Says which field of a header cannot be right, and where it stands."""

    def __init__(self, path: Path, offsets: dict[str, int]) -> None:
        self.path = path
        self.offsets = offsets

    def error(self, field: str, message: str) -> ImageFormatError:
        return ImageFormatError(message, path=self.path, offset=self.offsets[field], field=field)

    def sizes(self, sizes: tuple[int, ...], file_size: int, header_size: int) -> None:
        log, voxels, associated = sizes
        if not 0 <= log <= MOST_LOG_BYTES:
            raise self.error("log size", f"{log} bytes cannot be right.")
        if log > file_size - header_size:
            raise self.error("log size", f"{log} bytes go beyond the end of the file ({file_size} bytes).")
        if voxels < 0 or voxels > file_size - header_size - log:
            raise self.error(
                "voxel block size",
                f"{voxels} bytes do not fit into the file, which has {file_size - header_size - log} bytes behind the"
                " processing log; it was cut short, or the header is wrong.",
            )
        if associated < 0 or associated > file_size - header_size - log - voxels:
            raise self.error(
                "associated data size", f"{associated} bytes do not fit into the file ({file_size} bytes)."
            )

    def dimensions(self, dim: tuple[int, ...], off: tuple[int, ...]) -> None:
        for axis, length, frame in zip("xyz", dim, off, strict=True):
            if not 1 <= length < 2**31:
                raise self.error("dim", f"{length} voxels along {axis} cannot be right.")
            if not 0 <= 2 * frame < length:
                raise self.error("off", f"a frame of {frame} voxels along {axis} leaves nothing of {length}.")


def _shortest(value: float) -> float:
    """Give the shortest decimal that stands for the same 24 bits: 0.0606997, not 0.060699701309204102."""
    if not value > 0:
        return value
    for digits in range(6, 10):
        candidate = float(f"{value:.{digits}g}")
        try:
            if f_from_float(candidate) == f_from_float(value):
                return candidate
        except OverflowError:
            break
    return value
