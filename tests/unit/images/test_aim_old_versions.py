"""AIM files of versions 010 and 011, assembled by hand from the structures that Aimpack and AimIO both state."""

import struct

import numpy as np
import pytest

from xfworker.domain.errors import ImageFormatError
from xfworker.services.images.conversion import convert

LOG = b"Created by                    an old IPL\n\0"
SPACINGS = {"0.034": struct.pack("<HH", 0x3E0B, 0x4396), "1": struct.pack("<HH", 0x4080, 0)}
SHORT, BIN_CMP = 0x00020002, 0x00150001


def old(version, type_code, voxels, *, dim, off=(0, 0, 0), pos=(0, 0, 0), pre_header=20):
    struct_bytes = {"v010": 92, "v011": 96, "v011 of Aimpack": 104}[version]
    sizes = (pre_header, struct_bytes, len(LOG), len(voxels), 0)[: pre_header // 4]
    begin = struct.pack(f"<{len(sizes)}i", *sizes)
    image = struct.pack("<5i", 7, 8, 0, 0, type_code) + struct.pack("<12i", *dim, *off, 1, 1, 1, *pos)
    image += b"".join([SPACINGS["0.034"], SPACINGS["0.034"], SPACINGS["1"]][: 3 if struct_bytes == 104 else 1])
    image += b"\xff" * 20 + bytes([0o11, 0, 0, 0])[: 0 if version == "v010" else 4]
    assert len(image) == struct_bytes
    return begin + image + LOG + voxels


@pytest.mark.parametrize("pre_header", [16, 20])
@pytest.mark.parametrize(("version", "z"), [("v010", 0.034), ("v011", 0.034), ("v011 of Aimpack", 1.0)])
def test_every_old_layout_is_read(tmp_path, formats, read_array, version, z, pre_header):
    array = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "OLD.AIM;3"
    path.write_bytes(old(version, SHORT, array.tobytes(), dim=(4, 3, 2), pos=(10, -20, 30), pre_header=pre_header))
    info = formats.describe(path)
    assert (info.format_version, info.size, info.processing_log) == (version[:4], (4, 3, 2), LOG[:-1].decode())
    assert info.spacing_mm == pytest.approx((0.034, 0.034, z))
    assert info.origin_mm == pytest.approx((0.34, -0.68, 30 * z))
    np.testing.assert_array_equal(read_array(path), array)


def test_runs_of_an_old_file_leave_its_frame_out(tmp_path, formats, read_array):
    runs = bytes([0, 127, 3, 13])
    data = (4 + len(runs)).to_bytes(4, "little") + runs
    path = tmp_path / "old.AIM"
    path.write_bytes(old("v010", BIN_CMP, data, dim=(6, 4, 4), off=(1, 1, 1), pos=(5, 5, 5)))
    assert formats.describe(path).origin_mm == pytest.approx((6 * 0.034,) * 3)
    np.testing.assert_array_equal(read_array(path).ravel(), [0] * 3 + [127] * 13)


def test_what_an_old_file_becomes_keeps_its_log_and_place(tmp_path, formats, read_array):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "old.AIM"
    path.write_bytes(old("v011", SHORT, array.tobytes(), dim=(4, 3, 2), pos=(1, 2, 3)))
    convert(formats, path, tmp_path / "a.omni")
    convert(formats, tmp_path / "a.omni", tmp_path / "new.AIM")
    before, after = formats.describe(path), formats.describe(tmp_path / "new.AIM")
    assert after.format_version == "v020"
    assert after.processing_log.startswith(before.processing_log)
    assert (after.spacing_mm, after.origin_mm) == (before.spacing_mm, before.origin_mm)
    np.testing.assert_array_equal(read_array(tmp_path / "new.AIM"), array)


@pytest.mark.parametrize("version", ["v010", "v011", "v011 of Aimpack"])
def test_an_old_file_cut_anywhere_is_refused(tmp_path, formats, version):
    whole = old(version, SHORT, bytes(48), dim=(4, 3, 2))
    path = tmp_path / "cut.AIM"
    for length in range(21, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageFormatError) as caught:
            formats.describe(path)
        assert caught.value.field in {"header", "log size", "voxel block size"}


def test_a_lie_of_an_old_header_is_named(tmp_path, formats):
    path = tmp_path / "lie.AIM"
    path.write_bytes(old("v010", SHORT, bytes(48), dim=(4, -3, 2), pre_header=16))
    with pytest.raises(ImageFormatError) as caught:
        formats.describe(path)
    assert (caught.value.field, caught.value.offset) == ("dim", 36)
