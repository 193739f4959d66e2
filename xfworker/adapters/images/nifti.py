"""NIfTI (.nii, .nii.gz), by nibabel. Its space points right, front and up; the one here left, back and up."""

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
from xfworker.domain.image.length_units import MILLIMETRE, is_no_unit, length_unit
from xfworker.domain.image.pixel_type import PixelType

_GZIP: Final = b"\x1f\x8b"
_MOST_HEADER: Final = 1 << 20
_MOST_AXIS_NIFTI1: Final = 32767
_COMMENT: Final = 6
_SIDES: Final = (-1.0, -1.0, 1.0)
"""How left, back and up are counted where axes point right, front and up."""

_SAME_DIRECTION: Final = 1e-6
_HEADER_1: Final = 348


def _unpacked(head: bytes, most: int) -> bytes:
    return unpacked_beginning(head, most) if head.startswith(_GZIP) else head[:most]


class NiftiCodec:
    """The ``ImageCodec`` of NIfTI-1 and NIfTI-2 in single files."""

    name = "NIfTI"
    suffixes: tuple[str, ...] = (".nii", ".nii.gz")
    encodings: tuple[str, ...] = ("raw", "gzip")

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Tell whether the content is a NIfTI in one file, compressed or not."""
        data = _unpacked(head, 352)
        return data[344:348] == b"n+1\0" or data[4:8] == b"n+2\0"

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        return self._described(path)[0]

    def reader(self, path: Path) -> SlabReader:
        """Open the pixels; see the port."""
        info, skip = self._described(path)
        return RawReader(info) if info.pixels_offset is not None else DeflatedReader(info, path, skip=skip)

    def _described(self, path: Path) -> tuple[ImageInfo, int]:
        nibabel = reader_library("nibabel", path, "a NIfTI")
        with open_to_read(path) as file:
            head = file.read(_MOST_HEADER)
        data = _unpacked(head, _MOST_HEADER)
        kind = nibabel.Nifti2Header if data[4:8] == b"n+2\0" else nibabel.Nifti1Header
        size = 540 if data[4:8] == b"n+2\0" else _HEADER_1
        try:
            header = kind(data[:size], check=True)
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
        packed = head.startswith(_GZIP)
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
            pixels_path=path,
            pixels_offset=None if packed else skip,
            spacing_mm=spacing,
            origin_mm=origin,
            direction=direction,
            calibrations=calibrations,
            default_unit_type=calibrations[0].unit_type if calibrations else None,
            header={"description": bytes(header["descrip"]).split(b"\0")[0].decode("latin-1"), "offset": skip},
            files=(path,),
            assumptions=assumptions,
        )
        if not packed:
            check_raw_size(info)
        return _with_note(info, line, _comment(data[size:skip])), skip

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
        # A qform holds rotations only: where the axes are skewed it is the nearest one.
        header.set_qform([*affine, [0, 0, 0, 1]], code="scanner")
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
    unit = MILLIMETRE if is_no_unit(word) else length_unit(word, path, "xyzt_units")
    if is_no_unit(word):
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
