"""
NIfTI (.nii, .nii.gz; a .hdr with the pixels in an .img beside it is read), by nibabel.

Its space points right, front and up; the one here left, back and up.
"""

import math
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import (
    carried,
    carried_scaling,
    line_for_others,
    rescaled,
    unseen_calibrations,
    with_carried,
)
from xfworker.adapters.images.deflated_pixels import DeflatedReader, unpacked_beginning
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import RawReader, SlabReader, check_raw_size
from xfworker.adapters.images.simple_writer import HeaderThenPixelsWriter
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo, Triple
from xfworker.domain.image.length_units import MILLIMETRE, is_not_a_unit, length_unit
from xfworker.domain.image.pixel_type import PixelType

_GZIP: Final = b"\x1f\x8b"
_MOST_HEADER: Final = 1 << 20
_MOST_AXIS_NIFTI1: Final = 32767
_COMMENT: Final = 6
_SIDES: Final = (-1.0, -1.0, 1.0)
"""How left, back and up are counted where axes point right, front and up."""

_SAME_DIRECTION: Final = 1e-6
_RIGHT_ANGLE: Final = 1e-4
_HEADER_1: Final = 348


_MAGICS: Final = {b"n+1\0": "Nifti1Image", b"ni1\0": "Nifti1Pair", b"n+2\0": "Nifti2Image", b"ni2\0": "Nifti2Pair"}
"""What nibabel calls the kinds of files. The magic of NIfTI-1 is at byte 344, that of NIfTI-2 at 4."""

_PACKED: Final = ".gz"


def _kind_of(data: bytes) -> str | None:
    for magic, kind in _MAGICS.items():
        at = 344 if "1" in kind else 4
        if data[at : at + 4] == magic:
            return kind
    return None


def _beginning(path: Path) -> tuple[bytes, bool]:
    """Give a file's beginning unpacked, and whether it is packed."""
    with open_to_read(path) as file:
        head = file.read(_MOST_HEADER)
    return _unpacked(head, _MOST_HEADER), head.startswith(_GZIP)


def _beside(path: Path, suffix: str) -> Path:
    """
    Give the other file of a pair, whose name differs in its suffix only; either may be packed.

    Raises:
        ImageFormatError: There is none.
    """
    name = path.name[: -len(_PACKED)] if path.name.lower().endswith(_PACKED) else path.name
    stem = Path(name).stem
    for ending in (suffix, suffix.upper(), suffix + _PACKED):
        if path.with_name(stem + ending).is_file():
            return path.with_name(stem + ending)
    raise ImageFormatError(f"its other half {stem}{suffix} is not beside it.", path=path, field="magic")


def _header_beside(path: Path) -> Path | None:
    """Give the header of a pair by the name of its pixels, or None where the file is not the pixels of a pair."""
    if not path.name.lower().endswith((".img", ".img.gz")):
        return None
    try:
        header = _beside(path, ".hdr")
        is_pair = (_kind_of(_beginning(header)[0]) or "").endswith("Pair")
    except ImageError:
        return None
    return header if is_pair else None


def _time_not_kept(header: Any, axes: int) -> tuple[str, ...]:
    """Say what a series in time states of its points of time, which an image has no place for."""
    if axes <= 3:  # noqa: PLR2004 - space
        return ()
    step, unit = float(header.get_zooms()[3]), header.get_xyzt_units()[1]
    is_stated = step not in (0, 1) or unit != "unknown"
    return (f"states {step:.9g} {unit} between points of time, which is not kept",) if is_stated else ()


def _is_skewed(direction: tuple[float, ...]) -> bool:
    columns = [direction[axis::3] for axis in range(3)]
    return any(
        abs(sum(a * b for a, b in zip(columns[one], columns[other], strict=True))) > _RIGHT_ANGLE
        for one, other in ((0, 1), (0, 2), (1, 2))
    )


def _unpacked(head: bytes, most: int) -> bytes:
    return unpacked_beginning(head, most) if head.startswith(_GZIP) else head[:most]


class NiftiCodec:
    """The ``ImageCodec`` of NIfTI-1 and NIfTI-2: single files, and pairs of header and pixels, which are read."""

    name = "NIfTI"
    suffixes: tuple[str, ...] = (".nii", ".nii.gz")
    encodings: tuple[str, ...] = ("raw", "gzip")

    def recognises(self, path: Path, head: bytes, /) -> bool:
        """Return whether the content is a NIfTI, compressed or not; the pixels of a pair are known by their header."""
        return _kind_of(_unpacked(head, 352)) is not None or _header_beside(path) is not None

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        return self._described(path)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the pixels; see the port."""
        info, skip = self._described(path)
        return RawReader(info) if info.pixels_offset is not None else DeflatedReader(info, info.pixels_path, skip=skip)

    def _described(self, path: Path) -> tuple[ImageInfo, int]:
        nibabel = reader_library("nibabel", path, "a NIfTI")
        path = _header_beside(path) or path
        data, packed = _beginning(path)
        kind = _kind_of(data)
        if kind is None:
            raise ImageFormatError("it holds no NIfTI.", path=path, field="magic")
        size = _HEADER_1 if "1" in kind else 540
        pixels_path = path
        if kind.endswith("Pair"):
            pixels_path = _beside(path, ".img")
            packed = _beginning(pixels_path)[1]
        try:
            header = getattr(nibabel, kind).header_class(data[:size], check=True)
            shape = tuple(int(count) for count in header.get_data_shape())
            pixel_type = PixelType.of_numpy_code(header.get_data_dtype().str)
            slope, intercept = header.get_slope_inter()
            spacing, origin, direction, assumptions = _place(header, path)
            skip = int(header.get_data_offset())
        except ImageError:
            raise
        except Exception as error:  # nibabel raises several classes of its own
            raise ImageFormatError(f"nibabel cannot read its header: {error}.", path=path, field="header") from error
        while len(shape) > 3 and shape[-1] == 1:  # noqa: PLR2004 - axes beyond the third
            shape = shape[:-1]
        if pixel_type is None or len(shape) > 4 or not shape or min(shape) < 1:  # noqa: PLR2004 - time is the last we know
            raise UnsupportedImage(f"{path}: pixels of type {header.get_data_dtype()} and shape {shape} are not read.")
        line = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
        calibrations = rescaled(*line, "Scaled")
        info = ImageInfo(
            path=path,
            format=self.name,
            format_version="2" if size > _HEADER_1 else "1",
            encoding="gzip" if packed else "raw",
            axes="XYZT"[: len(shape)],
            size=shape,
            pixel_type=pixel_type,
            byte_order="little" if header.endianness == "<" else "big",
            pixels_path=pixels_path,
            pixels_offset=None if packed else skip,
            spacing_mm=spacing,
            origin_mm=origin,
            direction=direction,
            calibrations=calibrations,
            default_unit_type=calibrations[0].unit_type if calibrations else None,
            header={"description": bytes(header["descrip"]).split(b"\0")[0].decode("latin-1"), "offset": skip},
            files=tuple(dict.fromkeys((path, pixels_path))),
            assumptions=(*assumptions, *_time_not_kept(header, len(shape))),
        )
        if not packed:
            check_raw_size(info)
        extensions = data[size:] if pixels_path != path else data[size:skip]
        return _with_note(info, line, _comment(extensions)), skip

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> HeaderThenPixelsWriter:
        """Begin a NIfTI-1, or a NIfTI-2 where an axis is too long for it; see the port."""
        nibabel = reader_library("nibabel", path, "to be a NIfTI")
        if image.axes not in ("X", "XY", "XYZ", "XYZT"):
            raise UnsupportedImage(f"{path}: NIfTI is written from axes XYZT, not {image.axes}.")
        wide = max(image.size) > _MOST_AXIS_NIFTI1
        header = (nibabel.Nifti2Header if wide else nibabel.Nifti1Header)(endianness="<")
        header.set_data_dtype(image.pixel_type.code)
        header.set_data_shape(image.size)
        affine = [
            [
                side * part * step + 0.0
                for part, step in zip(image.direction[3 * row :][:3], image.spacing_mm, strict=True)
            ]
            + [side * image.origin_mm[row]]
            for row, side in enumerate(_SIDES)
        ]
        header.set_sform([*affine, [0, 0, 0, 1]], code="scanner")
        # A qform holds rotations only: where the axes are skewed, other programs would see axes that are not these.
        skewed = _is_skewed(image.direction)
        header.set_qform([*affine, [0, 0, 0, 1]], code="unknown" if skewed else "scanner")
        header.set_xyzt_units("mm")
        header["magic"] = b"n+2" if wide else b"n+1"
        stated = line_for_others(image)
        line = (1.0, 0.0) if stated is None else _as_stated(stated.line(), wide=wide)
        if line[0] == 0 or not all(map(math.isfinite, line)):
            stated, line = None, (1.0, 0.0)
        header["scl_slope"], header["scl_inter"] = line
        note = carried(image, stated).encode("ascii") + b"\0"
        note += bytes(-(len(note) + 8) % 16)
        extension = bytes([1, 0, 0, 0]) + (len(note) + 8).to_bytes(4, "little") + _COMMENT.to_bytes(4, "little") + note
        size = 540 if wide else _HEADER_1
        header.set_data_offset(size + len(extension) + -(size + len(extension)) % 16)
        data = bytes(header.binaryblock) + extension
        data += bytes(int(header.get_data_offset()) - len(data))
        packed = encoding == "gzip" or (encoding is None and path.name.lower().endswith(".gz"))
        if encoding not in (None, *self.encodings):
            raise UnsupportedImage(f"{path}: NIfTI is written raw or gzip, not {encoding}.")
        info = attrs.evolve(
            image,
            path=path,
            format=self.name,
            encoding="gzip" if packed else "raw",
            pixels_path=path,
            files=(path,),
            byte_order="little",
        )
        remarks = unseen_calibrations(image, stated, "a note that this package reads")
        if skewed:
            remarks += ("programs that read the qform alone see no place: the axes are not at right angles",)
        return HeaderThenPixelsWriter(info, data, is_packed=packed, remarks=remarks)


def _as_stated(line: tuple[float, float], *, wide: bool) -> tuple[float, float]:
    """Give a line as the header states it: in 32 bits, or in the 64 of a NIfTI-2."""
    import numpy as np

    with np.errstate(over="ignore"):
        return line if wide else (float(np.float32(line[0])), float(np.float32(line[1])))


def _with_note(info: ImageInfo, line: tuple[float, float], note: str) -> ImageInfo:
    """
    Give the image with what this package noted, unless the header says that it does not hold any more.

    A program that keeps the note and scales the values anew states another line than the note was written with.
    """
    noted, scaled_to = with_carried(info, note), carried_scaling(note)
    if scaled_to is None:
        return noted
    own = next((one for one in noted.calibrations if one.unit_type == scaled_to), None)
    expected = (1.0, 0.0) if own is None else _as_stated(own.line(), wide=info.format_version == "2")
    if line == expected:
        return noted
    return attrs.evolve(noted, calibrations=info.calibrations, default_unit_type=info.default_unit_type)


def _place(header: Any, path: Path) -> tuple[Triple, Triple, tuple[float, ...], tuple[str, ...]]:
    """
    Give spacing, origin and direction of voxels in a space that points to the left, the back and up; and what the
    header does not state of them.

    The lengths of the affine's columns are the spacing; the header's own sizes of voxels, where they are the same, have
    more digits of it. A header without an affine says nothing of place and direction.
    """
    import numpy as np

    def decimal(number: float) -> float:
        """Give the shortest decimal of a number of 24 bits, in mm: 0.0607, not 0.06069999933242798."""
        return unit.mm(float(str(np.float32(number))) if header.sizeof_hdr == _HEADER_1 else float(number))

    assumptions = []
    word = header.get_xyzt_units()[0]
    unit = MILLIMETRE if is_not_a_unit(word) else length_unit(word, path, "xyzt_units")
    if is_not_a_unit(word):
        assumptions.append("states no unit of length; mm are taken")
    sizes = [decimal(step) for step in (*header.get_zooms(), 1, 1, 1)[:3]]
    if not all(0 < size < math.inf for size in sizes):
        sizes = [size if 0 < size < math.inf else 1.0 for size in sizes]
        assumptions.append("states no spacing (pixdim) along an axis; 1 mm is taken")
    affine = np.asarray(header.get_best_affine(), np.float64)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    stated = bool(int(header["sform_code"]) or int(header["qform_code"]))
    if not stated or not bool(np.all(np.isfinite(affine))) or not bool(np.all(lengths > 0)):
        assumptions.append("states no place (sform, qform); the origin is taken as 0 0 0, its axes as those of space")
        return (sizes[0], sizes[1], sizes[2]), (0.0, 0.0, 0.0), ALONG_THE_AXES, tuple(assumptions)
    x, y, z = (
        size if math.isclose(size, unit.mm(length), rel_tol=1e-6) else unit.mm(float(length))
        for size, length in zip(sizes, lengths, strict=True)
    )
    left, back, up = (side * decimal(at) + 0.0 for side, at in zip(_SIDES, affine[:3, 3], strict=True))
    turned = np.diag(_SIDES) @ (affine[:3, :3] / lengths)
    nearest = np.rint(turned)
    turned = np.where(np.abs(turned - nearest) < _SAME_DIRECTION, nearest, turned) + 0.0
    return (x, y, z), (left, back, up), tuple(turned.ravel().tolist()), tuple(assumptions)


def _comment(extensions: bytes) -> str:
    """Give the first comment among the extensions behind the header."""
    at = 4
    while extensions[:1] != b"\0" and at + 8 <= len(extensions):
        size, code = (int.from_bytes(extensions[i : i + 4], "little") for i in (at, at + 4))
        if size < 8:  # noqa: PLR2004 - the two numbers themselves
            break
        if code == _COMMENT:
            text: Any = extensions[at + 8 : at + size].rstrip(b"\0").decode("latin-1")
            return str(text)
        at += size
    return ""
