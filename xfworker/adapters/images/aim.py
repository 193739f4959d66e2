"""AIM: the images that SCANCO's IPL reads and writes, versions 020 and 030; the older 010 and 011 are read."""

import math
import os
from pathlib import Path
from typing import IO, Any, Final

import attrs

from xfworker.adapters.images import aim_header
from xfworker.adapters.images.aim_header import AimHeader
from xfworker.adapters.images.aim_types import BY_CODE, BY_NAME, NOT_READ, AimType
from xfworker.adapters.images.aim_voxels import AimWriter, BitBlocksReader, Placed, RunLengthReader, VaxReader
from xfworker.adapters.images.kept_header import kept
from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image import processing_log
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

NAME: Final = "AIM"


class AimCodec:
    """The ``ImageCodec`` of AIM files."""

    name = NAME
    suffixes: tuple[str, ...] = (".aim",)
    encodings: tuple[str, ...] = tuple(BY_NAME)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is an AIM of any version; names such as ``SCAN.AIM;1`` do not matter."""
        return aim_header.recognises(head)

    def describe(self, path: Path) -> ImageInfo:
        """Read header and processing log; see the port."""
        with open_to_read(path) as file:
            return _described(path, file)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the voxels; see the port."""
        file = open_to_read(path)
        try:
            info, placed = _described(path, file)
            if placed.kind.storage == "raw":
                file.close()
                return RawReader(info)
            readers = {"vax": VaxReader, "bit8": BitBlocksReader, "charCmp": RunLengthReader, "binCmp": RunLengthReader}
            reader: SlabReader = readers[placed.kind.storage](info, file, placed)
        except BaseException:
            file.close()
            raise
        return reader

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> AimWriter:
        """Begin an AIM; see the port and ``AimWriter``."""
        return AimWriter(path, image, encoding)


def verbatim_source(header: AimHeader, kind: AimType, file: IO[bytes]) -> dict[str, Any]:
    """Give what is kept of an AIM when its voxels move into another format, as JSON values."""
    source: dict[str, Any] = {
        "format": NAME,
        "format_version": header.version,
        "encoding": kind.name,
        "header": kept(header.verbatim),
        "processing_log": header.log.decode(processing_log.ENCODING),
    }
    if 0 < header.associated_bytes <= aim_header.MOST_LOG_BYTES:
        file.seek(header.associated_offset)
        source["associated_data"] = kept(file.read(header.associated_bytes))
    return source


def _described(path: Path, file: IO[bytes]) -> tuple[ImageInfo, Placed]:
    header = aim_header.read(file, path)
    kind = BY_CODE.get(header.type_code)
    if kind is None:
        rare = NOT_READ.get(header.type_code)
        known = ", ".join(BY_NAME)
        if rare is not None:
            raise UnsupportedImage(
                f"{path} is an AIM with voxels of the rare type {rare}, whose layout is not known well enough to read"
                f" it faithfully. Read are {known}; convert it with IPL."
            )
        raise ImageFormatError(
            f"0x{header.type_code & 0xFFFFFFFF:08X} is not a known data type (read are {known}).",
            path=path,
            offset={"v020": 40, "v030": 68}.get(header.version, aim_header.OLD_TYPE_OFFSET),
            field="data type",
        )
    framed = kind.storage not in ("charCmp", "binCmp")
    frame = (0, 0, 0) if framed else header.off
    size = tuple(length - 2 * width for length, width in zip(header.dim, frame, strict=True))
    corner = tuple(at + width for at, width in zip(header.pos, frame, strict=True))
    voxels = math.prod(size)
    needed = _least_block_bytes(kind, size, voxels, header)
    if needed > header.voxel_bytes:
        raise ImageFormatError(
            f"{size[0]} x {size[1]} x {size[2]} voxels as {kind.name} take at least {needed} bytes, but the voxel block"
            f" has {header.voxel_bytes}.",
            path=path,
            offset=40 if header.version == "v030" else 12,
            field="voxel block size",
        )
    log = header.log.decode(processing_log.ENCODING)
    spacing = aim_header.spacing_of(header)
    assumptions: tuple[str, ...] = ()
    if spacing != header.element_size_mm:
        assumptions = (
            f"states an element size of {header.element_size_mm} mm, which cannot be right; {spacing} mm is taken",
        )
    # IPL keeps masks and labels in its 8-bit signed types: a density of theirs would say nothing.
    is_mask = kind.pixel_type is PixelType.INT8
    info = ImageInfo(
        path=path,
        format=NAME,
        kind="segments" if is_mask else "image",
        format_version=header.version,
        encoding=kind.name,
        size=size,
        pixel_type=kind.pixel_type,
        pixels_path=path,
        pixels_offset=header.voxel_offset if kind.storage == "raw" else None,
        spacing_mm=spacing,
        origin_mm=(corner[0] * spacing[0], corner[1] * spacing[1], corner[2] * spacing[2]),
        calibrations=() if is_mask else processing_log.calibration_of(log).calibrations(),
        default_unit_type=None if is_mask else processing_log.default_unit_type_of(log),
        is_ipl_compatible=True,
        header=_header_document(header, kind),
        source=verbatim_source(header, kind, file),
        files=(path,),
        assumptions=assumptions,
    )
    return info, Placed(header=header, kind=kind, file_size=os.fstat(file.fileno()).st_size)


def _least_block_bytes(kind: AimType, size: tuple[int, ...], voxels: int, header: AimHeader) -> int:
    """Give the fewest bytes that can hold the voxels, so that no header makes us reserve more than a file can fill."""
    if kind.storage == "bit8":
        return math.prod((length + 1) // 2 for length in size) + 1
    size_bytes = 8 if header.version == "v030" else 4
    if kind.storage == "binCmp":
        return size_bytes + 2 + -(-voxels // 254)
    if kind.storage == "charCmp":
        return size_bytes + 2 * -(-voxels // 255)
    return voxels * kind.pixel_type.size


def _header_document(header: AimHeader, kind: AimType) -> dict[str, Any]:
    """Give the header's fields for display, as JSON values."""
    fields = attrs.asdict(header, filter=attrs.filters.exclude("log", "verbatim", "associated"), recurse=False)
    document = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    document["element_size_mm"] = [size if math.isfinite(size) else str(size) for size in header.element_size_mm]
    document["data_type"] = kind.scanco_name
    document["log_bytes"] = len(header.log)
    return document
