"""DICOM series of CT slices: a folder of files, one of them, or an enhanced multi-frame file, by pydicom. Read only."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xfworker.adapters.images.carried_metadata import rescaled
from xfworker.adapters.images.dicom_frames import Frame, frames_of
from xfworker.adapters.images.dicom_geometry import volume_of
from xfworker.adapters.images.extras import reader_library
from xfworker.adapters.images.opening import head_of, open_to_read
from xfworker.adapters.images.raw_pixels import SlabReader, SlabWriter
from xfworker.domain.errors import ImageError, ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import HOUNSFIELD, HOUNSFIELD_UNIT, Calibration, unit_type_named
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MOST_FILES: Final = 100_000
_UNSPECIFIED: Final = ("", "US", "UNSPECIFIED")
_FLOATS: Final = {32: PixelType.FLOAT32, 64: PixelType.FLOAT64}
"""FloatPixelData and DoubleFloatPixelData: their files state no PixelRepresentation."""


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


class DicomCodec:
    """The ``ImageCodec`` of one DICOM series; the folder must hold no other."""

    name = "DICOM"
    suffixes: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()

    def recognises(self, path: Path, head: bytes, /) -> bool:
        """Return whether the content is a DICOM file, or a folder with one among its files."""
        return next(_files_of(path), None) is not None if path.is_dir() else _is_dicom(head)

    def describe(self, path: Path) -> ImageInfo:
        """Read the headers of all slices; see the port."""
        return _described(path)[0]

    def reader(self, path: Path) -> "DicomReader":
        """Open the slices; see the port."""
        return DicomReader(*_described(path))

    def series_reader(self, path: Path) -> "DicomReader | None":
        """Open the files beside a file that have its SeriesInstanceUID; see ``SeriesCodec``."""
        if path.is_dir() or not _is_dicom(head_of(path)):
            return None
        return DicomReader(*_described(path, whole_series=True))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> SlabWriter:  # noqa: ARG002 - port
        """Refuse: a DICOM needs a patient and a study, which an image here does not have."""
        raise UnsupportedImage(f"{path}: DICOM is read only; write NIfTI, NRRD, MetaImage, TIFF, AIM, ISQ or OMNI.")


def _files_of(folder: Path) -> Iterator[Path]:
    """Give the DICOM files of a folder, whatever else stands there."""
    for number, path in enumerate(sorted(folder.iterdir())):
        if number >= _MOST_FILES:
            break
        if path.is_file():
            try:
                with open_to_read(path) as file:
                    if _is_dicom(file.read(132)):
                        yield path
            except (ImageError, OSError):
                continue


def _described(path: Path, *, whole_series: bool = False) -> tuple[ImageInfo, Sequence[Frame]]:
    """
    Read the headers of a folder's files or of one file.

    Args:
        path: The folder or file.
        whole_series: Whether the files beside it that have its SeriesInstanceUID belong to it.
    """
    pydicom = reader_library("pydicom", path, "a DICOM series")
    headers, frames, series = [], [], None
    folder = path.parent if whole_series else path
    # The file that names a series comes first: the others are held against it.
    files = _files_of(folder) if folder.is_dir() else [path]
    for file in dict.fromkeys((path, *files)) if whole_series else files:
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            uid = str(header.get("SeriesInstanceUID", ""))
            series = uid if series is None else series
            if whole_series and uid != series:
                continue
            if "Rows" in header:
                frames += frames_of(header, file)
                headers.append(header)
        except ImageError:
            raise
        except Exception as error:  # pydicom raises several classes of its own
            raise ImageFormatError(f"pydicom cannot read it: {error!r:.200}.", path=file, field="header") from error
    if not frames:
        raise ImageFormatError("no DICOM file in it holds pixels.", path=path, field="Rows")
    try:
        return _info(path, frames, headers)
    except ImageError:
        raise
    except Exception as error:  # pydicom reads a value when it is asked for, and raises several classes of its own
        raise ImageFormatError(
            f"its header cannot be read: {error!r:.200}.", path=frames[0].path, field="header"
        ) from error


def _info(path: Path, frames: Sequence[Frame], headers: Sequence[Any]) -> tuple[ImageInfo, Sequence[Frame]]:
    first = headers[0]
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    shapes = {(int(header.Rows), int(header.Columns), int(header.BitsAllocated)) for header in headers}
    kinds = {(header.get("PixelRepresentation"), int(header.get("SamplesPerPixel", 1))) for header in headers}
    lines = {(frame.slope, frame.intercept, frame.unit) for frame in frames}
    if len(series) > 1 or len(shapes) > 1 or len(kinds) > 1:
        raise UnsupportedImage(
            f"{path} holds slices of {len(series)} series, {len(shapes)} shapes and {len(kinds)} kinds of pixels; put"
            " one series of equal slices into a folder of its own."
        )
    if len(lines) > 1:
        slopes = ", ".join(
            f"{slope} * raw + {intercept} {unit}".strip() for slope, intercept, unit in sorted(lines, key=str)
        )
        raise UnsupportedImage(
            f"{path}: slices have {len(lines)} scales ({slopes:.200}), and one image has one."
            " Rescale them to one first."
        )
    ((rows, columns, bits),) = shapes
    ((representation, samples),) = kinds
    pixel_type = (
        _FLOATS.get(bits)
        if representation is None
        else PixelType.of_numpy_code(f"{'i' if int(representation) == 1 else 'u'}{bits // 8}")
    )
    if pixel_type is None or samples != 1 or bits % 8:
        raise UnsupportedImage(f"{path}: slices with {bits} bits and {samples} numbers per pixel are not read.")
    volume = volume_of(frames, path)
    calibrations = _calibrations(frames[0], str(first.get("Modality", "")), path)
    assumptions = list(volume.assumptions)
    schemes = {str(header.get("PhotometricInterpretation", "MONOCHROME2")) for header in headers}
    assumptions += [
        f"is shown as {word} and not from black to white; values are taken as they are stored"
        for word in sorted(schemes - {"MONOCHROME2"})
    ]
    if "ModalityLUTSequence" in first:
        assumptions.append("has a table of values (ModalityLUTSequence), which is not applied")
    info = ImageInfo(
        path=path,
        format=DicomCodec.name,
        encoding=str(getattr(first.file_meta, "TransferSyntaxUID", "")),
        size=(columns, rows, len(frames)),
        pixel_type=pixel_type,
        pixels_path=volume.frames[0].path,
        spacing_mm=volume.spacing_mm,
        origin_mm=volume.origin_mm,
        direction=volume.direction,
        calibrations=calibrations,
        default_unit_type=calibrations[0].unit_type if calibrations else None,
        header={"modality": str(first.get("Modality", "")), "slices": len(frames)},
        files=tuple(dict.fromkeys(frame.path for frame in volume.frames)),
        assumptions=tuple(assumptions),
    )
    return info, volume.frames


def _calibrations(frame: Frame, modality: str, path: Path) -> tuple[Calibration, ...]:
    """Give the line of RescaleSlope and RescaleIntercept in the unit of RescaleType, which is HU for a CT without."""
    if frame.slope is None:
        return ()
    if frame.slope == 0 or not math.isfinite(frame.slope) or not math.isfinite(frame.intercept):
        raise ImageFormatError(
            f"a scale of {frame.slope} * raw + {frame.intercept} cannot be right.", path=path, field="RescaleSlope"
        )
    unit = frame.unit
    if unit.upper() in _UNSPECIFIED:
        unit = HOUNSFIELD_UNIT if not unit and modality == "CT" else ""
    unit_type = HOUNSFIELD if unit == HOUNSFIELD_UNIT else unit_type_named({"MGML": "mg/ml"}.get(unit.upper(), unit))
    if unit_type is None:
        return rescaled(frame.slope, frame.intercept, "Scaled", unit or None)
    return (Calibration(unit_type=unit_type, unit_name=unit, slope=frame.slope, intercept=frame.intercept),)


class DicomReader(SlabReader):
    """Reads one frame per slice."""

    def __init__(self, info: ImageInfo, frames: Sequence[Frame]) -> None:
        super().__init__(info)
        self._frames = frames

    def _read_into(self, start: int, out: "Pixels") -> None:
        from pydicom.pixels.utils import pixel_array

        for plane, frame in zip(out, self._frames[start : start + len(out)], strict=True):
            try:
                pixels = pixel_array(frame.path, index=frame.index)
            except Exception as error:  # pydicom raises several classes of its own
                raise ImageFormatError(f"pydicom cannot read its pixels: {error!r:.200}.", path=frame.path) from error
            if pixels.shape != plane.shape or pixels.dtype != plane.dtype:
                raise ImageFormatError(
                    f"its pixels are {pixels.shape} of {pixels.dtype}, unlike its header.", path=frame.path
                )
            plane[...] = pixels
