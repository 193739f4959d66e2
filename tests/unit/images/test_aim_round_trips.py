import hashlib
import json
import struct
import tempfile
from pathlib import Path

import attrs
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import UnsupportedImage, UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images.conversion import convert

PLAIN = {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "int64": "i8", "float32": "f4"}
shapes = arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)


def info_of(array, **known):
    path = Path("nowhere")
    pixel_type = PixelType.of_numpy_code(array.dtype.str)
    return ImageInfo(
        path=path, format="array", size=array.shape[::-1], pixel_type=pixel_type, pixels_path=path, **known
    )


@st.composite
def voxels(draw):
    """Voxels that every encoding of its kind can hold, with long runs among them."""
    encoding = draw(st.sampled_from([*PLAIN, "vaxF", "bit8", "charCmp", "binCmp"]))
    shape = draw(shapes)
    if encoding in PLAIN:
        return encoding, draw(
            arrays.arrays(PLAIN[encoding], shape, elements={"allow_nan": False} if "f" in encoding else None)
        )
    if encoding == "vaxF":
        return encoding, draw(
            arrays.arrays("f4", shape, elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False))
        )
    few = st.sampled_from([0, 127, -3]) if encoding == "charCmp" else st.sampled_from([0, draw(st.integers(1, 127))])
    runs = draw(
        st.lists(st.tuples(few, st.sampled_from([1, 2, 3, 253, 254, 255, 256, 508, 509])), min_size=1, max_size=8)
    )
    flat = np.concatenate([np.full(length, value, np.int8) for value, length in runs])
    return encoding, np.resize(flat, shape)


@given(voxels(), st.integers(1, 9), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_written_in_slabs_is_read_in_slabs(case, slab, as_v030):
    encoding, array = case
    formats = image_formats()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.AIM"
        source = {"format": "AIM", "header": v030_template(), "processing_log": "\0"} if as_v030 else None
        with formats.writer(path, info_of(array, source=source), encoding=encoding) as writer:
            for start in range(0, len(array), slab):
                writer.write(array[start : start + slab])
        assert path.stat().st_size % 512 == 0
        info = formats.describe(path)
        assert (info.format_version == "v030") == (as_v030 or encoding == "float32")
        with formats.reader(path) as reader:
            pieces = [reader.read(z, min(z + slab, len(array))) for z in range(0, len(array), slab)]
            last = reader.read(len(array) - 1, len(array))
        np.testing.assert_array_equal(np.concatenate(pieces), array)
        np.testing.assert_array_equal(last, array[-1:])


def v030_template():
    import base64

    data = b"AIMDATA_V030   \0" + struct.pack("<5q", 40, 224, 1, 0, 0) + bytes([0x18, 0, 0, 0]) + bytes(12)
    return base64.b64encode(data + struct.pack("<24q", 0, 0, 0, 1, 1, 1, *[0] * 18) + bytes(16)).decode()


@pytest.mark.parametrize("encoding", ["binCmp", "charCmp", "bit8"])
def test_volumes_beyond_one_chunk_keep_every_voxel(tmp_path, write_array, read_array, formats, encoding):
    generator = np.random.default_rng(7)
    lengths = generator.geometric(1 / 6, 200_000)
    mask = (
        (np.repeat(np.arange(lengths.size) % 2, lengths)[: 61 * 120 * 131] * 127).astype(np.int8).reshape(61, 120, 131)
    )
    path = write_array(tmp_path / "m.AIM", mask, encoding=encoding, slab=17)
    np.testing.assert_array_equal(read_array(path), mask)
    with formats.reader(path) as reader:
        for start, stop in ((0, 1), (29, 31), (60, 61), (13, 58)):
            np.testing.assert_array_equal(reader.read(start, stop), mask[start:stop])


def test_an_encoder_refuses_a_third_value_and_leaves_nothing(tmp_path, write_array):
    three = np.zeros((4, 5, 6), np.int8)
    three[1, 1, 1], three[3, 4, 5] = 127, 126
    for encoding in ("binCmp", "bit8"):
        with pytest.raises(UnsupportedImage, match=encoding):
            write_array(tmp_path / "m.AIM", three, encoding=encoding)
    assert list(tmp_path.iterdir()) == []


def test_a_third_value_in_a_slab_of_its_own_is_refused(tmp_path, write_array):
    flat = np.repeat(np.array([0, 127, 5], np.int8), 30).reshape(3, 5, 6)
    with pytest.raises(UnsupportedImage, match="0, 127, 5"):
        write_array(tmp_path / "m.AIM", flat, encoding="binCmp", slab=1)


def test_infinite_values_have_no_vax_number(tmp_path, write_array):
    with pytest.raises(UnsupportedImage, match="VAX F"):
        write_array(tmp_path / "f.AIM", np.full((1, 1, 2), np.inf, np.float32), encoding="vaxF")
    assert list(tmp_path.iterdir()) == []


def test_a_position_survives(tmp_path, write_array, formats):
    path = write_array(
        tmp_path / "a.AIM", np.zeros((2, 2, 2), np.int16), spacing_mm=(0.1, 0.2, 0.3), origin_mm=(1.0, -0.4, 0.3)
    )
    assert formats.describe(path).header["pos"] == [10, -2, 1]


def test_too_few_or_too_many_slices_are_refused(tmp_path, formats, describe_array):
    array = np.zeros((3, 2, 2), np.int16)
    writer = formats.writer(tmp_path / "a.AIM", describe_array(array))
    writer.write(array[:2])
    with pytest.raises(UsageError, match="3 slices, but 2"):
        writer.finish()
    with formats.writer(tmp_path / "a.AIM", describe_array(array)) as writer:
        writer.write(array)
        with pytest.raises(UsageError, match="3 slices; 4"):
            writer.write(array[:1])


def golden(formats, tmp_path, array, encoding):
    """An AIM with everything that must survive: a log that is not ours, garbage in the header, a position, a frame."""
    path = tmp_path / "original.AIM"
    with formats.writer(path, info_of(array, spacing_mm=(0.0607, 0.0607, 0.082)), encoding=encoding) as writer:
        writer.write(array)
    data = bytearray(path.read_bytes())
    data[140:160] = b"\x05\x80\xf5\x7f" * 5
    data[32:36] = struct.pack("<i", 77)
    data[44:56] = struct.pack("<3i", 5, -6, 7)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("changed", [False, True])
def test_documents_that_state_a_sha_256_are_still_proved_by_it(tmp_path, formats, write_array, bone, changed):
    aim = write_array(tmp_path / "a.AIM", bone)
    convert(formats, aim, tmp_path / "b.omni")
    document = json.loads((tmp_path / "b.omni").read_text())
    assert document["source"]["voxels"] == {"xxh3-128": xxhash.xxh3_128(bone.tobytes()).hexdigest()}
    digest = hashlib.sha256(bone.tobytes()).hexdigest()
    document["source"]["voxels"] = {"sha256": digest}
    (tmp_path / "b.omni").write_text(json.dumps(document))
    if changed:
        pixels = np.memmap(tmp_path / "b.raw", np.int16, "r+")
        pixels[7] += 1
        pixels.flush()
    convert(formats, tmp_path / "b.omni", tmp_path / "c.AIM")
    assert ((tmp_path / "c.AIM").read_bytes() == aim.read_bytes()) is not changed


@pytest.mark.parametrize("encoding", ["int8", "binCmp", "charCmp", "bit8"])
def test_aim_to_omni_to_aim_is_byte_exact(tmp_path, formats, bone, encoding):
    original = golden(formats, tmp_path, np.where(bone > 1500, 127, 0).astype(np.int8), encoding)
    convert(formats, original, tmp_path / "o.omni")
    convert(formats, tmp_path / "o.omni", tmp_path / "back.AIM")
    assert (tmp_path / "back.AIM").read_bytes() == original.read_bytes()


def test_garbage_element_sizes_and_long_logs_come_back_byte_for_byte(tmp_path, formats, write_array, bone):
    plain = write_array(tmp_path / "plain.AIM", bone).read_bytes()
    log_bytes = int.from_bytes(plain[8:12], "little")
    log = b"\x01\xe4\n" * 6_000_000 + b"\0"
    head = plain[:8] + len(log).to_bytes(4, "little") + plain[12:128] + b"\x00\x80\x01\x02" * 3 + plain[140:160]
    whole = head + log + plain[160 + log_bytes : 160 + log_bytes + bone.nbytes]
    (tmp_path / "a.AIM").write_bytes(whole)
    convert(formats, tmp_path / "a.AIM", tmp_path / "a.omni")
    convert(formats, tmp_path / "a.omni", tmp_path / "b.AIM")
    assert formats.describe(tmp_path / "b.AIM").spacing_mm == (1, 1, 1)
    back = (tmp_path / "b.AIM").read_bytes()
    assert back[: len(whole)] == whole
    assert not back[len(whole) :].strip(b"\0")


def test_a_changed_image_keeps_the_log_and_gets_an_entry(tmp_path, formats, bone, read_array):
    original = golden(formats, tmp_path, bone, "int16")
    convert(formats, original, tmp_path / "o.omni")
    raw = np.memmap(tmp_path / "o.raw", "<i2", "r+")
    raw[0] += 1
    raw.flush()
    convert(formats, tmp_path / "o.omni", tmp_path / "changed.AIM")
    before, after = (formats.describe(tmp_path / name).processing_log for name in ("original.AIM", "changed.AIM"))
    assert after.startswith(before)
    assert "Procedure:" in after[len(before) :]
    expected = bone.copy()
    expected[0, 0, 0] += 1
    np.testing.assert_array_equal(read_array(tmp_path / "changed.AIM"), expected)
    assert formats.describe(tmp_path / "changed.AIM").origin_mm == formats.describe(original).origin_mm


def test_an_aim_converted_to_aim_is_the_same_file(tmp_path, formats, bone):
    original = golden(formats, tmp_path, bone, "int16")
    convert(formats, original, tmp_path / "copy.AIM")
    convert(formats, original, tmp_path / "copy.AIM;2", encoding="int16")
    assert (tmp_path / "copy.AIM").read_bytes() == (tmp_path / "copy.AIM;2").read_bytes() == original.read_bytes()


def test_an_isq_converted_to_isq_is_the_same_file(tmp_path, formats, write_array, bone):
    original = write_array(tmp_path / "a.ISQ", bone)
    with original.open("r+b") as file:
        file.seek(80)
        file.write(bytes(4))  # a lowest value that is not the voxels'
    for name, encoding in (("b.ISQ", None), ("c.ISQ", "raw")):
        convert(formats, original, tmp_path / name, encoding=encoding)
        assert (tmp_path / name).read_bytes() == original.read_bytes()


def test_another_encoding_keeps_voxels_and_log(tmp_path, formats, bone, read_array):
    mask = np.where(bone > 1500, 127, 0).astype(np.int8)
    original = golden(formats, tmp_path, mask, "int8")
    convert(formats, original, tmp_path / "small.AIM", encoding="binCmp")
    np.testing.assert_array_equal(read_array(tmp_path / "small.AIM"), mask)
    log = formats.describe(original).processing_log
    assert formats.describe(tmp_path / "small.AIM").processing_log.startswith(log)


def test_a_log_that_is_not_latin_1_is_refused(tmp_path, formats, bone, describe_array):
    image = attrs.evolve(describe_array(bone), source={"processing_log": "Ω\0"})
    with pytest.raises(Exception, match="Latin-1"):
        formats.writer(tmp_path / "a.AIM", image)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_spacing_is_what_an_aim_of_the_same_voxels_states(tmp_path, formats, write_array, bone):
    convert(formats, write_array(tmp_path / "a.AIM", bone), tmp_path / "a.omni")
    described = formats.describe(tmp_path / "a.omni")
    with formats.writer(tmp_path / "b.AIM", attrs.evolve(described, spacing_mm=(0.5, 0.25, 0.125))) as writer:
        writer.write(bone)
    assert formats.describe(tmp_path / "b.AIM").spacing_mm == (0.5, 0.25, 0.125)


@pytest.mark.parametrize("changed", [False, True])
def test_data_behind_the_voxels_stay_with_these_voxels_only(tmp_path, formats, bone, changed):
    original = golden(formats, tmp_path, bone, "int16")
    data = bytearray(original.read_bytes())
    log_bytes, voxel_bytes = struct.unpack_from("<2i", data, 8)
    struct.pack_into("<i", data, 16, len(b"of these voxels"))
    end = 160 + log_bytes + voxel_bytes
    data[end:] = b"of these voxels"
    original.write_bytes(data + bytes(-len(data) % 512))
    convert(formats, original, tmp_path / "o.omni")
    if changed:
        raw = np.memmap(tmp_path / "o.raw", "<i2", "r+")
        raw[0] += 1
        raw.flush()
    convert(formats, tmp_path / "o.omni", tmp_path / "back.AIM")
    back = (tmp_path / "back.AIM").read_bytes()
    assert (b"of these voxels" in back, back == original.read_bytes()) == (not changed, not changed)
    assert struct.unpack_from("<i", back, 16) == (0 if changed else 15,)
