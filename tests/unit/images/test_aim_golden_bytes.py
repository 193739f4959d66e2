"""AIM files assembled by hand from the format's tables, byte for byte."""

import struct

import numpy as np
import pytest

from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.calibration import DENSITY

ONE_MM = struct.pack("<HH", 0x4080, 0)
LOG = b"Created by                    hand\n\0"


def v020(type_code, voxels, dim=(2, 1, 1), off=(0, 0, 0), pos=(0, 0, 0), log=LOG, tail=b"\xa5" * 7):
    header = struct.pack("<5i", 20, 140, len(log), len(voxels), 0) + bytes([0x10, 0, 0, 0])
    header += struct.pack("<5i", 0, 0, 0, 0, type_code)
    header += struct.pack("<21i", *pos, *dim, *off, *[0] * 12) + ONE_MM * 3 + b"\xff" * 20
    assert len(header) == 160
    return header + log + voxels + tail


def v030(type_code, voxels, dim=(2, 1, 1), off=(0, 0, 0), el=(60_700, 60_700, 82_000), log=LOG):
    header = b"AIMDATA_V030   \0" + struct.pack("<5q", 40, 224, len(log), len(voxels), 0) + bytes([0x18, 0, 0, 0])
    header += struct.pack("<3i", 0, 0, type_code)
    header += struct.pack("<24q", 0, 0, 0, *dim, *off, *[0] * 12, *el) + b"\xee" * 16
    assert len(header) == 280
    return header + log + voxels


def run_length(data, size_bytes=4):
    return (len(data) + size_bytes).to_bytes(size_bytes, "little") + data


CASES = {
    "int8": (0x00010001, struct.pack("<2b", -3, 5), np.array([-3, 5], np.int8)),
    "int16": (0x00020002, struct.pack("<2h", -300, 500), np.array([-300, 500], np.int16)),
    "int32": (0x00030004, struct.pack("<2i", -70000, 5), np.array([-70000, 5], np.int32)),
    "int64": (0x00030008, struct.pack("<2q", -(2**40), 5), np.array([-(2**40), 5], np.int64)),
    "uint8": (0x00160001, bytes([200, 5]), np.array([200, 5], np.uint8)),
    "uint16": (0x00170002, struct.pack("<2H", 60000, 5), np.array([60000, 5], np.uint16)),
    "float32": (0x001A0004, struct.pack("<2f", -0.5, 5), np.array([-0.5, 5], np.float32)),
    "vaxF": (0x00040004, struct.pack("<4H", 0xC000, 0, 0x4080, 0), np.array([-0.5, 1], np.float32)),
    "bit8": (0x00060001, bytes([0b10, 100]), np.array([0, 100], np.int8)),
}


@pytest.mark.parametrize("version", [v020, v030])
@pytest.mark.parametrize("name", CASES)
def test_every_type_is_read_in_both_versions(tmp_path, formats, read_array, version, name):
    code, voxels, expected = CASES[name]
    path = tmp_path / "SCAN.AIM;1"
    path.write_bytes(version(code, voxels))
    assert formats.describe(path).encoding == name
    np.testing.assert_array_equal(read_array(path).ravel(), expected)


@pytest.mark.parametrize(("version", "size_bytes"), [(v020, 4), (v030, 8)])
def test_bin_cmp_alternates_and_255_goes_on(tmp_path, read_array, version, size_bytes):
    # 254 voxels without a change, 46 more, then 100 of the other value.
    path = tmp_path / "mask.AIM"
    path.write_bytes(version(0x00150001, run_length(bytes([0, 127, 255, 46, 100]), size_bytes), dim=(20, 20, 1)))
    np.testing.assert_array_equal(read_array(path).ravel(), np.repeat(np.array([0, 127], np.int8), [300, 100]))


@pytest.mark.parametrize(("version", "size_bytes"), [(v020, 4), (v030, 8)])
def test_char_cmp_has_the_value_first(tmp_path, read_array, version, size_bytes):
    path = tmp_path / "labels.AIM"
    path.write_bytes(version(0x00080002, run_length(bytes([0xFD, 2, 7, 1, 0, 3]), size_bytes), dim=(3, 2, 1)))
    np.testing.assert_array_equal(read_array(path).ravel(), [-3, -3, 7, 0, 0, 0])


def test_bit8_packs_two_by_two_by_two(tmp_path, read_array):
    # 3 x 1 x 2 voxels: two blocks. Set: (x 1, z 0), (x 2, z 1); the bits beyond the volume are garbage.
    path = tmp_path / "mask.AIM"
    path.write_bytes(v020(0x00060001, bytes([0b0000_1010, 0b1111_0010, 127]), dim=(3, 1, 2)))
    np.testing.assert_array_equal(read_array(path), [[[0, 127, 0]], [[0, 0, 127]]])


def test_compressed_voxels_leave_the_frame_out_and_raw_ones_keep_it(tmp_path, formats, read_array):
    raw, compressed = tmp_path / "raw.AIM", tmp_path / "compressed.AIM"
    raw.write_bytes(v020(0x00010001, bytes(range(27)), dim=(3, 3, 3), off=(1, 1, 1), pos=(10, 20, 30)))
    compressed.write_bytes(
        v020(0x00150001, run_length(bytes([127, 0, 1])), dim=(3, 3, 3), off=(1, 1, 1), pos=(10, 20, 30))
    )
    assert read_array(raw).shape == (3, 3, 3)
    assert formats.describe(raw).origin_mm == (10, 20, 30)
    assert read_array(compressed).tolist() == [[[127]]]
    assert formats.describe(compressed).origin_mm == (11, 21, 31)


def test_element_sizes_are_what_was_written(tmp_path, formats, write_array):
    path = tmp_path / "a.AIM"
    path.write_bytes(v030(0x00010001, bytes(2)))
    assert formats.describe(path).spacing_mm == (0.0607, 0.0607, 0.082)
    path.write_bytes(v030(0x00010001, bytes(2), el=(60_699, 1, 10**9)))
    assert formats.describe(path).spacing_mm == (0.060699, 0.000001, 1000)
    image = np.zeros((1, 1, 2), np.float32)
    write_array(path, image, spacing_mm=(0.0606997, 0.0606994, 0.06069965))
    assert struct.unpack("<3q", path.read_bytes()[240:264]) == (60700, 60699, 60700)


def test_the_nearest_vax_number_is_written_and_read_back_as_the_decimal(tmp_path, formats, write_array):
    path = write_array(tmp_path / "a.AIM", np.zeros((1, 1, 2), np.int16), spacing_mm=(0.06069965, 0.082, 0.0303))
    assert formats.describe(path).spacing_mm == (0.06069965, 0.082, 0.0303)


def test_garbage_element_sizes_give_way_to_what_the_log_says(tmp_path, formats):
    log = b"Orig-ISQ-Dim-p                       2304       2304        168\n"
    log += b"Orig-ISQ-Dim-um                    139852     139852      10197\n\0"
    path = tmp_path / "a.AIM"
    path.write_bytes(v030(0x00010001, bytes(2), el=(0, -5, 2**62), log=log))
    assert formats.describe(path).spacing_mm == pytest.approx((0.06069965, 0.06069965, 0.06069643), abs=1e-8)


def test_the_log_is_latin_1_and_calibrates(tmp_path, formats):
    log = (
        "Patient Name                  Jürg Müßig\n"
        "Mu_Scaling                                       8192\n"
        "Density: unit                 mg HA/ccm                                         \n"
        "Density: slope                         1.60351904e+03\n"
        "Density: intercept                    -3.91209015e+02\n"
        "HU: mu water                                  0.24090\n"
    )
    path = tmp_path / "a.AIM"
    path.write_bytes(v020(0x00020002, bytes(4), log=log.encode("latin-1") + b"\0garbage"))
    info = formats.describe(path)
    assert info.processing_log == log
    assert info.calibration("Density").raw_to_calibrated(8192) == pytest.approx(1603.51904 - 391.209015)
    assert info.calibration("HU").raw_to_calibrated(8192 * 0.2409) == pytest.approx(0)
    assert info.calibration("LinearAttenuation").raw_to_calibrated(4096) == 0.5
    assert info.calibrations[0].unit_type == DENSITY


@pytest.mark.parametrize("code", [0x00080003, 0x00120003, 0x00140008, 0x000D0001])
def test_rare_types_are_refused_by_name(tmp_path, formats, code):
    path = tmp_path / "rare.AIM"
    path.write_bytes(v020(code, bytes(64)))
    with pytest.raises(UnsupportedImage, match="rare type D1T"):
        formats.describe(path)


def test_an_unknown_type_is_an_error_that_names_the_field(tmp_path, formats):
    path = tmp_path / "odd.AIM"
    path.write_bytes(v020(0x00990001, bytes(64)))
    with pytest.raises(ImageFormatError, match="0x00990001") as caught:
        formats.describe(path)
    assert (caught.value.field, caught.value.offset, caught.value.path) == ("data type", 40, path)
