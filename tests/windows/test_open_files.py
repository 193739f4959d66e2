"""Files that are open or mapped: what Windows refuses then is waited for, said, or left to whoever can do it."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.images.abandoned_files import sweep
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.process.file_lock import try_lock
from xfworker.adapters.transfer.partial_file import replacing
from xfworker.adapters.transfer.source_file import open_source
from xfworker.api.facade import omni
from xfworker.domain.errors import FileError, ImageError
from xfworker.services import files_in_use
from xfworker.services.images.conversion import convert

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="elsewhere an open file can be replaced and removed")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(files_in_use, "_PAUSES", (0.01,))


@pytest.fixture
def bone():
    return np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.fixture
def scan(tmp_path, bone):
    image = omni.create_image(tmp_path / "scan.omni", size=(6, 5, 4), pixel_type="int16", spacing_mm=(0.1, 0.1, 0.1))
    image.pixels = bone
    image.save()
    return tmp_path / "scan.omni"


def can_be_replaced_and_removed(path):
    other = path.with_name("other")
    other.write_bytes(b"other")
    other.replace(path)
    path.unlink()
    return True


def test_a_file_that_is_read_for_a_moment_is_replaced(tmp_path):
    target = tmp_path / "a.raw"
    target.write_bytes(b"old")
    reader = target.open("rb")
    timer = threading.Timer(0.3, reader.close)
    timer.start()
    with replacing(target) as partial:
        partial.write_bytes(b"new")
    timer.join()
    assert target.read_bytes() == b"new"


def test_what_this_package_reads_can_be_renamed_and_removed_by_others(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(b"old")
    with open_source(path) as reader:
        path.rename(tmp_path / "b.raw").unlink()
        assert reader.read() == b"old"


@pytest.mark.parametrize(("name", "kind"), [("nowhere", FileNotFoundError), ("folder", PermissionError)])
def test_what_cannot_be_read_is_an_error_as_elsewhere(tmp_path, name, kind):
    (tmp_path / "folder").mkdir()
    with pytest.raises(kind) as caught:
        open_source(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)


def test_a_file_that_stays_open_is_named(tmp_path, impatient):
    source, target = tmp_path / "a.raw", tmp_path / "b.raw"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with target.open("rb"), pytest.raises(FileError, match="close what was read from it") as caught:
        LocalFilesystem().copy(source, target)
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.raw", "b.raw"]


def test_a_directory_with_a_mapped_file_loses_all_else(tmp_path, impatient):
    directory = tmp_path / "job"
    (directory / "deep").mkdir(parents=True)
    for name in ("a.raw", "mapped.raw", "z.raw"):
        (directory / "deep" / name).write_bytes(bytes(4096))
    mapped = np.memmap(directory / "deep" / "mapped.raw", mode="r")
    with pytest.raises(FileError, match=r"mapped\.raw"):
        LocalFilesystem().remove_tree(directory)
    assert [path.name for path in directory.rglob("*.raw")] == ["mapped.raw"]
    del mapped
    LocalFilesystem().remove_tree(directory)
    assert not directory.exists()


def test_a_lock_is_freed_when_its_holder_is_killed(tmp_path):
    code = (
        "import sys, time\n"
        "from xfworker.adapters.process.file_lock import try_lock\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "print(try_lock(file), flush=True)\n"
        "time.sleep(60)\n"
    )
    path = tmp_path / "lock"
    path.write_bytes(b"held")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        with path.open("r+b") as file:
            assert not try_lock(file)
        holder.kill()
        holder.wait()
        with path.open("r+b") as file:
            assert try_lock(file)


def test_a_read_only_file_is_removed_with_its_directory(tmp_path):
    directory = tmp_path / "package"
    directory.mkdir()
    (directory / "main.py").write_text("pass")
    (directory / "main.py").chmod(0o400)
    LocalFilesystem().remove_tree(directory)
    assert not directory.exists()


@pytest.mark.parametrize("suffix", [".AIM", ".nii.gz", ".nrrd", ".mha", ".tif", ".omni"])
def test_what_a_conversion_read_and_wrote_is_free_afterwards(scan, tmp_path, suffix):
    target = tmp_path / f"converted{suffix}"
    convert(image_formats(), scan, target)
    assert all(can_be_replaced_and_removed(path) for path in list(tmp_path.iterdir()) if path.is_file())


def test_a_saved_image_holds_no_file(scan, bone):
    image = omni.open_image(scan)
    image.pixels = np.asarray(image.pixels) + 1
    image.save()
    np.testing.assert_array_equal(omni.open_image(scan).pixels, bone + 1)
    del image
    gc.collect()
    assert can_be_replaced_and_removed(scan.with_suffix(".raw"))


def test_pixels_that_a_script_still_has_mapped_are_replaced(scan, bone):
    image = omni.open_image(scan)
    values = image.pixels
    image.pixels = values * 2
    image.save()
    np.testing.assert_array_equal(values, bone)
    np.testing.assert_array_equal(omni.open_image(scan).pixels, bone * 2)
    del values
    gc.collect()
    for path in scan.parent.iterdir():
        os.utime(path, (1e9, 1e9))
    sweep(scan.parent)
    assert sorted(path.name for path in scan.parent.iterdir()) == ["scan.omni", "scan.raw"]


@pytest.mark.parametrize("suffix", [".AIM", ".nrrd", ".omni"])
def test_an_image_is_replaced_while_its_pixels_are_in_use(scan, tmp_path, bone, suffix):
    target = tmp_path / f"older{suffix}"
    convert(image_formats(), scan, target)
    older = omni.open_image(target).pixels
    newer = omni.open_image(scan)
    newer.pixels = bone + 1
    newer.save()
    convert(image_formats(), scan, target)
    np.testing.assert_array_equal(older[1], bone[1])
    np.testing.assert_array_equal(omni.open_image(target).pixels, bone + 1)


def test_pixels_that_are_changed_after_they_were_saved_are_saved_again(tmp_path):
    image = omni.create_image(tmp_path / "a.omni", size=(6, 5, 4), pixel_type="uint8")
    image.pixels[...] = 1
    image.save()
    image.pixels[0, 0, 0] = 9
    image.save()
    assert omni.open_image(tmp_path / "a.omni").pixels[0, 0, 0] == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.omni", "a.raw"]


def test_a_new_image_that_was_saved_holds_no_file(tmp_path):
    image = omni.create_image(tmp_path / "a.omni", size=(6, 5, 4), pixel_type="uint8")
    image.pixels[...] = 1
    image.save()
    assert can_be_replaced_and_removed(image.metadata_path.with_suffix(".raw"))
    assert list(tmp_path.iterdir()) == [image.metadata_path]


def test_new_pixels_that_a_script_still_has_mapped_are_replaced(tmp_path):
    image = omni.create_image(tmp_path / "a.omni", size=(6, 5, 4), pixel_type="uint8")
    image.pixels[...] = 1
    image.save()
    mask = image.pixels
    image.pixels = mask * 127
    image.save()
    assert mask.max() == 1
    assert omni.open_image(tmp_path / "a.omni").pixels.min() == 127
    image.pixels[0, 0, 0] = 9
    image.save()
    assert omni.open_image(tmp_path / "a.omni").pixels[0, 0, 0] == 9


def test_pixels_that_another_program_has_open_are_left_and_saved_later(scan, bone, impatient):
    image = omni.open_image(scan)
    image.pixels = bone + 1
    code = "import sys; file = open(sys.argv[1], 'rb'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(scan.with_suffix(".raw"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline().strip() == b"open"
        with pytest.raises(ImageError, match="close what was read from it"):
            image.save()
        np.testing.assert_array_equal(omni.open_image(scan).pixels, bone)
        holder.stdin.close()
        holder.wait()
    image.save()
    np.testing.assert_array_equal(omni.open_image(scan).pixels, bone + 1)
    assert sorted(path.name for path in scan.parent.iterdir()) == ["scan.omni", "scan.raw"]


def test_a_finished_job_with_mapped_pixels_is_done_and_says_what_is_left(xf_platform, xf_job, impatient, capfd):
    worker = xf_job().worker
    path = worker.create_temp_path("mapped.raw")
    path.write_bytes(bytes(4096))
    worker.create_temp_path("other.raw").write_bytes(b"x")
    mapped = np.memmap(path, mode="r")
    worker.finish({})
    assert worker.job["state"] == "Done"
    said = capfd.readouterr().err
    assert "the outputs are stored, but the working directory could not be removed" in said
    assert "mapped.raw" in said
    assert "\n" not in said.strip().partition("the outputs are stored")[2]
    assert [item.name for item in path.parent.iterdir()] == ["mapped.raw"]
    del mapped
