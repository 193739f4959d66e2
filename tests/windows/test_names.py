r"""Names and paths that Windows takes for something else: refused before anything is written, or taken as they are."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.images.registry import image_formats
from xfworker.api.facade import omni
from xfworker.domain.errors import FileError, ImageError, InvalidFilename
from xfworker.services.images.conversion import convert

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="elsewhere these are names as others")
DEVICES = ("aux.AIM", "CON.nii", "com1.mha", "LPT1.nrrd", "NUL.omni", "con .AIM", "aux.ome.zarr")
LOST = ("scan:1.AIM", "a<b>.AIM", "a|b.omni", "a?.nrrd", 'a"b.mha', "a*.tif", "a\nb.AIM")
DROPPED = ("trailing.", "trailing. ", "scan.omni ")


@pytest.fixture
def scan(tmp_path):
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans" / "scan.omni"
    image = omni.create_image(path, size=(6, 5, 4), pixel_type="int16", spacing_mm=(0.1, 0.1, 0.1))
    image.pixels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    image.save()
    return path


@pytest.mark.parametrize(("names", "why"), [(DEVICES, "is a device name on Windows"), (LOST, "holds ")])
def test_an_image_of_a_name_that_windows_does_not_keep_is_refused_with_a_reason(scan, tmp_path, names, why):
    target = tmp_path / "out"
    target.mkdir()
    for name in names:
        with pytest.raises(ImageError, match=why):
            convert(image_formats(), scan, target / name)
        assert os.listdir(target) == []  # noqa: PTH208  a name with a stream is not one of its own


@pytest.mark.parametrize("name", DROPPED)
def test_an_image_whose_name_windows_would_change_is_refused(tmp_path, name):
    image = omni.create_image(tmp_path / name, size=(2, 2, 2), pixel_type="uint8", raw_path=tmp_path / "a.raw")
    image.pixels = np.zeros((2, 2, 2), np.uint8)
    with pytest.raises(ImageError, match="which Windows drops"):
        image.save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["aux.txt", "log:1.txt", "trailing."])
def test_a_file_of_such_a_name_is_not_copied_to(scan, tmp_path, name):
    with pytest.raises(FileError, match="its name"):
        LocalFilesystem().copy(scan, tmp_path / name)


@pytest.mark.parametrize("name", [*DEVICES, *LOST, *DROPPED])
def test_a_script_gets_no_path_of_such_a_name(xf_job, name):
    with pytest.raises(InvalidFilename):
        xf_job().worker.create_temp_path(name)


def test_paths_of_names_that_differ_in_case_are_two(xf_job):
    worker = xf_job().worker
    first, second = worker.create_temp_path("Scan.raw"), worker.create_temp_path("sCAN.RAW")
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    assert first.read_bytes() == b"1"


def test_a_path_beyond_windows_own_limit_is_taken_in_its_long_form(scan, tmp_path):
    folder = Path("\\\\?\\" + str(tmp_path.resolve()).removeprefix("\\\\?\\"), *["folder" * 8] * 6)
    folder.mkdir(parents=True)
    target = folder / "scan.AIM"
    assert len(str(target)) > 260
    convert(image_formats(), scan, target)
    assert omni.open_image(target).info.size == (6, 5, 4)
    LocalFilesystem().remove_tree(folder)
    assert not folder.exists()


def test_a_path_on_a_drive_that_depends_on_its_current_folder_is_not_used_in_place():
    assert not LocalFilesystem().can_write(Path("Z:scan.raw"))
