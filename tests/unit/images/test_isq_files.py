import datetime as dt
import struct

import attrs
import numpy as np
import pytest

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.services.images.conversion import convert

SCALE = ScancoCalibration(
    mu_scaling=8192, density_slope=1603.51904, density_intercept=-391.209015, density_unit="mg HA/ccm", mu_water=0.2409
)


def isq_header(data_type=3, dim=(4, 3, 2), extent=(243, 182, 121), offset=0, mu_scaling=4096):
    block = bytearray(512)
    block[:16] = b"CTDATA-HEADER_V1"
    struct.pack_into("<5i", block, 16, data_type, 0, 1, 2567, 3401)
    struct.pack_into(
        "<Q", block, 36, (dt.date(2023, 4, 4) - dt.date(1858, 11, 17)) // dt.timedelta(microseconds=1) * 10
    )
    struct.pack_into("<6i", block, 44, *dim, *extent)
    struct.pack_into("<i", block, 88, mu_scaling)
    struct.pack_into("<i", block, 112, 12778)
    block[128:168] = b"M\xfcller".ljust(40)
    struct.pack_into("<i", block, 508, offset)
    return bytes(block)


def vax_g(value):
    words = struct.unpack(">4H", struct.pack(">d", value * 4))
    return struct.pack("<4H", *words)


def calibration_blocks(entry):
    """A MultiHeader whose directory names the calibration in one of its four entries."""
    title, directory, before, data = bytearray(512), bytearray(512), bytes(512) * entry, bytearray(1024)
    title[8:24] = b"MultiHeader     "
    for index in range(entry):
        directory[128 * index + 8 : 128 * index + 24] = b"Something else  "
        struct.pack_into("<i", directory, 128 * index + 24, 1)
    directory[128 * entry + 8 : 128 * entry + 24] = b"Calibration     "
    struct.pack_into("<i", directory, 128 * entry + 24, 2)
    data[28:92] = b"68 kVp, BH: 1200 mg HA/ccm".ljust(64, b"\0")
    data[648:664] = b"mg HA/ccm".ljust(16, b"\0")
    data[664:672], data[672:680], data[688:696] = vax_g(165.997), vax_g(-20.5), vax_g(0.2409)
    return bytes(title + directory + before + data)


@pytest.mark.parametrize("entry", [0, 1, 2, 3])
def test_the_calibration_is_found_in_any_entry_of_the_directory(tmp_path, formats, read_array, entry):
    extra = calibration_blocks(entry)
    voxels = np.arange(24, dtype="<i2") - 5
    path = tmp_path / "C0001.ISQ;1"
    path.write_bytes(isq_header(offset=len(extra) // 512) + extra + voxels.tobytes())
    info = formats.describe(path)
    assert info.size == (4, 3, 2)
    assert info.spacing_mm == pytest.approx((0.06075, 0.182 / 3, 0.0605))
    assert info.calibration("Density").raw_to_calibrated(4096) == pytest.approx(165.997 - 20.5)
    assert info.calibration("HU").raw_to_calibrated(4096 * 0.2409) == pytest.approx(0, abs=1e-9)
    assert (info.header["name"], info.header["created"][:10]) == ("Müller", "2023-04-04")
    np.testing.assert_array_equal(read_array(path).ravel(), voxels)


def test_a_written_isq_is_read_back(tmp_path, formats, write_array, read_array, bone):
    path = write_array(tmp_path / "a.isq", bone, spacing_mm=(0.0607, 0.0607, 0.0607), calibrations=SCALE.calibrations())
    info = formats.describe(path)
    np.testing.assert_array_equal(read_array(path), bone)
    assert info.spacing_mm == pytest.approx((0.0607, 0.0607, 0.0607), abs=0.0005 / min(info.size))
    assert ScancoCalibration.of(info.calibrations) == SCALE
    assert (info.header["min_data_value"], info.header["max_data_value"]) == (bone.min(), bone.max())
    assert info.header["nr_of_bytes"] == path.stat().st_size == 512 * info.header["nr_of_blocks"]


def test_isq_to_omni_to_isq_is_byte_exact(tmp_path, formats):
    extra = calibration_blocks(1)
    voxels = np.arange(24, dtype="<i2").tobytes()
    original = tmp_path / "o.ISQ"
    original.write_bytes(isq_header(offset=len(extra) // 512) + extra + voxels)
    convert(formats, original, tmp_path / "o.omni")
    convert(formats, tmp_path / "o.omni", tmp_path / "b.ISQ")
    padded = original.read_bytes()
    assert (tmp_path / "b.ISQ").read_bytes() == padded + bytes(-len(padded) % 512)


def test_a_changed_isq_keeps_its_header_but_for_the_extremes(tmp_path, formats):
    original = tmp_path / "o.ISQ"
    original.write_bytes(isq_header() + np.arange(24, dtype="<i2").tobytes())
    convert(formats, original, tmp_path / "o.omni")
    (tmp_path / "o.raw").write_bytes(np.arange(24, dtype="<i2").tobytes()[::-1])
    convert(formats, tmp_path / "o.omni", tmp_path / "b.ISQ")
    before, after = original.read_bytes()[:512], (tmp_path / "b.ISQ").read_bytes()[:512]
    assert before[:80] + before[88:] == after[:80] + after[88:]
    assert formats.describe(tmp_path / "b.ISQ").header["max_data_value"] == 23 * 256


def test_scan_parameters_reach_the_processing_log_and_come_back(tmp_path, formats):
    original = tmp_path / "o.ISQ"
    original.write_bytes(isq_header() + bytes(48))
    convert(formats, original, tmp_path / "o.AIM")
    log = formats.describe(tmp_path / "o.AIM").processing_log
    assert "Patient Name                  Müller" in log
    assert "Index Measurement                               12778\n" in log
    assert "Orig-ISQ-Dim-um                        243        182        121\n" in log
    convert(formats, tmp_path / "o.AIM", tmp_path / "b.ISQ")
    header = formats.describe(tmp_path / "b.ISQ").header
    assert (header["name"], header["index_measurement"], header["scanner_id"]) == ("Müller", 12778, 3401)


def test_the_person_leaves_header_and_log(tmp_path, formats):
    original = tmp_path / "o.ISQ"
    original.write_bytes(isq_header() + np.arange(24, dtype="<i2").tobytes())
    for name in ("d.ISQ", "d.AIM", "d.omni"):
        done = convert(formats, original, tmp_path / name, without_person=True)
        assert any("name" in item.lower() for item in done.removed)
        assert b"M\xfcller" not in (tmp_path / name).read_bytes()
    header = formats.describe(tmp_path / "d.ISQ").header
    assert (header["name"], header["patient_index"], header["index_measurement"]) == ("", 0, 0)
    assert header["scanner_id"] == 3401
    convert(formats, tmp_path / "d.omni", tmp_path / "again.ISQ")
    assert formats.describe(tmp_path / "again.ISQ").header["patient_index"] == 0


def test_rsq_and_rad_are_read_and_not_written(tmp_path, formats, read_array, describe_array):
    counts = np.arange(24, dtype="<u2") + 60000
    rsq = tmp_path / "a.RSQ"
    rsq.write_bytes(isq_header(data_type=1) + counts.tobytes())
    np.testing.assert_array_equal(read_array(rsq).ravel(), counts)
    assert formats.describe(rsq).format == "RSQ"
    rad = tmp_path / "a.RAD"
    rad.write_bytes(isq_header(data_type=9, dim=(4, 6, 1), extent=(400_000, 600_000, 0)) + counts.tobytes())
    assert formats.describe(rad).spacing_mm == (0.1, 0.1, 1.0)
    with pytest.raises(UnsupportedImage):
        formats.writer(tmp_path / "b.rad", describe_array(np.zeros((1, 2, 2), np.int16)))


def test_only_int16_becomes_an_isq(tmp_path, formats, describe_array):
    with pytest.raises(UnsupportedImage, match="int16"):
        formats.writer(tmp_path / "a.isq", describe_array(np.zeros((2, 2, 2), np.float32)))
    too_long = attrs.evolve(describe_array(np.zeros((2, 2, 2), np.int16)), spacing_mm=(1e7, 1, 1))
    with pytest.raises(UnsupportedImage, match="micrometres"):
        formats.writer(tmp_path / "a.isq", too_long)


def test_an_isq_of_a_new_calibration_states_that(tmp_path, formats, write_array, bone):
    described = formats.describe(write_array(tmp_path / "a.ISQ", bone, calibrations=SCALE.calibrations()))
    other = attrs.evolve(SCALE, density_slope=800.0, density_intercept=-200.0)
    with formats.writer(tmp_path / "b.ISQ", attrs.evolve(described, calibrations=other.calibrations())) as writer:
        writer.write(bone)
    stated = ScancoCalibration.of(formats.describe(tmp_path / "b.ISQ").calibrations)
    assert (stated.density_slope, stated.density_intercept) == pytest.approx((800.0, -200.0))


def test_an_isq_of_a_new_distance_between_slices_states_that_of_them_as_well(tmp_path, formats, write_array, bone):
    described = formats.describe(write_array(tmp_path / "a.ISQ", bone, spacing_mm=(0.05, 0.05, 0.06)))
    with formats.writer(tmp_path / "b.ISQ", attrs.evolve(described, spacing_mm=(0.05, 0.05, 0.12))) as writer:
        writer.write(bone)
    for name, micrometres in (("a.ISQ", 60), ("b.ISQ", 120)):
        header = formats.describe(tmp_path / name).header
        assert (header["slice_thickness_um"], header["slice_increment_um"]) == (micrometres, micrometres)


def test_the_lengths_of_an_isq_are_rounded_to_micrometres(tmp_path, formats, write_array):
    path = write_array(tmp_path / "a.ISQ", np.zeros((2, 3, 4), np.int16), spacing_mm=(0.0609, 0.0336, 0.0606))
    header = formats.describe(path).header
    assert [header[f"dim{axis}_um"] for axis in "xyz"] == [244, 101, 121]
