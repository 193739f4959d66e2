"""DICOM series of CT slices: a folder of files, or one of them, by pydicom. They are read only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images.carried_metadata import rescaled
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import HOUNSFIELD, HOUNSFIELD_UNIT
from xfworker.domain.image.description import ALONG_THE_AXES, ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MOST_FILES: Final = 100_000


@attrs.frozen
class _Slice:
    path: Path
    header: Any
    position: float


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


class DicomCodec:
    """The ``ImageCodec`` of one DICOM series; the folder must hold no other."""

    name = "DICOM"
    suffixes: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()

    def recognises(self, path: Path, head: bytes, /) -> bool:
        """Tell whether the content is a DICOM file, or a folder with one among its first files."""
        return bool(_files_of(path, 8)) if path.is_dir() else _is_dicom(head)

    def describe(self, path: Path) -> ImageInfo:
        """Read the headers of all slices; see the port."""
        return _described(path)[0]

    def reader(self, path: Path) -> "DicomReader":
        """Open the slices; see the port."""
        return DicomReader(*_described(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> SlabWriter:  # noqa: ARG002 - port
        """Refuse: a DICOM needs a patient and a study, which an image here does not have."""
        raise UnsupportedImage(f"{path}: DICOM is read only; write NIfTI, NRRD, MetaImage, TIFF, AIM, ISQ or OMNI.")


def _files_of(folder: Path, most: int) -> list[Path]:
    found = []
    for number, path in enumerate(sorted(folder.iterdir())):
        if number >= most:
            break
        if path.is_file():
            try:
                with open_to_read(path) as file:
                    if _is_dicom(file.read(132)):
                        found.append(path)
            except ImageError:
                continue
    return found


def _described(path: Path) -> tuple[ImageInfo, list[_Slice]]:
    pydicom = reader_library("pydicom", path, "a DICOM series")
    files = _files_of(path, _MOST_FILES) if path.is_dir() else [path]
    slices = []
    for file in files:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            if "Rows" in header:
                slices.append(_Slice(file, header, _position(header)))
        except Exception as error:  # pydicom raises several classes of its own
            raise ImageFormatError(f"pydicom cannot read it: {error!r:.200}.", path=file, field="header") from error
    if not slices:
        raise ImageFormatError("no DICOM file in it holds pixels.", path=path, field="Rows")
    slices.sort(key=lambda one: one.position)
    first = slices[0].header
    try:
        return _info(path, slices, first), slices
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ImageFormatError(f"its header is incomplete: {error}.", path=slices[0].path, field="header") from error


def _info(path: Path, slices: Sequence[_Slice], first: Any) -> ImageInfo:
    series = {str(one.header.get("SeriesInstanceUID", "")) for one in slices}
    shapes = {(int(one.header.Rows), int(one.header.Columns), int(one.header.BitsAllocated)) for one in slices}
    frames = {int(one.header.get("NumberOfFrames", 1) or 1) for one in slices}
    lines = {
        (float(one.header.get("RescaleSlope", 1) or 1), float(one.header.get("RescaleIntercept", 0) or 0))
        for one in slices
    }
    if len(series) > 1 or len(shapes) > 1 or len(lines) > 1 or (len(slices) > 1 and frames != {1}):
        raise UnsupportedImage(
            f"{path} holds slices of {len(series)} series, {len(shapes)} shapes and {len(lines)} scales; put one"
            " series of equal slices into a folder of its own."
        )
    ((rows, columns, bits),) = shapes
    signed = int(first.get("PixelRepresentation", 0)) == 1
    pixel_type = PixelType.of_numpy_code(f"{'i' if signed else 'u'}{bits // 8}")
    if pixel_type is None or int(first.get("SamplesPerPixel", 1)) != 1 or bits not in (8, 16, 32):
        raise UnsupportedImage(f"{path}: slices with {bits} bits and several numbers per pixel are not read.")
    depth = len(slices) if len(slices) > 1 else next(iter(frames))
    row_step, column_step = (float(step) for step in first.get("PixelSpacing", (1.0, 1.0)))
    between = float(first.get("SpacingBetweenSlices", 0) or first.get("SliceThickness", 0) or 1.0)
    if len(slices) > 1:
        gap = (slices[-1].position - slices[0].position) / (len(slices) - 1)
        between = abs(gap) or between
    origin = [float(value) for value in first.get("ImagePositionPatient", (0.0, 0.0, 0.0))]
    ((slope, intercept),) = lines
    is_ct = str(first.get("RescaleType", "HU" if first.get("Modality") == "CT" else "")).upper() == "HU"
    calibrations = (
        rescaled(slope, intercept, HOUNSFIELD, HOUNSFIELD_UNIT) if is_ct else rescaled(slope, intercept, "Scaled")
    )
    return ImageInfo(
        path=path,
        format=DicomCodec.name,
        encoding=str(getattr(first.file_meta, "TransferSyntaxUID", "")),
        size=(columns, rows, depth),
        pixel_type=pixel_type,
        pixels_path=slices[0].path,
        spacing_mm=(column_step, row_step, between),
        origin_mm=(origin[0], origin[1], origin[2]),
        direction=_direction(first),
        calibrations=calibrations,
        default_unit_type=calibrations[0].unit_type if calibrations else None,
        header={"modality": str(first.get("Modality", "")), "slices": len(slices)},
        files=tuple(one.path for one in slices),
    )


def _direction(header: Any) -> tuple[float, ...]:
    """Give where the rows, the columns and the sorted slices run in space."""
    turn = header.get("ImageOrientationPatient")
    if turn is None:
        return ALONG_THE_AXES
    a, b, normal = _axes(turn)
    return tuple(axis[row] for row in range(3) for axis in (a, b, normal))


def _axes(turn: Sequence[Any]) -> tuple[list[float], list[float], list[float]]:
    """Give the directions of a plane's rows and columns, and its normal."""
    a, b = [float(v) for v in turn[:3]], [float(v) for v in turn[3:]]
    return a, b, [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _position(header: Any) -> float:
    """Give where a slice is along the normal of its plane; its number where it does not say."""
    place, turn = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if place is None or turn is None:
        return float(header.get("InstanceNumber", 0) or 0)
    return sum(float(value) * along for value, along in zip(place, _axes(turn)[2], strict=True))


class DicomReader(SlabReader):
    """Reads one file per slice, or the frames of a single file."""

    def __init__(self, info: ImageInfo, slices: Sequence[_Slice]) -> None:
        super().__init__(info)
        self._slices = slices

    def _read_into(self, start: int, out: "Pixels") -> None:
        import pydicom

        try:
            if len(self._slices) == 1:
                frames = pydicom.dcmread(self._slices[0].path).pixel_array.reshape(self.info.shape)
                out[...] = frames[start : start + len(out)]
                return
            for index, plane in enumerate(out):
                plane[...] = pydicom.dcmread(self._slices[start + index].path).pixel_array
        except Exception as error:  # pydicom raises several classes of its own
            where = self._slices[min(start, len(self._slices) - 1)].path
            raise ImageFormatError(f"pydicom cannot read its pixels: {error!r:.200}.", path=where) from error
