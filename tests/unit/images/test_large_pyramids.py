"""Pyramids of volumes of any size and of large ones: the same values, in little memory, from little that is read."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.images.test_pyramids import AXES, expected_levels, prepared, random_voxels, viewed, whole_plane, written
from xfworker.services.images.viewed_image import BRICKS, IMAGE


@given(
    shape=st.tuples(st.integers(1, 140), st.integers(1, 140), st.integers(1, 700)),
    code=st.sampled_from(["u1", "i2", "f4"]),
    is_encoded=st.booleans(),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pyramids_of_any_size_are_those_of_numpy(tmp_path_factory, shape, code, is_encoded):
    folder = tmp_path_factory.mktemp("any")
    if is_encoded:
        voxels = (random_voxels(shape, "u1") > 200).astype(np.int8) * 127
        path = written(folder, voxels, "a.aim", encoding="binCmp")
    else:
        voxels = random_voxels(shape, code)
        path = written(folder, voxels)
    with viewed(path, folder / "cache") as image:
        prepared(image)
        labels = image.info.kind == "segments"
        for level, expected in enumerate(expected_levels(voxels, labels=labels)):
            for axis, number in AXES.items():
                index = expected.shape[number] // 2
                got = whole_plane(image, BRICKS, axis, level, index)
                np.testing.assert_array_equal(got, expected.take(index, axis=number))


@pytest.mark.limit_memory("60 MB")
def test_the_memory_of_building_does_not_grow_with_the_volume(tmp_path):
    shape = (256, 512, 512)
    pixels = tmp_path / "a.raw"
    path = written(tmp_path, np.zeros((1, 512, 512), np.int16))
    document = json.loads(path.read_text())
    document["size"] = list(reversed(shape))
    path.write_text(json.dumps(document))
    with pixels.open("r+b") as file:
        file.truncate(2 * 256 * 512 * 512)
        for z in range(0, 256, 16):
            file.seek(z * 512 * 512 * 2)
            file.write(np.full(1000, z, np.int16).tobytes())
    with viewed(path, tmp_path / "cache") as image:
        prepared(image)
        assert image.tile(BRICKS, "x", 0, 3, 0, 0)[:256:16, 0].tolist() == list(range(0, 256, 16))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux says how much a process has read")
def test_of_a_volume_of_60_gib_little_is_read_before_its_pyramid_is_there(tmp_path):
    path = written(tmp_path, np.zeros((1, 8, 8), np.int16))
    document = json.loads(path.read_text())
    document["size"] = [3200, 3200, 3146]
    path.write_text(json.dumps(document))
    with (tmp_path / "a.raw").open("r+b") as file:
        file.truncate(2 * 3200 * 3200 * 3146)

    def bytes_read():
        return int(Path("/proc/self/io").read_text().split()[1])

    before = bytes_read()
    with viewed(path, tmp_path / "cache") as image:
        image.sample(lambda: None)
        for axis in "zyx":
            level = len(image.levels) - 1
            assert not whole_plane(image, image.sources(axis)[level], axis, level, 100).any()
        assert image.tile(IMAGE, "y", 0, 1600, 12, 12).shape == (74, 128)
    assert bytes_read() - before < 1 << 30
