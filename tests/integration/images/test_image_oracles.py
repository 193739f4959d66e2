"""Voxel for voxel against files that IPL wrote, and against other libraries where they are right."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xfworker.adapters.images.registry import image_formats
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images.conversion import convert

SAMPLES = Path(os.environ.get("XFWORKER_SAMPLES", Path(__file__).parents[4] / "shared" / "samples"))

ITK_READS = """
import itk, json, sys
scanco = itk.ScancoImageIO.New()
assert scanco.CanReadFile(sys.argv[1])
image = itk.imread(sys.argv[1], imageio=scanco)
place = {"spacing": list(image.GetSpacing()), "origin": list(image.GetOrigin())}
print(json.dumps({"voxels": itk.array_from_image(image).tolist(), **place}))
"""

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the sample images are not at {SAMPLES}")


def read(path):
    with image_formats().reader(path) as reader:
        return reader.read(0, reader.info.size[2])


def write(path, array, encoding=None):
    pixel_type = PixelType.of_numpy_code(array.dtype.str)
    info = ImageInfo(
        path=path,
        format="-",
        size=array.shape[::-1],
        pixel_type=pixel_type,
        pixels_path=path,
        spacing_mm=(0.0607, 0.0607, 0.082),
        origin_mm=(0.607, -0.1214, 0.82),
    )
    with image_formats().writer(path, info, encoding=encoding) as writer:
        writer.write(array)
    return path


@pytest.fixture
def voxels():
    generator = np.random.default_rng(11)
    grey = generator.integers(-20_000, 20_000, (7, 9, 11)).astype(np.int16)
    return {"int16": grey, "mask": np.where(grey > 0, 127, 0).astype(np.int8), "labels": (grey % 5).astype(np.int8)}


@needs_samples
@pytest.mark.parametrize(
    ("name", "count"), [("1X1X1CUBE_DILATE1.AIM", 27), ("1X1X1CUBE_DILATE2.AIM", 117), ("test_aim.AIM", 81)]
)
def test_files_of_ipl_are_read_and_come_back_byte_for_byte(tmp_path, name, count):
    original = SAMPLES / name
    assert np.count_nonzero(read(original)) == count
    convert(image_formats(), original, tmp_path / "a.omni")
    convert(image_formats(), tmp_path / "a.omni", tmp_path / "b.AIM")
    convert(image_formats(), original, tmp_path / "c.AIM")
    for again in (tmp_path / "b.AIM", tmp_path / "c.AIM"):
        ours, ipls = again.read_bytes(), original.read_bytes()
        assert len(ours) == len(ipls)
        content = len(ours.rstrip(b"\0"))
        assert ours[:content] == ipls[:content]


@needs_samples
def test_an_isq_and_the_aim_that_ipl_made_of_it_hold_the_same_voxels():
    np.testing.assert_array_equal(read(SAMPLES / "test_isq.ISQ"), read(SAMPLES / "test_aim.AIM"))
    isq, aim = (image_formats().describe(SAMPLES / name) for name in ("test_isq.ISQ", "test_aim.AIM"))
    assert aim.spacing_mm == pytest.approx(isq.spacing_mm, abs=1e-6)


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("int16", "int16"), ("int8", "mask"), ("binCmp", "mask"), ("bit8", "mask"), ("charCmp", "labels")],
)
def test_aimio_reads_what_we_write(tmp_path, voxels, encoding, kind):
    py_aimio = pytest.importorskip("py_aimio")
    path = write(tmp_path / "a.aim", voxels[kind], encoding)
    array, meta = py_aimio.read_aim(str(path))
    np.testing.assert_array_equal(array, voxels[kind])
    assert meta["position"] == (10, -2, 10)
    assert meta["element_size"] == pytest.approx((0.0607, 0.0607, 0.082), abs=1e-8)


@pytest.mark.parametrize("kind", ["int16", "mask"])
def test_we_read_what_aimio_writes_and_it_comes_back_byte_for_byte(tmp_path, voxels, kind):
    py_aimio = pytest.importorskip("py_aimio")
    path = tmp_path / "a.aim"
    py_aimio.write_aim(
        str(path), voxels[kind], {"element_size": (0.0607, 0.0607, 0.082), "processing_log": "! a log\n"}, unit="native"
    )
    np.testing.assert_array_equal(read(path), voxels[kind])
    convert(image_formats(), path, tmp_path / "a.omni")
    convert(image_formats(), tmp_path / "a.omni", tmp_path / "b.aim")
    theirs, ours = path.read_bytes(), (tmp_path / "b.aim").read_bytes()
    assert ours[: len(theirs)] == theirs
    assert not ours[len(theirs) :].strip(b"\0")


@pytest.mark.parametrize(("struct_bytes", "version"), [(92, b""), (96, b"\x09\0\0\0")])
@pytest.mark.parametrize("pre_header", [16, 20])
def test_aimio_reads_the_same_in_files_of_old_versions(tmp_path, voxels, struct_bytes, version, pre_header):
    py_aimio = pytest.importorskip("py_aimio")
    array = voxels["int16"]
    sizes = np.array([pre_header, struct_bytes, 3, array.nbytes, 0], "<i4")[: pre_header // 4]
    image = np.array([0, 0, 0, 0, 0x00020002, *array.shape[::-1], 0, 0, 0, 1, 1, 1, 10, -2, 30], "<i4")
    path = tmp_path / "old.aim"
    path.write_bytes(sizes.tobytes() + image.tobytes() + b"\x0b\x3e\x96\x43" + bytes(20) + version + b"!\n\0")
    with path.open("ab") as file:
        file.write(array.tobytes() + bytes(512))
    theirs, meta = py_aimio.read_aim(str(path))
    np.testing.assert_array_equal(read(path), theirs)
    info = image_formats().describe(path)
    assert info.spacing_mm == pytest.approx(meta["element_size"])
    assert info.origin_mm == pytest.approx([at * 0.034 for at in meta["position"]])


@pytest.mark.parametrize(
    "array",
    [np.arange(24, dtype=code).reshape(2, 3, 4) for code in ("u1", "i2", "u2", "i4", "f4")],
    ids=lambda array: str(array.dtype),
)
def test_itk_reads_what_we_write(tmp_path, array):
    if importlib.util.find_spec("itk") is None:
        pytest.skip("itk-ioscanco is not installed")
    path = write(tmp_path / "a.aim", array)
    # In a process of its own: ITK's modules do not survive the test run's "warnings are errors".
    done = subprocess.run([sys.executable, "-c", ITK_READS, str(path)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["voxels"] == array.tolist()
    assert found["spacing"] == pytest.approx([0.0607, 0.0607, 0.082], abs=1e-6)
    assert found["origin"] == pytest.approx([0.607, -0.1214, 0.82], abs=1e-6)


def test_aimio_reads_our_isq(tmp_path, voxels):
    py_aimio = pytest.importorskip("py_aimio")
    path = write(tmp_path / "a.isq", voxels["int16"])
    array, meta = py_aimio.read_isq(str(path))[:2]
    np.testing.assert_array_equal(array, voxels["int16"])
    assert tuple(meta["dimensions"]) == (11, 9, 7)


def test_aimio_reads_our_contours_nearly(tmp_path):
    py_aimio = pytest.importorskip("py_aimio")
    z, y, x = np.ogrid[:5, :40, :50]
    mask = ((x - 24) ** 2 + (y - 19) ** 2 + 4 * (z - 2) ** 2 < 300).astype(np.uint8)
    path = write(tmp_path / "a.gobj", mask)
    theirs = py_aimio.read_gobj(str(path))[0]
    # Its polygons are filled on lines between pixels, which loses a pixel or two per slice.
    assert theirs.shape == read(path).shape
    assert np.count_nonzero((theirs > 0) != (read(path) > 0)) <= 2 * len(theirs)
