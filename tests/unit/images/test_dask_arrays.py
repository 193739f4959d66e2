"""Images as arrays of dask and back: every kind of file, any boxes, and nothing under a name that is not complete."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.image_formats import pixels_reader
from xfworker.api.facade import omni
from xfworker.domain.errors import ConfigurationError, ImageError, UnsupportedImage, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.services.images.conversion import convert
from xfworker.services.images.pixel_source import PixelSource

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
aligned_chunks = pytest.importorskip("xfworker.adapters.dask.arrays").aligned_chunks

SIZE = (13, 11, 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    image = omni.create_image(
        folder / "scan.omni",
        size=SIZE,
        pixel_type="int16",
        spacing_mm=(0.1, 0.2, 0.3),
        origin_mm=(0.1, 0.2, 0.3),
        calibrations=[Calibration(unit_type="Density", unit_name="mg HA/cm3", slope=0.5, intercept=-10.0)],
    )
    image.pixels = np.random.default_rng(3).integers(-100, 100, (9, 11, 13)).astype(np.int16)
    image.save()
    formats = image_formats()
    convert(formats, folder / "scan.omni", folder / "scan.AIM")
    image.threshold(folder / "mask.AIM", lower=0)
    for name in ("scan.ome.zarr", "scan.zarr", "scan.nii.gz", "scan.tif"):
        convert(formats, folder / "scan.omni", folder / name)
    return folder


@pytest.mark.parametrize("name", ["scan.omni", "scan.AIM", "mask.AIM", "scan.ome.zarr", "scan.nii.gz", "scan.tif"])
@pytest.mark.parametrize("chunks", [None, (2, 5, 13), (4, -1, 3)])
def test_every_kind_of_image_is_a_lazy_array(folder, name, chunks):
    image = omni.open_image(folder / name)
    array = image.to_dask(chunks=chunks)
    assert array.shape == (9, 11, 13)
    assert array.dtype == np.asarray(image.pixels).dtype
    assert np.array_equal(array.compute(scheduler="threads"), image.pixels)


def test_blocks_are_whole_slices_unless_stated_otherwise(tmp_path):
    image = omni.create_image(tmp_path / "scan.omni", size=(2048, 2048, 40), pixel_type="int16")
    assert image.to_dask().chunks == ((4,) * 10, (2048,), (2048,))


part = st.one_of(
    st.integers(-9, 8),
    st.builds(slice, *[st.one_of(st.none(), st.integers(-12, 12))] * 2, st.sampled_from([None, 1, 2, 5, -1, -3])),
)


@settings(max_examples=60, deadline=None)
@given(index=st.tuples(part, part, part), name=st.sampled_from(["scan.omni", "mask.AIM", "scan.ome.zarr", "scan.zarr"]))
def test_boxes_are_read_as_numpy_would_give_them(folder, index, name):
    image = omni.open_image(folder / name)
    source = pickle.loads(pickle.dumps(PixelSource(image.info, pixels_reader)))
    assert np.array_equal(source[index], np.asarray(image.pixels)[index])
    source.close()


def test_boxes_of_a_flat_image_are_read_too(tmp_path, write_array):
    flat = np.arange(35, dtype=np.int16).reshape(5, 7)
    source = PixelSource(omni.open_image(write_array(tmp_path / "f.omni", flat, axes="XY")).info, pixels_reader)
    for index in ((slice(4, 0, -2), 3), (2, slice(1, 6, 2)), (slice(1, 3),)):
        np.testing.assert_array_equal(source[index], flat[index])
    source.close()


def test_only_blocks_that_are_asked_for_are_read(folder, monkeypatch):
    read = []
    box = PixelSource._box  # noqa: SLF001  where all reading passes
    monkeypatch.setattr(PixelSource, "_box", lambda self, ranges: read.append(ranges) or box(self, ranges))
    array = omni.open_image(folder / "scan.omni").to_dask(chunks=(3, 11, 13))
    assert array[4, 2:5].compute(scheduler="sync").shape == (3, 13)
    assert [[len(one) for one in ranges] for ranges in read] == [[3, 11, 13]]


@pytest.mark.parametrize("name", ["new.omni", "new.zarr", "new.ome.zarr"])
@pytest.mark.parametrize("chunks", [(2, 11, 13), (4, 5, 6), (9, 11, 1)])
def test_an_array_is_written_block_by_block(folder, tmp_path, name, chunks):
    scan = omni.open_image(folder / "scan.omni")
    array = scan.to_dask(chunks=chunks).astype(np.float32) / 3
    new = scan.write_blocks(tmp_path / name, array)
    again = omni.open_image(tmp_path / name)
    assert np.array_equal(again.pixels, scan.pixels.astype(np.float32) / 3)
    assert (again.spacing_mm, again.origin_mm) == (scan.spacing_mm, scan.origin_mm)
    assert [line.unit_type for line in again.info.calibrations] == ["Density"]
    assert new.info.pixel_type == again.info.pixel_type
    assert {path.name for path in tmp_path.iterdir()} <= {name, "new.raw"}


def test_a_comparison_becomes_segments(folder, tmp_path):
    scan = omni.open_image(folder / "scan.omni")
    labels = [{"value": 1, "name": "bone"}]
    bone = scan.write_blocks(tmp_path / "bone.omni", scan.to_dask() > 20, labels=labels)
    assert (bone.kind, bone.info.pixel_type.value, bone.labels) == ("segments", "uint8", labels)
    assert not bone.info.calibrations
    assert np.array_equal(bone.pixels, scan.pixels > 20)


def test_an_image_from_nothing_is_written_under_its_own_name(tmp_path):
    ramp = da.arange(60, chunks=7).reshape(3, 4, 5).astype(np.uint16)
    image = omni.create_image(tmp_path / "ramp.omni", size=(5, 4, 3), pixel_type="uint16")
    written = image.write_blocks(tmp_path / "ramp.omni", ramp)
    assert np.array_equal(written.pixels, np.arange(60).reshape(3, 4, 5))


def test_chunks_of_zarr_are_never_shared_by_two_blocks():
    assert aligned_chunks(((3, 3, 3), (50, 50), (70,)), (4, 50, 64)) == ((4, 4, 1), (50, 50), (70,))


def test_an_image_that_came_from_a_scanco_file_states_no_old_digest_of_its_pixels(folder, tmp_path):
    convert(image_formats(), folder / "scan.AIM", tmp_path / "copy.omni")
    copy = omni.open_image(tmp_path / "copy.omni")
    assert copy.metadata["source"]["voxels"]
    changed = copy.write_blocks(tmp_path / "changed.omni", copy.to_dask() + 1)
    assert "voxels" not in changed.metadata["source"]
    convert(image_formats(), tmp_path / "changed.omni", tmp_path / "changed.AIM")
    assert np.array_equal(np.asarray(omni.open_image(tmp_path / "changed.AIM").pixels), copy.pixels + 1)


@pytest.mark.parametrize("name", ["new.omni", "new.ome.zarr"])
def test_a_block_that_cannot_be_computed_leaves_nothing(folder, tmp_path, name):
    def fail(block, block_info=None):
        if block_info[0]["chunk-location"] == (2, 0, 0):
            raise ArithmeticError("as expected")
        return block

    scan = omni.open_image(folder / "scan.omni")
    array = scan.to_dask(chunks=(3, 11, 13)).map_blocks(fail, dtype=np.int16)
    with pytest.raises(ArithmeticError, match="as expected"):
        scan.write_blocks(tmp_path / name, array)
    assert not list(tmp_path.iterdir())


def test_blocks_that_are_left_out_are_noticed(folder, tmp_path, monkeypatch):
    scan = omni.open_image(folder / "scan.omni")
    monkeypatch.setattr(da.Array, "compute", lambda self: np.zeros(self.shape, np.int64))
    with pytest.raises(ImageError, match="fewer blocks"):
        scan.write_blocks(tmp_path / "new.omni", scan.to_dask(chunks=(3, 11, 13)))
    assert not list(tmp_path.iterdir())


def test_a_script_that_is_killed_leaves_no_image(folder, tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from xfworker.api.facade import omni
def end(block, block_info=None):
    if block_info[0]["chunk-location"][0] == 2:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return block
scan = omni.open_image(Path(sys.argv[1]))
array = scan.to_dask(chunks=(3, 11, 13)).map_blocks(end, dtype="int16")
import dask
dask.config.set(scheduler="sync")
scan.write_blocks(Path(sys.argv[2]), array)
"""
    ended = subprocess.run([sys.executable, "-c", program, folder / "scan.omni", tmp_path / "new.omni"], check=False)
    assert ended.returncode != 0
    assert not (tmp_path / "new.omni").exists()
    assert not (tmp_path / "new.raw").exists()
    if sys.platform != "win32":
        # What it left is removed by the next image that is written there.
        scan = omni.open_image(folder / "scan.omni")
        scan.write_blocks(tmp_path / "next.omni", scan.to_dask())
        assert {path.name for path in tmp_path.iterdir()} == {"next.omni", "next.raw"}


def test_formats_of_slices_in_their_order_say_what_to_do(folder, tmp_path):
    scan = omni.open_image(folder / "scan.omni")
    with pytest.raises(UnsupportedImage, match=r"\.omni, \.zarr or"):
        scan.write_blocks(tmp_path / "new.AIM", scan.to_dask())
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused_before_anything_is_computed(folder, tmp_path):
    scan = omni.open_image(folder / "scan.omni")
    never = da.map_blocks(pytest.fail, chunks=((9,), (11,), (13,)), dtype=np.int16, meta=np.empty((0, 0, 0), np.int16))
    with pytest.raises(UsageError, match="shape"):
        scan.write_blocks(tmp_path / "new.omni", never[1:])
    with pytest.raises(UsageError, match="complex128"):
        scan.write_blocks(tmp_path / "new.omni", never.astype(complex))
    with pytest.raises(UsageError, match="takes an array of dask"):
        scan.write_blocks(tmp_path / "new.omni", np.zeros((9, 11, 13)))
    with pytest.raises(UsageError, match="which is being read"):
        scan.write_blocks(folder / "scan.omni", never)
    with pytest.raises(UsageError, match="chunks are what dask takes"):
        scan.to_dask(chunks=(1, 2))
    with pytest.raises(UsageError, match="write_blocks"):
        scan.pixels = never


@pytest.mark.parametrize("missing", ["dask", "dask.array"])
def test_without_dask_a_sentence_says_what_to_install(folder, monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "dask.array")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'xfworker\[dask\]'"):
        omni.open_image(folder / "scan.omni").to_dask()


def test_errors_of_other_processes_come_as_they_are(folder, tmp_path):
    scan = omni.open_image(folder / "scan.omni")
    array = scan.to_dask(chunks=(3, 11, 13))

    def lose(block):
        for path in tmp_path.iterdir():
            path.unlink()
        return block

    with dask.config.set(scheduler="sync"), pytest.raises(ImageError, match="the same path"):
        scan.write_blocks(tmp_path / "new.omni", array.map_blocks(lose, dtype=np.int16))
