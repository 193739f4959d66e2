"""ISQ: reconstructed volumes as SCANCO's scanners write them, int16."""

import datetime as dt
import math
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import attrs

from xfworker.adapters.images import ctdata_header
from xfworker.adapters.images.ctdata_header import BLOCK, ISQ_TYPE, CtdataHeader
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.kept_header import kept, restored
from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import RawReader, SlabWriter, file_bytes
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image import processing_log
from xfworker.domain.image.calibration import DENSITY
from xfworker.domain.image.deidentify import is_deidentified
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.domain.image.voxel_digest import VoxelDigest

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

NAME: Final = "ISQ"

_LOG_KEYS: Final = {
    "Index Patient": "patient_index",
    "Index Measurement": "index_measurement",
    "Site": "site",
    "Scanner ID": "scanner_id",
    "Scanner type": "scanner_type",
    "Position Slice 1 [um]": "slice_1_pos_um",
    "No. samples": "nr_of_samples",
    "No. projections per 180": "nr_of_projections",
    "Scan Distance [um]": "scandist_um",
    "Integration time [us]": "sampletime_us",
    "Reference line [um]": "reference_line_um",
    "Reconstruction-Alg.": "recon_alg",
    "Energy [V]": "energy_v",
    "Intensity [uA]": "intensity_ua",
}
"""What IPL's processing log calls the fields of an ISQ header."""

_LONGEST_UM: Final = 2**31 - 1


def read_header(file: IO[bytes], path: Path) -> CtdataHeader:
    """Read all header blocks of an open file; raises as ``ctdata_header.parse``."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    first = file.read(BLOCK)
    if len(first) == BLOCK:
        blocks = int.from_bytes(first[508:512], "little", signed=True)
        if 0 < blocks <= ctdata_header.MOST_HEADER_BLOCKS:
            first += file.read(blocks * BLOCK)
    return ctdata_header.parse(first, path, size)


class IsqCodec:
    """The ``ImageCodec`` of ISQ files."""

    name = NAME
    suffixes: tuple[str, ...] = (".isq",)
    encodings: tuple[str, ...] = ("raw",)

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is an ISQ."""
        return ctdata_header.recognises(head, ISQ_TYPE)

    def describe(self, path: Path) -> ImageInfo:
        """Read the header with its calibration; see the port."""
        with open_to_read(path) as file:
            header = read_header(file, path)
            size = os.fstat(file.fileno()).st_size
        needed = math.prod(header.dim) * 2
        if needed > size - header.data_offset:
            raise ImageFormatError(
                f"{header.dim[0]} x {header.dim[1]} x {header.dim[2]} voxels take {needed} bytes, but"
                f" {size - header.data_offset} follow the header; the file was cut short, or the header is wrong.",
                path=path,
                offset=44,
                field="dim_p",
            )
        spacing = [um / count / 1000 for um, count in zip(header.extent_um, header.dim, strict=True)]
        for axis, step in zip("xyz", spacing, strict=True):
            if step <= 0:
                raise ImageFormatError(
                    f"a length of {step * 1000} um per voxel along {axis} cannot be right.",
                    path=path,
                    offset=56,
                    field=f"dim{axis}_um",
                )
        lines = header.calibration.calibrations()
        return ImageInfo(
            path=path,
            format=NAME,
            format_version="V1",
            size=header.dim,
            pixel_type=PixelType.INT16,
            pixels_path=path,
            pixels_offset=header.data_offset,
            spacing_mm=(spacing[0], spacing[1], spacing[2]),
            calibrations=lines,
            default_unit_type=DENSITY if any(line.unit_type == DENSITY for line in lines) else None,
            is_ipl_compatible=True,
            header=ctdata_header.described(header),
            source=_source(header, path),
            files=(path,),
        )

    def reader(self, path: Path) -> RawReader:
        """Open the voxels; see the port."""
        return RawReader(self.describe(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> "IsqWriter":
        """Begin an ISQ; see the port and ``IsqWriter``."""
        if encoding not in (None, "raw"):
            raise UnsupportedImage(f"{path}: ISQ has raw voxels only, not {encoding}.")
        return IsqWriter(path, image)


def _source(header: CtdataHeader, path: Path) -> dict[str, Any]:
    """Give what is kept of an ISQ: its header, and its scan parameters as IPL's processing log states them."""
    scan: list[list[Any]] = [
        ["Original file", path.name],
        ["Original Creation-Date", processing_log.timestamp(header.created) if header.created else ""],
        ["Orig-ISQ-Dim-p", list(header.dim)],
        ["Orig-ISQ-Dim-um", list(header.extent_um)],
        ["", ""],
        ["Patient Name", header.name],
        ["Index Patient", header.fields["patient_index"]],
        ["Index Measurement", header.fields["index_measurement"]],
        ["", ""],
    ]
    skipped = {"Index Patient", "Index Measurement"}
    scan += [[key, header.fields[field]] for key, field in _LOG_KEYS.items() if key not in skipped]
    return {
        "format": NAME,
        "original_filename": path.name,
        "header": kept(header.verbatim),
        "calibration_name": header.calibration_name,
        "scan": scan,
    }


class IsqWriter(SlabWriter):
    """
    Writes an ISQ file.

    An image that came from an ISQ keeps the fields of its header; one whose voxels prove to be unchanged becomes the
    same file again (but for padding to whole blocks). One that came from an AIM gets the fields that its processing log
    states.

    Args:
        path: The file to be.
        image: Size, geometry, calibration and source of the image.

    Raises:
        UnsupportedImage: It is not a volume of int16.
    """

    def __init__(self, path: Path, image: ImageInfo) -> None:
        if image.pixel_type is not PixelType.INT16 or image.axes not in ("XYZ", "XY", "X"):
            raise UnsupportedImage(
                f"{path}: ISQ holds volumes of int16; this is {image.pixel_type.value} with axes {image.axes}. Convert"
                " it to int16 first."
            )
        extent = tuple(round(n * step * 1000) for n, step in zip(image.size_3d, image.spacing_mm, strict=True))
        if not all(1 <= length <= _LONGEST_UM for length in extent) or max(image.size_3d) > _LONGEST_UM:
            raise UnsupportedImage(f"{path}: a volume of {extent} micrometres does not fit the header of an ISQ.")
        super().__init__(
            attrs.evolve(
                image, path=path, pixels_path=path, format=NAME, encoding="raw", files=(path,), byte_order="little"
            )
        )
        self._extent = (extent[0], extent[1], extent[2])
        source = image.source or {}
        self._verbatim, self._original = b"", None
        if source.get("format") == NAME and source.get("header"):
            self._verbatim = restored(source["header"], f"The ISQ header kept for {path}")
            if is_deidentified(source):
                self._verbatim = ctdata_header.without_person(self._verbatim)
            self._original = ctdata_header.parse(self._verbatim, path, len(self._verbatim))
        original = self._original
        self._same_place = (
            original is not None
            and (original.dim, original.extent_um) == (image.size_3d, extent)
            and original.calibration.calibrations() == image.calibrations
        )
        self._digest = VoxelDigest.expecting(source.get("voxels")) if self._same_place else None
        self._least, self._largest = 2**15, -(2**15)
        header_bytes = len(self._verbatim) if self._same_place else len(self._fresh_header())
        self._partial = PartialFile(path)
        try:
            self._partial.reserve(header_bytes + image.byte_count)
            self._partial.write(bytes(header_bytes))
        except BaseException:
            self._partial.discard()
            raise

    def _write(self, slab: "Pixels") -> None:
        if self._digest is not None:
            self._digest.update(slab)
        self._least = min(self._least, int(slab.min()))
        self._largest = max(self._largest, int(slab.max()))
        self._partial.write(file_bytes(slab, self.info))

    def _finish(self) -> None:
        header = self._verbatim if self._same_place else self._fresh_header()
        unchanged = self._digest is not None and self._digest.is_as_expected()
        if self._same_place and not unchanged:
            header = ctdata_header.with_value_range(header, self._least, self._largest)
        self._partial.write(bytes(-self._partial.tell() % BLOCK))
        self._partial.write_at(0, header)
        self._partial.finish()

    def _discard(self) -> None:
        self._partial.discard()

    def _fresh_header(self) -> bytes:
        image = self.info
        source = image.source or {}
        log = image.processing_log or ""
        original = self._original
        if original is not None:
            fields, name, created = dict(original.fields), original.name, original.created
            if original.dim[2] != image.size_3d[2] or original.extent_um[2] != self._extent[2]:
                fields.pop("slice_thickness_um"), fields.pop("slice_increment_um")
        else:
            stated = {field: processing_log.number(log, key) for key, field in _LOG_KEYS.items()}
            fields = {field: int(value) for field, value in stated.items() if value is not None}
            name, created = processing_log.last(log, "Patient Name") or "", None
        fields["min_data_value"], fields["max_data_value"] = self._least, self._largest
        return ctdata_header.encode_isq(
            fields=fields,
            dim=image.size_3d,
            extent_um=self._extent,
            name=name,
            calibration=ScancoCalibration.of(image.calibrations, whole_scaling=True),
            calibration_name=str(source.get("calibration_name") or processing_log.last(log, "Calibration Data") or ""),
            created=created or dt.datetime.now(dt.UTC),
        )
