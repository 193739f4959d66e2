"""A disk that is full, and what killed processes left on it."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from xfworker.adapters.images import disk_room
from xfworker.adapters.images.abandoned_files import OWNER_FILE, incomplete_path, sweep
from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.api.facade import omni
from xfworker.domain.errors import ImageError, NotEnoughSpace


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("mounting is for root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


MAPPED = """
import sys
from pathlib import Path
from xfworker.api.facade import omni
from xfworker.domain.errors import NotEnoughSpace
image = omni.create_image(Path(sys.argv[1]), size=(128, 128, 100), pixel_type="int16")
try:
    image.pixels[:] = 3
except NotEnoughSpace as error:
    sys.exit(7 if "space" in str(error) else 8)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is mounted")
def test_a_memory_map_on_a_full_disk_is_refused_and_does_not_end_the_process(small_disk):
    done = subprocess.run([sys.executable, "-c", MAPPED, str(small_disk / "b.omni")], check=False)
    assert done.returncode == 7
    assert list(small_disk.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is mounted")
@pytest.mark.parametrize(
    "name", ["a.omni", "a.AIM", "a.tif", "a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.ISQ", "a.zarr"]
)
def test_every_format_says_that_the_disk_is_full(small_disk, write_array, name):
    noise = np.random.default_rng(1).integers(-3000, 3000, (100, 128, 128), np.int16)
    with pytest.raises(NotEnoughSpace, match=r"(?i)space.*Make room"):
        write_array(small_disk / name, noise)
    assert list(small_disk.iterdir()) == []


def test_an_error_of_a_library_on_a_full_disk_is_a_full_disk(tmp_path, monkeypatch):
    error = OSError("11664 requested and 6040 written")
    assert isinstance(disk_room.writing_error(error, tmp_path / "a.tif"), ImageError)
    monkeypatch.setattr(disk_room, "_is_full", lambda _folder: True)
    mapped = disk_room.writing_error(error, tmp_path / "a.tif")
    assert isinstance(mapped, NotEnoughSpace)
    assert "No space left" in str(mapped)


def test_room_is_made_where_the_disk_cannot_reserve_it(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_room, "_allocated", lambda _file, _count: False)
    with (tmp_path / "a").open("xb+", buffering=0) as file:
        file.write(b"abc")
        disk_room.allocate(file, 10_000_000, tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    assert data[:3] == b"abc"
    assert data[3:] == bytes(10_000_000 - 3)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="POSIX")
def test_a_file_that_a_script_wrote_with_holes_is_filled_before_it_is_mapped(tmp_path, monkeypatch):
    image = omni.create_image(tmp_path / "a.omni", size=(64, 64, 4), pixel_type="int16")
    with (tmp_path / "a.raw").open("wb") as file:
        file.truncate(64 * 64 * 4 * 2)
    asked = []

    def full(_descriptor, _offset, count):
        asked.append(count)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NotEnoughSpace):
        _ = image.pixels
    assert asked == [64 * 64 * 4 * 2]


CONVERTING = """
import os, signal, sys
from pathlib import Path
import numpy as np
from xfworker.adapters.images.registry import image_formats
formats = image_formats()
info = formats.describe(Path(sys.argv[1]))
writer = formats.writer(Path(sys.argv[2]), info)
writer.write(np.zeros((1, *info.shape[1:]), "i2"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are not killed by signals there")
@pytest.mark.parametrize("name", ["a.omni", "a.AIM", "a.tif", "a.zarr"])
def test_what_a_killed_conversion_left_is_swept_by_the_next(tmp_path, write_array, bone, name):
    source = write_array(tmp_path / "source.omni", bone)
    folder = tmp_path / "out"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", CONVERTING, str(source), str(folder / name)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1
    write_array(folder / "b.omni", bone)
    assert sorted(path.name for path in folder.iterdir()) == ["b.omni", "b.raw"]


def test_what_is_being_written_is_not_swept(tmp_path, formats, describe_array, bone):
    written = [formats.writer(tmp_path / name, describe_array(bone)) for name in ("a.omni", "a.AIM", "a.zarr")]
    sweep(tmp_path)
    for writer in written:
        writer.write(bone)
        writer.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"a.omni", "a.raw", "a.AIM", "a.zarr"}


def test_what_another_machine_writes_is_not_swept(tmp_path, monkeypatch):
    (tmp_path / ".xfpart-image-00000000-0123456789abcdef").write_bytes(b"theirs")
    (tmp_path / ".xfpart-0123456789abcdef").write_bytes(b"of a transfer")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_forked_process_does_not_remove_what_its_parent_writes(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("POSIX")
    partial = PartialFile(tmp_path / "a")
    child = os.fork()
    if child == 0:
        partial.discard()
        os._exit(0)
    os.waitpid(child, 0)
    partial.write(b"abc")
    partial.finish()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_an_abandoned_folder_is_swept_whole(tmp_path):
    folder = incomplete_path(tmp_path)
    folder.mkdir()
    (folder / OWNER_FILE).write_bytes(b"")
    (folder / "c").mkdir()
    (folder / "c" / "0").write_bytes(b"chunk")
    os.utime(folder / OWNER_FILE, (0, 0))  # on Windows what was just written is left alone
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
