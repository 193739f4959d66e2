"""Planes of any image, tile by tile, before and after its pyramid is there: what numpy gives."""

import itertools
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from xfworker.adapters.bricks.folder import BrickFolder
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.errors import ChecksumMismatch, NotEnoughSpace, ServerBusy, UsageError
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.pyramid import levels_of
from xfworker.services.images.bricks import RecentBricks
from xfworker.services.images.downsampling import shrunk
from xfworker.services.images.preparation import ImagePreparation
from xfworker.services.images.viewed_image import BRICKS, IMAGE, SAMPLED, TILE, ViewedImage, tiles_along

AXES = {"z": 0, "y": 1, "x": 2}


def written(folder: Path, voxels: np.ndarray, name: str = "a.omni", *, encoding=None, **fields) -> Path:
    axes = "XYZ"[: voxels.ndim]
    path = folder / name
    info = ImageInfo(
        path=path,
        format="OMNI",
        axes=axes,
        size=tuple(reversed(voxels.shape)),
        pixel_type=PixelType(str(voxels.dtype)),
        pixels_path=path,
        **fields,
    )
    with image_formats().writer(path, info, encoding=encoding) as writer:
        writer.write(voxels)
    return path


@contextmanager
def viewed(path: Path, cache: Path, *, limit: int = 1 << 40, key: str = "k"):
    reader = image_formats().reader(path)
    image = ViewedImage(reader, key, BrickFolder(cache, limit_bytes=limit), RecentBricks(1 << 20))
    try:
        yield image
    finally:
        image.close()


def prepared(image: ViewedImage) -> ViewedImage:
    image.sample(lambda: None)
    image.build(lambda _part: None)
    return image


def whole_plane(image: ViewedImage, source: str, axis: str, level: int, index: int) -> np.ndarray:
    size = dict(zip("xyz", image.levels[level].size, strict=True))
    down, right = (letter for letter in "zyx" if letter != axis)
    rows = [
        np.concatenate(
            [image.tile(source, axis, level, index, row, column) for column in range(tiles_along(size[right]))], axis=1
        )
        for row in range(tiles_along(size[down]))
    ]
    return np.concatenate(rows)


def random_voxels(shape: tuple[int, ...], code: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(code)
    if dtype.kind == "f":
        return rng.normal(0, 1000, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def expected_levels(voxels: np.ndarray, *, labels: bool = False) -> list[np.ndarray]:
    result = [voxels]
    levels = levels_of((voxels.shape[2], voxels.shape[1], voxels.shape[0]))
    for below, level in itertools.pairwise(levels):
        result.append(shrunk(result[-1], below.halving_to(level), is_labels=labels))
    return result


@pytest.mark.parametrize("code", [kind.code for kind in PixelType])
def test_every_plane_of_every_type_is_what_numpy_gives(tmp_path, code):
    voxels = random_voxels((67, 33, 300), code)
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        prepared(image)
        assert image.sources("x") == [BRICKS, BRICKS]
        for level, expected in enumerate(expected_levels(voxels)):
            for axis, number in AXES.items():
                for index in {0, expected.shape[number] // 2, expected.shape[number] - 1}:
                    got = whole_plane(image, BRICKS, axis, level, index)
                    np.testing.assert_array_equal(got, expected.take(index, axis=number))


def test_before_the_pyramid_is_there_planes_are_read_from_the_image_and_those_along_x_from_a_sample(tmp_path):
    voxels = random_voxels((70, 130, 600), "i2")
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        assert image.sources("z") == image.sources("y") == [IMAGE, IMAGE, IMAGE]
        assert image.sources("x") == [None, None, None]
        with pytest.raises(UsageError, match="no tiles of source"):
            image.tile(IMAGE, "x", 0, 300, 0, 0)
        image.sample(lambda: None)
        assert image.sources("x") == [None, None, SAMPLED]
        np.testing.assert_array_equal(whole_plane(image, IMAGE, "z", 0, 9), voxels[9])
        np.testing.assert_array_equal(whole_plane(image, IMAGE, "y", 0, 129), voxels[:, 129])
        np.testing.assert_array_equal(whole_plane(image, IMAGE, "y", 2, 30), voxels[:68:4, 120][:, :600:4])
        np.testing.assert_array_equal(whole_plane(image, SAMPLED, "x", 2, 100), voxels[:68:4, :128:4, 400])
        image.build(lambda _part: None)
        assert image.sources("x") == [BRICKS, BRICKS, BRICKS]
        # Who asked for the description a moment ago gets what it offered.
        np.testing.assert_array_equal(whole_plane(image, SAMPLED, "x", 2, 100), voxels[:68:4, :128:4, 400])
        np.testing.assert_array_equal(whole_plane(image, IMAGE, "y", 0, 129), voxels[:, 129])


def test_of_encoded_pixels_only_slices_along_z_are_shown_before_the_pyramid_is_there(tmp_path):
    voxels = (random_voxels((20, 90, 300), "u1") > 100).astype(np.int8) * 127
    path = written(tmp_path, voxels, "a.aim", encoding="binCmp")
    with viewed(path, tmp_path / "cache") as image:
        assert image.sources("y") == [None, None]
        np.testing.assert_array_equal(whole_plane(image, IMAGE, "z", 0, 19), voxels[19])
        image.sample(lambda: None)
        np.testing.assert_array_equal(whole_plane(image, SAMPLED, "y", 1, 5), voxels[:20:2, 10][:, :300:2])


@pytest.mark.parametrize("name", ["a.omni", "a.nii.gz"])
def test_flat_images_have_one_slice_and_no_planes_across_it(tmp_path, name):
    voxels = random_voxels((270, 300), "u2")
    with viewed(written(tmp_path, voxels, name), tmp_path / "cache") as image:
        prepared(image)
        assert image.sources("x") == [None, None]
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "z", 0, 0), voxels)
        for axis, source in (("x", SAMPLED), ("x", BRICKS), ("y", IMAGE), ("y", BRICKS)):
            with pytest.raises(UsageError, match=f"no tiles of source '{source}' across {axis}"):
                image.tile(source, axis, len(image.levels) - 1, 0, 0, 0)


def test_an_interrupted_pyramid_goes_on_behind_its_last_complete_layer(tmp_path):
    voxels = random_voxels((200, 70, 300), "i2")
    path = written(tmp_path, voxels)

    class Interrupted(Exception):
        pass

    def until_half(part):
        if part > 0.5:
            raise Interrupted

    with viewed(path, tmp_path / "cache") as image, pytest.raises(Interrupted):
        image.build(until_half)
    layers = sorted((tmp_path / "cache").rglob("*.bricks"))
    assert layers
    times = {layer: layer.stat().st_mtime_ns for layer in layers}
    with viewed(path, tmp_path / "cache") as image:
        image.build(lambda _part: None)
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 0, 299), voxels[:, :, 299])
    assert {layer: layer.stat().st_mtime_ns for layer in layers} == times
    assert not list((tmp_path / "cache").rglob(".xfpart-*"))


def test_building_says_after_each_piece_of_work_which_part_is_done(tmp_path):
    parts = []
    with viewed(written(tmp_path, random_voxels((130, 70, 300), "u1")), tmp_path / "cache") as image:
        image.build(lambda part: parts.append((part, image.progress, image.state)))
        assert (image.progress, image.state) == (1.0, "complete")
    # Of each of three layers two rows of bricks; behind the second layer the coarse one that it completes.
    expected = [64 / 210, 1 / 3, 134 / 210, 2 / 3, 2 / 3, 204 / 210, 1.0, 1.0]
    assert [part for part, *_ in parts] == pytest.approx(expected)
    assert all((part, "building") == (progress, state) for part, progress, state in parts)


def test_a_damaged_brick_is_never_shown_and_is_made_anew(tmp_path):
    voxels = random_voxels((64, 64, 64), "i2")
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        prepared(image)
        (layer,) = (tmp_path / "cache" / "k" / "0").iterdir()
        data = bytearray(layer.read_bytes())
        data[-1] ^= 1
        layer.write_bytes(data)
        with pytest.raises(ServerBusy, match="is being prepared"):
            image.tile(BRICKS, "x", 0, 0, 0, 0)
        assert (image.state, image.progress) == ("waiting", 0.0)
        assert not layer.exists()
        image.build(lambda _part: None)
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 0, 5), voxels[:, :, 5])


def test_a_layer_that_is_cut_short_is_damaged(tmp_path):
    store = BrickFolder(tmp_path, limit_bytes=1 << 30).pyramid("k")
    store.write_layer("0", 0, 2, iter([np.arange(64, dtype="i2"), np.full(64, 7, "i2")]))
    assert np.frombuffer(store.read_brick("0", 0, 0), "<i2").tolist() == list(range(64))
    assert np.frombuffer(store.read_brick("0", 0, 1), "<i2").tolist() == [7]
    (layer,) = (tmp_path / "k" / "0").iterdir()
    with layer.open("r+b") as file:
        file.truncate(70)
    with pytest.raises(ChecksumMismatch, match="made anew"):
        store.read_brick("0", 0, 0)


def test_pyramids_used_longest_ago_make_room_for_another(tmp_path):
    store = BrickFolder(tmp_path, limit_bytes=2500)
    for age, key in enumerate(["new", "middle", "old"]):
        store.pyramid(key).write_layer("0", 0, 1, iter([np.arange(500, dtype="u2")]))
        os.utime(tmp_path / key / "used", (1e9 - age, 1e9 - age))
    assert store.make_room("next", 5000) == 2500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["middle", "new", "old"]
    assert store.make_room("next", 900) == 900
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_without_room_for_all_levels_the_finest_are_left_to_the_image(tmp_path):
    voxels = random_voxels((66, 66, 600), "i2")
    path = written(tmp_path, voxels)
    levels = expected_levels(voxels)
    with viewed(path, tmp_path / "cache", limit=voxels.nbytes // 2) as image:
        prepared(image)
        assert image.sources("z") == [IMAGE, BRICKS, BRICKS]
        assert image.sources("x") == [None, BRICKS, BRICKS]
        assert [image.has_chunks(level) for level in range(3)] == [True, True, True]
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 1, 7), levels[1][:, :, 7])
    made = {layer: layer.stat().st_mtime_ns for layer in (tmp_path / "cache").rglob("*.bricks")}
    with viewed(path, tmp_path / "cache") as image:
        prepared(image)
        assert image.sources("x") == [BRICKS, BRICKS, BRICKS]
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 2, 7), levels[2][:, :, 7])
    layers = {layer: layer.stat().st_mtime_ns for layer in (tmp_path / "cache").rglob("*.bricks")}
    finest = {layer for layer in layers if layer not in made}
    assert len(finest) == 2, "the layers of the finest level alone"
    assert {layer: layers[layer] for layer in made} == made, "what was there need not be made again"


def test_a_level_that_is_made_of_the_image_at_once_is_not_taken_for_one_made_in_steps(tmp_path):
    voxels = random_voxels((8, 8, 600), "u1")
    path = written(tmp_path, voxels)
    steps, at_once = expected_levels(voxels)[2][:, :, 7], shrunk(voxels, (4, 4, 4), is_labels=False)[:, :, 7]
    assert not np.array_equal(steps, at_once)
    with viewed(path, tmp_path / "cache", limit=2 * 2 * 150) as image:
        prepared(image)
        assert image.sources("x") == [None, None, "bricks-2"]
        np.testing.assert_array_equal(whole_plane(image, "bricks-2", "x", 2, 7), at_once)
    with viewed(path, tmp_path / "cache") as image:
        prepared(image)
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 2, 7), steps)


def test_a_sample_is_taken_slice_by_slice_of_all_layers_and_offered_when_it_is_complete(tmp_path):
    voxels = random_voxels((140, 2, 300), "i2")
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        assert (image.state, image.progress, image.reason) == ("waiting", 0.0, None)
        with pytest.raises(UsageError, match="no tiles of source 'sampled'"):
            image.tile(SAMPLED, "x", 1, 0, 0, 0)
        with pytest.raises(ZeroDivisionError):
            image.sample(lambda: 1 / 0)
        pauses = []
        image.sample(lambda: pauses.append(1))
        assert len(pauses) == 70
        np.testing.assert_array_equal(whole_plane(image, SAMPLED, "x", 1, 5), voxels[::2, ::2, 10])
        with pytest.raises(UsageError, match="no tiles of source 'sampled'"):
            image.tile(SAMPLED, "x", 0, 0, 0, 0)


def test_the_first_window_is_that_of_the_middle_slice(tmp_path):
    slices = [np.linspace(1000 * z, 1000 * z + 200, 300).astype(np.int16) for z in range(5)]
    with viewed(written(tmp_path, np.stack(slices)[:, None].repeat(2, axis=1)), tmp_path / "cache") as image:
        window = image.window()
        low, high = np.percentile(slices[2][::2], (0.5, 99.5))
        assert (window.low, window.high) == (pytest.approx(low), pytest.approx(high))
        assert image.window() is window
    with viewed(
        written(tmp_path, np.ones((1, 2, 3), np.uint8), "s.omni", kind="segments"), tmp_path / "cache"
    ) as image:
        assert image.window() is None


def test_without_room_for_any_level_the_reason_is_said(tmp_path):
    voxels = random_voxels((10, 10, 300), "i2")
    with (
        viewed(written(tmp_path, voxels), tmp_path / "cache", limit=10) as image,
        pytest.raises(NotEnoughSpace, match="may have 10"),
    ):
        image.build(lambda _part: None)


def test_chunks_are_cubes_of_the_levels_and_raw_images_have_the_finest_at_once(tmp_path):
    voxels = random_voxels((70, 65, 300), "u2")
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        np.testing.assert_array_equal(image.chunk(0, 1, 0, 4), voxels[64:, :64, 256:])
        with pytest.raises(ServerBusy, match="is being prepared"):
            image.chunk(1, 0, 0, 0)
        prepared(image)
        np.testing.assert_array_equal(image.chunk(0, 1, 1, 4), voxels[64:, 64:, 256:])
        np.testing.assert_array_equal(image.chunk(1, 0, 0, 2), expected_levels(voxels)[1][:, :, 128:])
        with pytest.raises(UsageError, match="no chunk"):
            image.chunk(0, 2, 0, 0)


def test_a_tile_beyond_a_plane_is_refused(tmp_path):
    voxels = random_voxels((5, 6, TILE), "u1")
    with viewed(written(tmp_path, voxels), tmp_path / "cache") as image:
        for index, row, column in ((5, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)):
            with pytest.raises(UsageError, match="has no tile"):
                image.tile(IMAGE, "z", 0, index, row, column)
        with pytest.raises(UsageError, match="levels 0 to 0"):
            image.tile(IMAGE, "z", 1, 0, 0, 0)


class FullForNow(BrickFolder):
    """A folder on a disk that is full until there is room."""

    has_room = False

    def make_room(self, key, byte_count):
        return super().make_room(key, byte_count) if self.has_room else 10


def test_an_image_that_failed_says_why_and_is_prepared_once_more_when_somebody_looks_again(tmp_path):
    voxels = random_voxels((10, 10, 300), "i2")
    preparation = ImagePreparation()
    store = FullForNow(tmp_path / "cache", limit_bytes=1 << 30)
    image = ViewedImage(image_formats().reader(written(tmp_path, voxels)), "k", store, RecentBricks(1 << 20))
    preparation.prepare(image)
    while not image.is_prepared:
        time.sleep(0.005)  # a thread of its own prepares
    assert image.state == "failed"
    assert "may have 10" in image.reason
    assert image.sources("z") == [IMAGE, IMAGE], "what does not need the pyramid is still shown"
    store.has_room = True
    preparation.try_again(image)
    while not image.is_prepared:
        time.sleep(0.005)
    assert (image.state, image.reason) == ("complete", None)
    preparation.close()
    image.close()


def test_closing_ends_a_preparation_that_goes_on_with_the_next_server(tmp_path):
    voxels = random_voxels((200, 70, 300), "i2")
    path = written(tmp_path, voxels)
    preparation = ImagePreparation()
    with viewed(path, tmp_path / "cache") as image:
        preparation.prepare(image)
        preparation.close()
        preparation.prepare(image)
        assert image.state != "complete" or image.progress == 1.0
    with viewed(path, tmp_path / "cache") as image:
        prepared(image)
        np.testing.assert_array_equal(whole_plane(image, BRICKS, "x", 0, 299), voxels[:, :, 299])
