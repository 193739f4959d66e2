"""The voxel block of an AIM file: readers for every way it is stored, and the writer."""

import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images import aim_header
from xfworker.adapters.images.aim_header import V020_LIMIT, AimHeader, IntTriple, Version
from xfworker.adapters.images.aim_types import BY_NAME, DEFAULT_ENCODINGS, AimType
from xfworker.adapters.images.bit_blocks import BitBlocksEncoder, block_rows, expand_blocks
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.kept_header import restored
from xfworker.adapters.images.opening import positioned_reader
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter, file_bytes
from xfworker.adapters.images.run_length import RunLengthEncoder, RunLengthStream
from xfworker.adapters.images.vax_floats import f_array_from_float32, f_array_to_float32
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image import processing_log
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.domain.image.voxel_digest import VoxelDigest

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_PROGRAM: Final = "xfworker"
_BLOCK: Final = 1 << 22
_HALF_NANOMETRE_MM: Final = 0.5e-6


@attrs.frozen(kw_only=True)
class Placed:
    """
    Where the voxels of one AIM stand.

    Attributes:
        header: The file's header.
        kind: The type of its voxels.
        file_size: The file's size in bytes.
    """

    header: AimHeader
    kind: AimType
    file_size: int


class RunLengthReader(SlabReader):
    """Reads binCmp and charCmp: slabs are expanded when they are asked for."""

    def __init__(self, info: ImageInfo, file: IO[bytes], placed: Placed) -> None:
        super().__init__(info, file)
        self._stream = RunLengthStream(
            file,
            info.path,
            "binCmp" if placed.kind.storage == "binCmp" else "charCmp",
            offset=placed.header.voxel_offset,
            length=placed.header.voxel_bytes,
            size_bytes=8 if placed.header.version == "v030" else 4,
            voxel_count=info.pixel_count,
        )

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        self._stream.read_into(start * self.info.slab_byte_count, out.reshape(-1).view(np.uint8))


class BitBlocksReader(SlabReader):
    """Reads bit8: one bit per voxel in blocks of 2 x 2 x 2, then the value of the set ones."""

    def __init__(self, info: ImageInfo, file: IO[bytes], placed: Placed) -> None:
        super().__init__(info, file)
        self._read_at = positioned_reader(file)
        self._offset = placed.header.voxel_offset
        self._rows = block_rows(info.size)
        plane = self._rows[1] * self._rows[2]
        value = self._read_at(self._offset + self._rows[0] * plane, 1)
        # A value of 0 would make every voxel 0; other readers take it as 127.
        self._value = (value[0] if value else 0) or 127

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        _, rows, columns = self._rows
        first, last = start // 2, (start + len(out) + 1) // 2
        data = self._read_at(self._offset + first * rows * columns, (last - first) * rows * columns)
        if len(data) < (last - first) * rows * columns:
            raise ImageFormatError(
                "the file ends inside the voxels; it was cut short while it was read.",
                path=self.info.path,
                offset=self._offset + first * rows * columns + len(data),
                field="voxels",
            )
        blocks = np.frombuffer(data, np.uint8).reshape(last - first, rows, columns)
        expand_blocks(blocks, self._value, out.view(np.uint8), skip=start - 2 * first)


class VaxReader(SlabReader):
    """Reads VAX F floating point, as float32."""

    def __init__(self, info: ImageInfo, file: IO[bytes], placed: Placed) -> None:
        super().__init__(info, file)
        self._read_at = positioned_reader(file)
        self._offset = placed.header.voxel_offset

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        flat = out.reshape(-1)
        step = _BLOCK // 4
        begin = start * self.info.slab_byte_count
        for at in range(0, flat.size, step):
            piece = flat[at : at + step]
            data = self._read_at(self._offset + begin + at * 4, piece.size * 4)
            if len(data) < piece.size * 4:
                raise ImageFormatError(
                    "the file ends inside the voxels; it was cut short while it was read.",
                    path=self.info.path,
                    offset=self._offset + begin + at * 4 + len(data),
                    field="voxels",
                )
            piece[:] = f_array_to_float32(np.frombuffer(data, "<u4"))


class AimWriter(SlabWriter):
    """
    Writes an AIM file.

    An image that carries the verbatim header and log of an AIM, and whose voxels prove to be the same as when it was
    taken from there, becomes the same file again, byte for byte (but for the padding). A changed one keeps the log and
    gets an entry at its end.

    Args:
        path: The file to be.
        image: Size, pixel type, geometry, calibration and source of the image.
        encoding: A name of ``aim_types``, or None for the source's own, or else the plain one of the pixel type.

    Raises:
        UnsupportedImage: AIM cannot hold this image in this encoding.
    """

    def __init__(self, path: Path, image: ImageInfo, encoding: str | None) -> None:
        self._kind = _chosen_type(path, image, encoding)
        super().__init__(
            attrs.evolve(image, path=path, pixels_path=path, format="AIM", encoding=self._kind.name, files=(path,))
        )
        self._source = _AimSource(image.source, path)
        self._version = _chosen_version(self._kind, image, self._source)
        _check_fits(path, self._version, image, self._kind)
        self._verbatim = self._source.header_of(image, self._kind, self._version)
        self._digest = VoxelDigest.expecting(self._source.voxels) if self._verbatim else None
        self._encoder = self._new_encoder(path)
        log = self._source.log if self._verbatim else self._changed_log()
        self._header = self._fresh_header(log) if self._verbatim is None else attrs.evolve(self._verbatim, log=log)
        self._voxel_bytes = 0
        self._partial = PartialFile(path)
        try:
            if self._kind.storage in ("raw", "vax"):
                self._partial.reserve(self._header.voxel_offset + self.info.byte_count)
            self._partial.write(bytes(self._header.voxel_offset))
            if self._kind.storage in ("charCmp", "binCmp"):
                self._emit(bytes(self._prefix_bytes))
        except BaseException:
            self._partial.discard()
            raise

    @property
    def _prefix_bytes(self) -> int:
        size_bytes = 4 if self._version == "v020" else 8
        return size_bytes + (2 if self._kind.storage == "binCmp" else 0)

    def _new_encoder(self, path: Path) -> RunLengthEncoder | BitBlocksEncoder | None:
        match self._kind.storage:
            case "charCmp" | "binCmp" as kind:
                return RunLengthEncoder(kind, path)
            case "bit8":
                return BitBlocksEncoder(self.info.size, path)
            case _:
                return None

    def _write(self, slab: "Pixels") -> None:
        import numpy as np

        if self._digest is not None:
            self._digest.update(slab)
        if self._encoder is not None:
            for piece in self._encoder.encode(slab.reshape(-1).view(np.uint8)):
                self._emit(piece)
        elif self._kind.storage == "vax":
            self._emit_vax(slab)
        else:
            self._emit(file_bytes(slab, self.info))

    def _emit(self, data: Any) -> None:
        view = memoryview(data)
        self._partial.write(view)
        self._voxel_bytes += view.nbytes

    def _emit_vax(self, slab: "Pixels") -> None:
        flat = slab.reshape(-1)
        step = _BLOCK // 4
        try:
            for at in range(0, flat.size, step):
                self._emit(f_array_from_float32(flat[at : at + step]).astype("<u4", copy=False))
        except OverflowError as error:
            raise UnsupportedImage(f"{self.info.path} cannot be written as VAX F: {error} Write float32.") from None

    def _finish(self) -> None:
        if self._encoder is not None:
            self._emit(self._encoder.finish())
        if isinstance(self._encoder, RunLengthEncoder):
            values = bytes(self._encoder.values) if self._kind.storage == "binCmp" else b""
            size_bytes = self._prefix_bytes - len(values)
            self._partial.write_at(self._header.voxel_offset, self._voxel_bytes.to_bytes(size_bytes, "little") + values)
        unchanged = self._digest is not None and self._digest.is_as_expected()
        if self._verbatim is not None and not unchanged:
            self._lengthen_log()
        self._complete(unchanged=unchanged)

    def _complete(self, *, unchanged: bool) -> None:
        associated = self._source.associated if unchanged else b""
        header = attrs.evolve(self._header, voxel_bytes=self._voxel_bytes, associated_bytes=len(associated))
        kept = self._header.voxel_bytes, self._header.associated_bytes
        same_bytes = unchanged and kept == (self._voxel_bytes, len(associated))
        before = header.verbatim if same_bytes else header.encoded()
        self._partial.write(associated)
        self._partial.write(bytes(-self._partial.tell() % aim_header.RECORD))
        self._partial.write_at(0, before + header.log)
        self._partial.finish()

    def _lengthen_log(self) -> None:
        """Make room for a longer log: copy the voxels behind a header that has it."""
        header = attrs.evolve(self._header, log=self._changed_log(), verbatim=b"")
        longer = PartialFile(self.info.path)
        try:
            longer.write(bytes(header.voxel_offset))
            self._partial.file.seek(self._header.voxel_offset)
            shutil.copyfileobj(self._partial.file, _Sink(longer), _BLOCK)
        except BaseException:
            longer.discard()
            raise
        self._partial.discard()
        self._partial, self._header = longer, header

    def _discard(self) -> None:
        self._partial.discard()

    def _fresh_header(self, log: bytes) -> AimHeader:
        template = self._source.header
        spacing = self.info.spacing_mm
        pos = _position(self.info.origin_mm, spacing)
        if template is None:
            return AimHeader(
                version=self._version,
                type_code=self._kind.code,
                pos=pos,
                dim=self.info.size_3d,
                element_size_mm=spacing,
                log=log,
            )
        return attrs.evolve(
            template,
            version=self._version,
            type_code=self._kind.code,
            pos=pos,
            dim=self.info.size_3d,
            off=(0, 0, 0),
            element_size_mm=spacing,
            log=log,
            associated=b"",
            verbatim=b"",
        )

    def _changed_log(self) -> bytes:
        now = dt.datetime.now().astimezone()
        image = self.info
        if self._source.text:
            values: list[tuple[str, processing_log.Value]] = [("Dim-p", image.size_3d), ("Encoding", self._kind.name)]
            scale = processing_log.changed_calibration_lines(
                self._source.text, ScancoCalibration.of(image.calibrations), image.default_unit_type
            )
            text = processing_log.appended(self._source.text, f"{_PROGRAM}: written as AIM", now, values, scale)
        else:
            text = processing_log.begun(
                _PROGRAM,
                now,
                scan=self._source.scan,
                scale=ScancoCalibration.of(image.calibrations),
                default_unit_type=image.default_unit_type,
                calibration_name=str((image.source or {}).get("calibration_name") or ""),
            )
        return text.encode(processing_log.ENCODING)


class _Sink:
    """Lets the standard library's copying write into a partial file."""

    def __init__(self, partial: PartialFile) -> None:
        self._partial = partial

    def write(self, data: bytes) -> int:
        self._partial.write(data)
        return len(data)


class _AimSource:
    """
    What an image kept of the file that it came from.

    Attributes:
        header: The header of the AIM, or None when it came from another format.
        log: The log's bytes.
        text: The log's text; empty when there was none.
        associated: The block behind the voxels.
        voxels: Digest of the pixels when they were taken from there, as the document states it; None when not known.
        scan: Statements about the scan, for a log that is to be begun.
    """

    def __init__(self, source: Mapping[str, Any] | None, path: Path) -> None:
        stated = source or {}
        self.text = str(stated.get("processing_log") or "")
        self.scan = _scan_statements(stated.get("scan")) or [("Original file", path.name)]
        self.header: AimHeader | None = None
        self.associated = b""
        self.voxels: Any = None
        self._encoding = stated.get("encoding")
        try:
            self.log = self.text.encode(processing_log.ENCODING)
        except UnicodeEncodeError as error:
            raise ImageError(
                f"The processing log kept for {path} holds a character that is not Latin-1: {error}."
            ) from error
        if stated.get("format") != "AIM" or not isinstance(stated.get("header"), str):
            return
        head = restored(stated["header"], f"The AIM header kept for {path}")
        self.associated = restored(stated.get("associated_data", ""), f"The associated data kept for {path}")
        header = aim_header.parse(head, path, V020_LIMIT**2)
        self.header = attrs.evolve(header, log=self.log)
        if VoxelDigest.expecting(stated.get("voxels")) is not None and len(header.log) == len(self.log):
            self.voxels = stated["voxels"]

    def header_of(self, image: ImageInfo, kind: AimType, version: Version) -> AimHeader | None:
        """Give the kept header if it still says what the image is."""
        header = self.header
        if header is None or self.voxels is None or self._encoding != kind.name or header.version != version:
            return None
        frame = header.off if kind.storage in ("charCmp", "binCmp") else (0, 0, 0)
        size = tuple(length - 2 * width for length, width in zip(header.dim, frame, strict=True))
        corner = tuple(at + width for at, width in zip(header.pos, frame, strict=True))
        same = (
            header.type_code == kind.code
            and size == image.size_3d
            and aim_header.spacing_of(header) == image.spacing_mm
            and corner == _position(image.origin_mm, image.spacing_mm)
            and image.calibrations in _stated_calibrations(kind, self.text)
        )
        return header if same else None


def _stated_calibrations(kind: AimType, log: str) -> tuple[tuple[Calibration, ...], ...]:
    """Give what may be said of the values of an AIM with this log: of a mask, nothing as well."""
    logged = processing_log.calibration_of(log).calibrations()
    return (logged, ()) if kind.pixel_type is PixelType.INT8 else (logged,)


def _scan_statements(stated: Any) -> list[tuple[str, processing_log.Value]]:
    """Give the kept statements about a scan, leaving out what is none."""
    statements: list[tuple[str, processing_log.Value]] = []
    for pair in stated if isinstance(stated, list) else ():
        match pair:
            case [str(key), str(value) | int(value)]:
                statements.append((key, value))
            case [str(key), list(values)] if all(isinstance(value, int) for value in values):
                statements.append((key, values))
    return statements


def _position(origin: Triple, spacing: Triple) -> IntTriple:
    """Give the index of the voxel at the origin; one between voxels becomes that of the nearest."""
    x, y, z = (round(at / step) for at, step in zip(origin, spacing, strict=True))
    return x, y, z


def _chosen_type(path: Path, image: ImageInfo, encoding: str | None) -> AimType:
    """Give the type to write, or say why there is none."""
    if set(image.axes) - set("XYZ") or image.axes != "XYZ"[: len(image.axes)]:
        raise UnsupportedImage(f"{path}: AIM holds volumes with axes XYZ, not {image.axes}.")
    if encoding is None:
        kept = (image.source or {}).get("encoding") if (image.source or {}).get("format") == "AIM" else None
        own = BY_NAME.get(str(kept))
        encoding = kept if own is not None and own.pixel_type is image.pixel_type else None
    if encoding is None:
        encoding = DEFAULT_ENCODINGS.get(image.pixel_type)
    kind = BY_NAME.get(encoding or "")
    if kind is None or kind.pixel_type is not image.pixel_type:
        takes = ", ".join(sorted({known.pixel_type.value for known in BY_NAME.values()}))
        what = f"as {encoding}" if encoding else "as it is"
        raise UnsupportedImage(
            f"{path}: pixels of type {image.pixel_type.value} cannot be written to AIM {what}; convert them to one of"
            f" {takes} first."
        )
    return kind


def _chosen_version(kind: AimType, image: ImageInfo, source: _AimSource) -> Version:
    """Version 020 below 2 GB and for integers, as IPL has it; the source's own where that can hold the image."""
    worst = image.byte_count * (2 if kind.storage == "charCmp" else 1) + 16
    too_large = worst > V020_LIMIT
    if too_large or (source.header is not None and source.header.version == "v030"):
        return "v030"
    if kind.needs_v030 and not (source.header is not None and source.header.type_code == kind.code):
        return "v030"
    return "v020"


def _check_fits(path: Path, version: Version, image: ImageInfo, kind: AimType) -> None:
    if image.pixel_count == 0:
        raise UnsupportedImage(f"{path}: an AIM without voxels cannot be written as {kind.name}.")
    limit = V020_LIMIT if version == "v020" else 2**62
    numbers = (*image.size_3d, *_position(image.origin_mm, image.spacing_mm))
    if any(abs(number) > limit for number in numbers):
        raise UnsupportedImage(f"{path}: position or size {numbers} is too large for an AIM of version {version[1:]}.")
    if version == "v030" and min(image.spacing_mm) < _HALF_NANOMETRE_MM:
        raise UnsupportedImage(
            f"{path}: an AIM of version 030 states element sizes in whole nanometres; {image.spacing_mm} mm has less."
        )
