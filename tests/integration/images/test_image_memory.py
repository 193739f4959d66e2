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
from xfworker.services.images.statistics import statistics
from xfworker.services.images.thresholding import threshold
source, target, task = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
formats = image_formats()
if task == "convert":
    convert(formats, source, target)
elif task == "threshold":
    with formats.reader(source) as reader:
        threshold(formats, reader, target, lower=1)
else:
    with formats.reader(source) as reader:
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
@pytest.mark.parametrize(("target", "task"), [("scan.AIM", "convert"), ("mask.AIM", "threshold"), ("-", "statistics")])
def test_large_volumes_take_little_memory(volume, tmp_path, target, task):
    words = [sys.executable, "-c", TASKS, str(volume), str(tmp_path / target), task]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert int(done.stdout) / 1024 < MOST_MIB
    if target != "-":
        assert image_formats().describe(tmp_path / target).size == (1024, 1024, VOLUME_MIB // 2)
