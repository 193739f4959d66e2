"""Volumes larger than the memory that is allowed: converted, thresholded and measured block after block."""

import subprocess
import sys

import pytest

from xfworker.adapters.images.registry import image_formats
from xfworker.api.facade import omni
from xfworker.services.images.blocks import BLOCK_BYTES

VOLUME_MIB = 320
MOST_MIB = 224

TASKS = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from xfworker.adapters.images.registry import image_formats
from xfworker.services.images.conversion import convert
from xfworker.services.images.cropping import Voi, crop
from xfworker.services.images.downsampling import downsample
from xfworker.services.images.histograms import histogram
from xfworker.services.images.masking import apply_mask
from xfworker.services.images.pictures import montage_views
from xfworker.services.images.statistics import statistics
from xfworker.services.images.thresholding import threshold
source, target, task = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
formats = image_formats()
with formats.reader(source) as reader, formats.reader(source) as again:
    size = reader.info.size
    if task == "convert":
        convert(formats, source, target)
    elif task == "threshold":
        threshold(formats, reader, target, lower=1)
    elif task == "crop":
        crop(formats, reader, target, Voi((1, 1, 1), (size[0] - 2, size[1] - 2, size[2] - 2)))
    elif task == "mask":
        apply_mask(formats, reader, again, target, outside=5)
    elif task == "downsample":
        downsample(formats, reader, target, (2, 2, 64))
    elif task == "histogram":
        histogram(reader)
    elif task == "planes":
        montage_views(reader)
    else:
        statistics(reader)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.fixture
def volume(tmp_path):
    """A sparse file of zeros: it takes no disk, and no time to write."""
    assert VOLUME_MIB * 2**20 > 8 * BLOCK_BYTES
    image = omni.create_image(tmp_path / "scan.omni", size=(1024, 1024, VOLUME_MIB // 2), pixel_type="int16")
    with (tmp_path / "scan.raw").open("wb") as file:
        file.truncate(VOLUME_MIB * 2**20)
    image.save()
    return image.metadata_path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(
    ("target", "task"),
    [
        ("scan.AIM", "convert"),
        ("scan.ome.zarr", "convert"),
        ("mask.AIM", "threshold"),
        ("voi.AIM", "crop"),
        ("inside.AIM", "mask"),
        ("small.AIM", "downsample"),
        ("-", "histogram"),
        ("-", "planes"),
        ("-", "statistics"),
    ],
)
def test_large_volumes_take_little_memory(volume, tmp_path, target, task):
    words = [sys.executable, "-c", TASKS, str(volume), str(tmp_path / target), task]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert int(done.stdout) / 1024 < MOST_MIB
    if target != "-":
        size = {"crop": (1022, 1022, VOLUME_MIB // 2 - 2), "downsample": (512, 512, VOLUME_MIB // 128)}
        expected = size.get(task, (1024, 1024, VOLUME_MIB // 2))
        assert image_formats().describe(tmp_path / target).size == expected
