"""Files that lie, files that were cut short: an error that names file, offset and field, in little time and memory."""

import lzma
import struct
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import ImageError, ImageFormatError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

MOST_BYTES = 64 * 2**20


def read_all(path):
    formats = image_formats()
    with formats.reader(path) as reader:
        total = 0
        for z in range(min(reader.info.size[-1], 50)):
            total += int(reader.read(z, z + 1).size)
        return total


def small_files():
    """One small file of every format of ours, as bytes, by name."""
    formats = image_formats()
    found = {}
    z, y, x = np.ogrid[:5, :12, :14]
    mask = np.where((x - 7) ** 2 + (y - 6) ** 2 + (z - 2) ** 2 < 20, 127, 0).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        for name, encoding, array in (
            ("raw.AIM", "int16", mask.astype(np.int16)),
            ("float.AIM", "float32", mask.astype(np.float32)),
            ("vax.AIM", "vaxF", mask.astype(np.float32)),
            ("bin.AIM", "binCmp", mask),
            ("char.AIM", "charCmp", mask),
            ("bit.AIM", "bit8", mask),
            ("scan.ISQ", None, mask.astype(np.int16)),
            ("rois.GOBJ", None, mask),
            ("scan.omni", None, mask),
        ):
            path = Path(folder) / name
            pixel_type = PixelType.of_numpy_code(array.dtype.str)
            info = ImageInfo(path=path, format="-", size=array.shape[::-1], pixel_type=pixel_type, pixels_path=path)
            with formats.writer(path, info, encoding=encoding) as writer:
                writer.write(array)
            found[name] = path.read_bytes()
    return found


FILES = small_files()


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_never_do_worse_than_an_image_error(name, data):
    original = FILES[name]
    damaged = bytearray(original)
    hot = min(len(original), 400)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, hot - 1))
        piece = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff" * 4, b"\xff" * 8, b"\0" * 4, b"\xff\xff\xff\x7f"]),
            )
        )
        damaged[at : at + len(piece)] = piece
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(damaged))))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(damaged[:cut])
        if name.endswith(".omni"):
            (Path(folder) / "scan.raw").write_bytes(bytes(5 * 12 * 14))
        tracemalloc.start()
        try:
            read_all(path)
        except ImageError as error:
            message = str(error)
        else:
            message = name
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert name in message or "scan.raw" in message
    assert peak < MOST_BYTES


@pytest.mark.parametrize("name", [name for name in FILES if name != "scan.omni"])
def test_a_file_cut_anywhere_is_refused_or_loses_padding_only(tmp_path, name):
    original = FILES[name]
    whole = tmp_path / name
    whole.write_bytes(original)
    expected = read_all(whole)
    padding = len(original) - len(original.rstrip(b"\0"))
    for cut in range(0, len(original) - max(padding, 8), 7):
        whole.write_bytes(original[:cut])
        try:
            assert read_all(whole) <= expected
        except ImageError:
            continue
        assert name == "rois.GOBJ" or cut >= len(original) - 512, (
            f"{cut} bytes of {len(original)} were read as all of it"
        )


def patched(name, offset, layout, *values):
    data = bytearray(FILES[name])
    struct.pack_into(layout, data, offset, *values)
    return bytes(data)


LIES = [
    ("raw.AIM", 8, "<i", (-5,), "log size", 8),
    ("raw.AIM", 8, "<i", (2**31 - 1,), "log size", 8),
    ("raw.AIM", 12, "<i", (2**31 - 1,), "voxel block size", 12),
    ("raw.AIM", 12, "<i", (7,), "voxel block size", 12),
    ("raw.AIM", 16, "<i", (2**30,), "associated data size", 16),
    ("raw.AIM", 56, "<3i", (-1, 12, 5), "dim", 56),
    ("raw.AIM", 56, "<3i", (2**31 - 1, 2**31 - 1, 2**31 - 1), "voxel block size", 12),
    ("raw.AIM", 68, "<3i", (7, 0, 0), "off", 68),
    ("bin.AIM", 56, "<3i", (1_000_000, 1_000_000, 1000), "voxel block size", 12),
    ("char.AIM", 56, "<3i", (15, 12, 5), "compressed voxels", None),
    ("bit.AIM", 56, "<3i", (400, 400, 400), "voxel block size", 12),
    ("float.AIM", 16, "<q", (41,), "pre-header size", 16),
    ("float.AIM", 40, "<q", (2**62,), "voxel block size", 40),
    ("float.AIM", 96, "<3q", (2**40, 12, 5), "dim", 96),
    ("scan.ISQ", 44, "<3i", (0, 12, 5), "dimx_p", 44),
    ("scan.ISQ", 44, "<3i", (2**30, 2**30, 2**30), "dim_p", 44),
    ("scan.ISQ", 508, "<i", (2**30,), "data_offset", 508),
    ("scan.ISQ", 508, "<i", (-1,), "data_offset", 508),
    ("scan.ISQ", 56, "<3i", (0, 1, 1), "dimx_um", 56),
    ("rois.GOBJ", 512 + 52, "<i", (2**30,), "number of contours", 512),
    ("rois.GOBJ", 512 + 56 + 60, "<2i", (2**30, 2**30), "contour length", 568),
    ("rois.GOBJ", 512 + 56 + 4, "<i", (2**30,), "contour place", 568),
]


@pytest.mark.parametrize(("name", "offset", "layout", "values", "field", "at"), LIES)
def test_a_lie_is_named_with_file_field_and_offset(tmp_path, name, offset, layout, values, field, at):
    path = tmp_path / name
    path.write_bytes(patched(name, offset, layout, *values))
    with pytest.raises(ImageFormatError) as caught:
        read_all(path)
    assert (caught.value.path, caught.value.field) == (path, field)
    assert at is None or caught.value.offset == at


def test_runs_that_overflow_are_refused_before_anything_is_expanded(tmp_path):
    data = bytearray(FILES["bin.AIM"])
    log_size, block_size = struct.unpack_from("<2i", data, 8)
    runs = 160 + log_size + 6
    data[runs : 160 + log_size + block_size] = b"\xff" * (block_size - 6)
    path = tmp_path / "bomb.AIM"
    path.write_bytes(data)
    with pytest.raises(ImageFormatError, match="more than the 840 voxels") as caught:
        read_all(path)
    assert caught.value.field == "compressed voxels"


def test_a_folder_an_absent_file_and_an_empty_one_are_distinguished(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(ImageError, match=r"absent\.AIM cannot be read"):
        image_formats().describe(tmp_path / "absent.AIM")
    with pytest.raises(ImageError, match="no image of a known format"):
        image_formats().describe(tmp_path)
    assert image_formats().probe(tmp_path / "empty") is None


@given(st.binary(max_size=600))
@settings(max_examples=100, deadline=None)
def test_bytes_of_any_kind_hold_no_image(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.AIM"
        path.write_bytes(data)
        try:
            assert image_formats().probe(path) is None
        except ImageError as error:
            # It begins as a known format does.
            message = str(error)
        else:
            message = str(path)
    assert str(path) in message


@pytest.mark.parametrize(
    ("compression", "pack", "mib"),
    [(8, lambda data: zlib.compress(data, 1), 300), (34925, lzma.compress, 100)],
)
def test_a_strip_of_a_tiff_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path, compression, pack, mib):
    def written(name, pixels):
        strip = pack(bytes(pixels))
        entries = [(256, 20), (257, 20), (258, 8), (259, compression), (262, 1), (273, 8), (277, 1), (278, 20)]
        tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*entries, (279, len(strip))])
        path = tmp_path / name
        path.write_bytes(
            struct.pack("<4sI", b"II*\0", 8 + len(strip))
            + strip
            + struct.pack("<H", len(entries) + 1)
            + tags
            + bytes(4)
        )
        return path

    assert read_all(written("sound.tif", 400)) == 400
    with pytest.raises(ImageFormatError, match="unpack to more than"):
        read_all(written("bomb.tif", mib << 20))
