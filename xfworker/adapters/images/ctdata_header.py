"""
The header that the files of SCANCO's scanners begin with: ISQ, RSQ, RAD and GOBJ.

``CTDATA-HEADER_V1``, little endian, in blocks of 512 bytes; pixels begin at block ``1 + data_offset``. Between the
first block and the pixels there can be a ``MultiHeader`` with a directory of further blocks, one of which holds the
calibration. There is no public vendor specification; docs/images.md states what is known from where.
"""

import datetime as dt
import math
import struct
from pathlib import Path
from typing import Any, Final

import attrs

from xfworker.adapters.images.vax_floats import g_from_float, g_to_float
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.scanco_calibration import ScancoCalibration

MAGIC: Final = b"CTDATA-HEADER_V1"
BLOCK: Final = 512
MOST_HEADER_BLOCKS: Final = 1 << 16
"""A header beyond 32 MiB is a lie; real ones have up to 3584 blocks."""

RSQ_TYPE: Final = 1
ISQ_TYPE: Final = 3
GOBJ_TYPE: Final = 6
RAD_TYPE: Final = 9

_EPOCH: Final = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_TICKS_PER_SECOND: Final = 10_000_000

_ISQ_FIELDS: Final = (
    "data_type",
    "nr_of_bytes",
    "nr_of_blocks",
    "patient_index",
    "scanner_id",
    "creation_low",
    "creation_high",
    "dimx_p",
    "dimy_p",
    "dimz_p",
    "dimx_um",
    "dimy_um",
    "dimz_um",
    "slice_thickness_um",
    "slice_increment_um",
    "slice_1_pos_um",
    "min_data_value",
    "max_data_value",
    "mu_scaling",
    "nr_of_samples",
    "nr_of_projections",
    "scandist_um",
    "scanner_type",
    "sampletime_us",
    "index_measurement",
    "site",
    "reference_line_um",
    "recon_alg",
)
_ISQ_FIXED: Final = struct.Struct("<28i40s2i")
_RAD_NAMES: Final = {
    "index_measurement": 68,
    "min_data_value": 72,
    "max_data_value": 76,
    "mu_scaling": 80,
    "z_position_um": 124,
    "sampletime_us": 132,
    "energy_v": 136,
    "intensity_ua": 140,
    "reference_line_um": 144,
    "start_position_um": 148,
    "end_position_um": 152,
}
_RSQ_WORDS: Final = {
    "angular_interval_mdeg": 15,
    "requested_spacing_x_um": 17,
    "requested_spacing_y_um": 18,
    "axial_start_um": 19,
    "min_data_value": 21,
    "max_data_value": 22,
    "native_horizontal_samples": 23,
    "active_native_rows": 24,
    "detector_width_um": 25,
    "detector_height_um": 26,
    "source_detector_distance_um": 29,
    "source_axis_distance_um": 30,
    "binning": 49,
    "object_views": 65,
}

_DATA_OFFSET: Final = 508
_HOLDER: Final = 488
_DIRECTORY_ENTRIES: Final = 4
_ENTRY_BYTES: Final = 128
_CALIBRATION_BLOCKS: Final = 2
_MULTI_HEADER: Final = b"MultiHeader     "
_CALIBRATION: Final = b"Calibration     "
_DENSITY_UNIT_TYPE: Final = 2


@attrs.frozen(kw_only=True)
class CtdataHeader:
    """
    The header of one file.

    Attributes:
        data_type: 1 RSQ, 3 ISQ, 6 GOBJ, 9 RAD.
        fields: The numbers by name, for display.
        dim: Pixels along x, y and z.
        extent_um: Length along x, y and z in micrometres (nanometres in a RAD).
        name: The name of the patient or sample.
        data_offset: The byte at which the pixels begin.
        calibration: What the calibration block and ``mu_scaling`` say.
        calibration_name: The calibration's own description, or empty.
        created: When the measurement was made, or None where the header does not say.
        verbatim: All header bytes.
    """

    data_type: int
    fields: dict[str, int]
    dim: tuple[int, int, int]
    extent_um: tuple[int, int, int]
    name: str
    data_offset: int
    calibration: ScancoCalibration
    calibration_name: str = ""
    created: dt.datetime | None = None
    verbatim: bytes = attrs.field(default=b"", repr=False)


def recognises(head: bytes, data_type: int) -> bool:
    """Return whether a file that begins with these bytes is of a data type of this family."""
    return head.startswith(MAGIC) and len(head) >= 20 and struct.unpack_from("<i", head, 16)[0] == data_type  # noqa: PLR2004


def parse(data: bytes, path: Path, file_size: int) -> CtdataHeader:
    """
    Read a header.

    Args:
        data: The file's beginning: at least the header, or all of the file where that is shorter.
        path: The file, for messages.
        file_size: Its size in bytes.

    Raises:
        ImageFormatError: A field cannot be right.
    """
    if len(data) < BLOCK:
        raise ImageFormatError(
            f"the file ends after {file_size} bytes, inside its header of {BLOCK}; it was cut short.",
            path=path,
            offset=file_size,
            field="header",
        )
    (data_type,) = struct.unpack_from("<i", data, 16)
    (offset_blocks,) = struct.unpack_from("<i", data, _DATA_OFFSET)
    data_offset = BLOCK * (1 + offset_blocks)
    if not 0 <= offset_blocks <= MOST_HEADER_BLOCKS or data_offset > file_size:
        raise ImageFormatError(
            f"the data are to begin after {offset_blocks} further blocks of {BLOCK} bytes, but the file has"
            f" {file_size} bytes.",
            path=path,
            offset=_DATA_OFFSET,
            field="data_offset",
        )
    fields, name = _fields_of(data, data_type)
    dim = struct.unpack_from("<3i", data, 44)
    extent = struct.unpack_from("<3i", data, 56)
    if data_type == GOBJ_TYPE:
        dim, extent = struct.unpack_from("<3i", data, 32), struct.unpack_from("<3i", data, 44)
    else:
        for axis, length in zip("xyz", dim, strict=True):
            if length < 1:
                raise ImageFormatError(
                    f"{length} pixels along {axis} cannot be right.", path=path, offset=44, field=f"dim{axis}_p"
                )
    mu_scaling = fields.get("mu_scaling", 1)
    calibration, calibration_name = _calibration(data[:data_offset], mu_scaling)
    return CtdataHeader(
        data_type=data_type,
        fields=fields,
        dim=dim,
        extent_um=extent,
        name=name,
        data_offset=data_offset,
        calibration=calibration,
        calibration_name=calibration_name,
        created=None if data_type == GOBJ_TYPE else _date(data),
        verbatim=bytes(data[:data_offset]),
    )


def _fields_of(data: bytes, data_type: int) -> tuple[dict[str, int], str]:
    if data_type == ISQ_TYPE:
        values = _ISQ_FIXED.unpack_from(data, 16)
        fields = dict(zip(_ISQ_FIELDS, values, strict=False))
        fields["energy_v"], fields["intensity_ua"] = values[29], values[30]
        fields["holder"], fields["data_offset"] = (
            struct.unpack_from("<i", data, at)[0] for at in (_HOLDER, _DATA_OFFSET)
        )
        return fields, _text(values[28])
    common = ("data_type", "nr_of_bytes", "nr_of_blocks", "patient_index", "scanner_id")
    fields = dict(zip(common, struct.unpack_from("<5i", data, 16), strict=True))
    if data_type == RAD_TYPE:
        fields |= {name: struct.unpack_from("<i", data, at)[0] for name, at in _RAD_NAMES.items()}
        return fields, _text(data[84:124])
    if data_type == RSQ_TYPE:
        fields |= {name: struct.unpack_from("<i", data, 4 * word)[0] for name, word in _RSQ_WORDS.items()}
        return fields, ""
    return {"data_type": data_type}, ""


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("latin-1").strip()


def _date(data: bytes) -> dt.datetime | None:
    (ticks,) = struct.unpack_from("<Q", data, 36)
    try:
        return _EPOCH + dt.timedelta(microseconds=ticks // 10) if ticks else None
    except OverflowError:
        return None


def _calibration(header: bytes, mu_scaling: int) -> tuple[ScancoCalibration, str]:
    """Find the calibration block through the directory; any of its four entries can name it."""
    scale = float(mu_scaling) if mu_scaling > 0 else 1.0
    plain = ScancoCalibration(mu_scaling=scale)
    if header[BLOCK + 8 : BLOCK + 24] != _MULTI_HEADER or len(header) < 3 * BLOCK:
        return plain, ""
    begin = 3 * BLOCK
    for entry in range(_DIRECTORY_ENTRIES):
        at = 2 * BLOCK + entry * _ENTRY_BYTES
        title = header[at + 8 : at + 24]
        (blocks,) = struct.unpack_from("<i", header, at + 24)
        if title == _CALIBRATION and len(header) >= begin + 696:
            block = header[begin:]
            slope, intercept, water = (g_to_float(block[at : at + 8]) for at in (664, 672, 688))
            numbers = [value if math.isfinite(value) else None for value in (slope, intercept, water)]
            return (
                ScancoCalibration(
                    mu_scaling=scale,
                    density_slope=numbers[0] or None,
                    density_intercept=numbers[1],
                    density_unit=_text(block[648:664]) or None,
                    mu_water=numbers[2] or None,
                ),
                _text(block[28:92]),
            )
        if blocks < 0:
            break
        begin += blocks * BLOCK
    return plain, ""


def encode_isq(
    *,
    fields: dict[str, int],
    dim: tuple[int, int, int],
    extent_um: tuple[int, int, int],
    name: str,
    calibration: ScancoCalibration,
    calibration_name: str,
    created: dt.datetime,
) -> bytes:
    """
    Give the header of an ISQ file, with a calibration block where there is a calibration.

    Args:
        fields: Numbers by name; those that follow from the other arguments are set here.
        dim: Voxels along x, y and z.
        extent_um: Length along x, y and z in micrometres.
        name: Name of the sample, up to 40 Latin-1 characters.
        calibration: The scale of the values.
        calibration_name: What describes the calibration, up to 64 characters.
        created: When the measurement was made.
    """
    has_block = calibration.density_slope is not None or calibration.mu_water is not None
    extra = 2 + _CALIBRATION_BLOCKS if has_block else 0
    size = BLOCK * (1 + extra) + math.prod(dim) * 2
    size += -size % BLOCK
    ticks = int((created - _EPOCH).total_seconds() * _TICKS_PER_SECOND)
    values: dict[str, int] = {
        **fields,
        "data_type": ISQ_TYPE,
        "nr_of_bytes": _wrapped(size),
        "nr_of_blocks": _wrapped(size // BLOCK),
        "creation_low": _wrapped(ticks),
        "creation_high": _wrapped(ticks >> 32),
        "mu_scaling": round(calibration.mu_scaling),
        **dict(zip(("dimx_p", "dimy_p", "dimz_p"), dim, strict=True)),
        **dict(zip(("dimx_um", "dimy_um", "dimz_um"), extent_um, strict=True)),
    }
    values.setdefault("slice_thickness_um", extent_um[2] // dim[2])
    values.setdefault("slice_increment_um", values["slice_thickness_um"])
    values.setdefault("nr_of_samples", dim[0])
    block = bytearray(BLOCK)
    block[:16] = MAGIC
    _ISQ_FIXED.pack_into(
        block,
        16,
        *(_wrapped(values.get(field, 0)) for field in _ISQ_FIELDS),
        name.encode("latin-1", "replace")[:40].ljust(40),
        _wrapped(values.get("energy_v", 0)),
        _wrapped(values.get("intensity_ua", 0)),
    )
    struct.pack_into("<i", block, _HOLDER, _wrapped(values.get("holder", 0)))
    struct.pack_into("<i", block, _DATA_OFFSET, extra)
    return bytes(block) + (_calibration_blocks(calibration, calibration_name) if has_block else b"")


def with_value_range(header: bytes, least: int, largest: int) -> bytes:
    """Give an ISQ header with other extremes of its values."""
    return header[:80] + struct.pack("<2i", least, largest) + header[88:]


def without_person(header: bytes) -> bytes:
    """Give an ISQ header without the patient's name and index and the measurement's index."""
    blank = bytearray(header)
    struct.pack_into("<i", blank, 28, 0)
    struct.pack_into("<i", blank, 112, 0)
    blank[128:168] = b" " * 40
    return bytes(blank)


def _calibration_blocks(calibration: ScancoCalibration, name: str) -> bytes:
    title = bytearray(BLOCK)
    title[8:24] = _MULTI_HEADER
    directory = bytearray(BLOCK)
    directory[8:24] = _CALIBRATION
    struct.pack_into("<i", directory, 24, _CALIBRATION_BLOCKS)
    data = bytearray(BLOCK * _CALIBRATION_BLOCKS)
    data[28:92] = name.encode("latin-1", "replace")[:64].ljust(64, b"\0")
    struct.pack_into("<i", data, 632, _DENSITY_UNIT_TYPE)
    data[648:664] = (calibration.density_unit or "").encode("latin-1", "replace")[:16].ljust(16, b"\0")
    data[664:672] = g_from_float(calibration.density_slope or 0.0)
    data[672:680] = g_from_float(calibration.density_intercept or 0.0)
    data[688:696] = g_from_float(calibration.mu_water or 0.0)
    return bytes(title + directory + data)


def _wrapped(value: int) -> int:
    """Give the low 32 bits as a signed number, which is what the format's counts become beyond 2 GB."""
    return (int(value) + 2**31) % 2**32 - 2**31


def described(header: CtdataHeader) -> dict[str, Any]:
    """Give the header's fields for display, as JSON values."""
    result: dict[str, Any] = dict(header.fields)
    result["name"] = header.name
    if header.created is not None:
        result["created"] = header.created.isoformat()
    if header.calibration_name:
        result["calibration"] = header.calibration_name
    return result
