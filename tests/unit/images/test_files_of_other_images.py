"""Writing an image never shows up in another one: its pixels, a file of the user's own, an older document."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from xfworker.api.facade import omni
from xfworker.domain.errors import ImageFormatError, UsageError
from xfworker.services.images.conversion import convert

OTHER = np.full((5, 7, 9), 7, np.int16)
OWN = np.full((5, 7, 9), 1000, np.int16)


@pytest.fixture
def other(tmp_path, write_array):
    (tmp_path / "elsewhere").mkdir()
    return write_array(tmp_path / "elsewhere" / "other.omni", OTHER)


@pytest.mark.parametrize(("mine", "target"), [("scan.omni", "scan.mhd"), ("scan.mhd", "scan.omni")])
def test_a_conversion_does_not_take_the_pixels_of_an_unrelated_image(
    tmp_path, formats, write_array, read_array, other, mine, target
):
    scan = write_array(tmp_path / mine, OWN)
    with pytest.raises(UsageError, match=r"scan\.raw would be replaced"):
        convert(formats, other, tmp_path / target)
    np.testing.assert_array_equal(read_array(scan), OWN)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["elsewhere", mine, "scan.raw"])


@pytest.mark.parametrize(("target", "companion"), [("b.omni", "b.raw"), ("b.mhd", "b.raw"), ("b.vgi", "b.vol")])
def test_a_users_own_file_is_not_written_over(tmp_path, formats, other, target, companion):
    (tmp_path / companion).write_bytes(b"mine")
    with pytest.raises(UsageError, match=companion):
        convert(formats, other, tmp_path / target)
    assert (tmp_path / companion).read_bytes() == b"mine"


def test_a_conversion_does_not_take_a_slice_of_its_source(tmp_path, formats):
    (tmp_path / "slices").mkdir()
    for z in range(3):
        tifffile.imwrite(tmp_path / "slices" / f"{z}.tif", OWN[z].astype(np.uint16))
    before = (tmp_path / "slices" / "0.tif").read_bytes()
    with pytest.raises(UsageError, match=r"0\.tif would be replaced, but it holds .*slices, which is being read"):
        convert(formats, tmp_path / "slices", tmp_path / "slices" / "0.tif")
    assert (tmp_path / "slices" / "0.tif").read_bytes() == before
    assert len(list((tmp_path / "slices").iterdir())) == 3


@pytest.mark.parametrize("target", ["scan.omni", "scan.mhd", "scan.vgi"])
def test_an_image_is_replaced_with_its_own_files(tmp_path, formats, write_array, read_array, other, target):
    write_array(tmp_path / target, OWN)
    convert(formats, other, tmp_path / target)
    np.testing.assert_array_equal(read_array(tmp_path / target), OTHER)


def test_pixels_that_two_documents_share_are_not_written_over(tmp_path, formats, write_array, read_array, other):
    scan = write_array(tmp_path / "scan.omni", OWN)
    (tmp_path / "recalibrated.omni").write_text(scan.read_text())
    with pytest.raises(UsageError, match=r"recalibrated\.omni"):
        convert(formats, other, scan)
    image = omni.open_image(scan)
    image.pixels = OTHER
    with pytest.raises(UsageError, match=r"recalibrated\.omni"):
        image.save()
    np.testing.assert_array_equal(read_array(tmp_path / "recalibrated.omni"), OWN)


def test_a_scan_that_a_document_points_into_is_not_written_over(tmp_path, formats, write_array, read_array, other):
    image = omni.open_image(write_array(tmp_path / "scan.AIM", OWN))
    image.save()
    with pytest.raises(UsageError, match=r"scan\.omni"):
        convert(formats, other, tmp_path / "scan.AIM")
    np.testing.assert_array_equal(read_array(image.metadata_path), OWN)


def test_a_file_that_appears_while_an_image_is_written_stays(tmp_path, formats, describe_array):
    writer = formats.writer(tmp_path / "b.omni", describe_array(OWN))
    writer.write(OWN)
    (tmp_path / "b.raw").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"b\.raw"):
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["b.raw"]


@pytest.mark.parametrize("assigned", [True, False])
def test_a_created_image_does_not_take_a_users_own_file(tmp_path, assigned):
    mine = np.full((2, 2, 2), 9, np.uint8)
    mine.tofile(tmp_path / "b.raw")
    image = omni.create_image(tmp_path / "b.omni", size=(2, 2, 2), pixel_type="uint8")

    def change():
        if assigned:
            image.pixels = mine * 2
        else:
            image.pixels[:] = 3
        image.save()

    with pytest.raises(UsageError, match=r"b\.raw"):
        change()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "b.raw", np.uint8).reshape(2, 2, 2), mine)
    assert [path.name for path in tmp_path.iterdir()] == ["b.raw"]


def test_a_document_can_be_put_beside_a_users_own_file(tmp_path, read_array):
    mine = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    mine.tofile(tmp_path / "b.raw")
    omni.create_image(tmp_path / "b.omni", size=(2, 2, 2), pixel_type="uint8").save()
    np.testing.assert_array_equal(read_array(tmp_path / "b.omni"), mine)


KILLED = """
import os, signal, sys
from pathlib import Path
from xfworker.api.facade import omni
image = omni.create_image(Path(sys.argv[1]), size=(9, 7, 5), pixel_type="int16")
image.pixels[:] = 7
image.pixels.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are not killed by signals there")
def test_an_image_created_over_another_and_killed_leaves_the_old_one(tmp_path, write_array, read_array):
    scan = write_array(tmp_path / "scan.omni", OWN)
    done = subprocess.run([sys.executable, "-c", KILLED, str(scan)], check=False)
    assert done.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(read_array(scan), OWN)
    assert len(list(tmp_path.iterdir())) == 3
    image = omni.create_image(scan, size=(9, 7, 5), pixel_type="int16")
    image.pixels[:] = OTHER
    np.testing.assert_array_equal(next(image.blocks()).pixels, OTHER)
    np.testing.assert_array_equal(read_array(scan), OWN)
    image.save()
    np.testing.assert_array_equal(read_array(scan), OTHER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.omni", "scan.raw"]


def test_an_image_that_is_never_saved_leaves_nothing(tmp_path):
    image = omni.create_image(tmp_path / "scan.omni", size=(9, 7, 5), pixel_type="int16")
    image.pixels[:] = 1
    del image
    assert list(tmp_path.iterdir()) == []


def test_the_old_document_is_gone_before_assigned_pixels_appear(tmp_path, write_array, monkeypatch):
    scan = write_array(tmp_path / "scan.omni", OWN)
    image = omni.open_image(scan)
    image.pixels = OTHER.astype(np.float32)
    found = []
    finish = type(scan).replace

    def replace(self, target):
        if str(target).endswith(".raw"):
            found.append(scan.exists())
        return finish(self, target)

    monkeypatch.setattr(type(scan), "replace", replace)
    image.save()
    assert found == [False]
    assert json.loads(scan.read_text())["pixel_type"] == "float32"


def test_an_image_that_grew_since_its_pixels_were_mapped_is_not_saved(tmp_path):
    image = omni.create_image(tmp_path / "a.omni", size=(4, 4, 4), pixel_type="uint8")
    image.pixels[:] = 1
    image.metadata["size"] = [4, 4, 5]
    with pytest.raises(ImageFormatError, match="cut short"):
        image.save()
    assert not (tmp_path / "a.omni").exists()
    assert not (tmp_path / "a.raw").exists()
    image.metadata["size"] = [4, 4, 4]
    image.save()
    assert omni.open_image(tmp_path / "a.omni").pixels.sum() == 64
