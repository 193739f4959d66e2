"""An image moved onto another one: between the voxels of a ramp every value is known."""

from contextlib import contextmanager

import numpy as np
import pytest

from tests.unit.images.test_pyramids import prepared, viewed, written
from xfworker.domain.errors import UsageError
from xfworker.services.images.registered_image import MOVED, RegisteredImage, matrix_of

IDENTITY = tuple(np.eye(4).ravel())
ANGLE = np.radians(20)
TURNED = np.array(
    [
        [np.cos(ANGLE), -np.sin(ANGLE), 0, 3.0],
        [np.sin(ANGLE), np.cos(ANGLE), 0.1, -2.0],
        [0, 0.05, 1.02, 1.5],
        [0, 0, 0, 1],
    ]
)
SPACING, ORIGIN = (0.5, 0.4, 0.8), (4.0, -3.0, 2.0)
RAMP = np.array([2.0, 3.0, 5.0])


def ramp(shape):
    z, y, x = np.indices(shape)
    return (RAMP[0] * x + RAMP[1] * y + RAMP[2] * z).astype(np.float32)


@contextmanager
def registered(folder, transform, *, shape=(70, 150, 160), fixed_shape=(40, 140, 300), **fields):
    moving = written(
        folder, fields.pop("voxels", ramp(shape)), "m.omni", spacing_mm=SPACING, origin_mm=ORIGIN, **fields
    )
    fixed = written(folder, np.zeros(fixed_shape, np.int16), "f.omni", spacing_mm=(0.3, 0.3, 0.9), origin_mm=(1, 2, 3))
    with viewed(fixed, folder / "cache", key="f") as below, viewed(moving, folder / "cache", key="m") as above:
        yield RegisteredImage(prepared(below), prepared(above), transform)


def expected(image, transform, axis, level, index, shape):
    """Give what a tile from the corner of a plane has, by places in mm."""
    factors = np.array(image.fixed.levels[level].factors)
    down, right = {"z": (1, 0), "y": (2, 0), "x": (2, 1)}[axis]
    voxels = np.zeros((*shape, 3))
    voxels[..., "xyz".index(axis)] = index
    voxels[..., down], voxels[..., right] = np.indices(shape)
    mm = ((voxels + 0.5) * factors - 0.5) * image.fixed.info.spacing_mm + image.fixed.info.origin_mm
    inverse = np.linalg.inv(np.reshape(transform, (4, 4)))
    own = (mm @ inverse[:3, :3].T + inverse[:3, 3] - ORIGIN) / SPACING
    size = np.array(image.moving.info.size_3d)
    values = np.clip(own, 0, size - 1) @ RAMP
    values[((own <= -0.5) | (own >= size - 0.5)).any(axis=-1)] = np.nan
    return values


@pytest.mark.parametrize("transform", [IDENTITY, tuple(TURNED.ravel())], ids=["in place", "turned"])
@pytest.mark.parametrize(("axis", "index"), [("z", 20), ("y", 66), ("x", 130)])
def test_a_tile_has_the_moving_values_at_the_fixed_voxels(tmp_path, transform, axis, index):
    with registered(tmp_path, transform) as image:
        assert image.sources(axis)[0] == MOVED
        tile = image.tile(MOVED, axis, 0, index, 0, 0)
        known = expected(image, transform, axis, 0, index, tile.shape)
        assert tile.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(tile), np.isnan(known))
        assert np.isnan(tile).mean() < 0.9
        np.testing.assert_allclose(tile, known, rtol=1e-5, atol=1e-3)


def test_the_second_tile_goes_on_where_the_first_ends(tmp_path):
    with registered(tmp_path, IDENTITY) as image:
        first, second = (image.tile(MOVED, "z", 0, 9, 0, column) for column in (0, 1))
        assert (first.shape, second.shape) == ((140, 256), (140, 44))
        step = 0.3 / SPACING[0] * RAMP[0]
        np.testing.assert_allclose(second[:, 0] - first[:, -1], step, atol=1e-3)


def test_a_coarse_level_has_the_values_at_the_middles_of_its_voxels(tmp_path):
    with registered(tmp_path, IDENTITY, fixed_shape=(16, 80, 600), shape=(24, 100, 600)) as image:
        assert len(image.fixed.levels) > 2
        tile = image.tile(MOVED, "z", 2, 3, 0, 0)
        known = expected(image, IDENTITY, "z", 2, 3, tile.shape)
        there = ~np.isnan(tile) & ~np.isnan(known)
        assert there.mean() > 0.5
        # At the very rim a coarse voxel stands for what lies on both sides of it.
        there[:3] = there[-3:] = there[:, :3] = there[:, -3:] = False
        inner = there & np.roll(there, 3, 0) & np.roll(there, -3, 0) & np.roll(there, 3, 1) & np.roll(there, -3, 1)
        np.testing.assert_allclose(tile[inner], known[inner], atol=1e-2)


def test_segments_keep_their_labels(tmp_path):
    voxels = np.random.default_rng(1).integers(0, 5, (70, 150, 160)).astype(np.uint8)
    with registered(tmp_path, tuple(TURNED.ravel()), voxels=voxels, kind="segments") as image:
        tile = image.tile(MOVED, "z", 0, 20, 0, 0)
        assert set(np.unique(tile[~np.isnan(tile)])) == {0, 1, 2, 3, 4}


@contextmanager
def same_grid(folder, voxels, shift=(0.0, 0.0, 0.0), *, step=1.0, fixed_shape=None, ready=True, **fields):
    """Give an image moved by a part of its voxels, on a grid whose voxels are ``step`` times as large."""
    moving = written(folder, voxels, "m.omni", spacing_mm=(0.5, 0.5, 0.5), **fields)
    fixed = written(folder, np.zeros(fixed_shape or voxels.shape, np.uint8), "f.omni", spacing_mm=(0.5 * step,) * 3)
    transform = np.eye(4)
    transform[:3, 3] = np.multiply(shift, 0.5)
    with viewed(fixed, folder / "cache", key="f") as below, viewed(moving, folder / "cache", key="m") as above:
        if ready:
            prepared(above)
        yield RegisteredImage(below, above, tuple(transform.ravel()))


@pytest.mark.parametrize(
    ("shift", "by"), [((0.4, -0.4, 0.3), (0, 0, 0)), ((0.6, 0, 0), (0, 0, 1)), ((0, 0.6, 0.7), (1, 1, 0))]
)
def test_of_segments_the_nearest_voxel_counts(tmp_path, shift, by):
    labels = np.random.default_rng(3).integers(0, 200, (5, 6, 7)).astype(np.uint8)
    with same_grid(tmp_path, labels, shift, kind="segments") as image:
        for z in range(1, 5):
            tile = image.tile(MOVED, "z", 0, z, 0, 0)
            np.testing.assert_array_equal(tile[1:, 1:], labels[z - by[0], 1 - by[1] : 6 - by[1], 1 - by[2] : 7 - by[2]])


def test_what_is_not_a_number_stays_where_it_is(tmp_path):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    voxels[1, 2, 3] = np.nan
    with same_grid(tmp_path, voxels) as image:
        for z in range(3):
            np.testing.assert_array_equal(image.tile(MOVED, "z", 0, z, 0, 0), voxels[z])


def test_the_second_row_of_tiles_goes_on_where_the_first_ends(tmp_path):
    voxels = ramp((1, 300, 4))
    with same_grid(tmp_path, voxels) as image:
        np.testing.assert_allclose(image.tile(MOVED, "z", 0, 0, 1, 0), voxels[0, 256:])


def test_a_rim_of_half_a_voxel_has_the_value_of_the_voxel(tmp_path):
    with same_grid(tmp_path, np.arange(5, dtype=np.float32).reshape(1, 1, 5), (-0.25, 0, 0)) as image:
        assert image.tile(MOVED, "z", 0, 0, 0, 0).tolist() == [[0.25, 1.25, 2.25, 3.25, 4.0]]
    for shift, known in ((0.5, [np.nan, 0.5, 1.5, 2.5, 3.5]), (-0.5, [0.5, 1.5, 2.5, 3.5, np.nan])):
        (folder := tmp_path / str(shift)).mkdir()
        with same_grid(folder, np.arange(5, dtype=np.float32).reshape(1, 1, 5), (shift, 0, 0)) as image:
            np.testing.assert_array_equal(image.tile(MOVED, "z", 0, 0, 0, 0), [known])


@pytest.mark.parametrize(("step", "is_coarse"), [(1.3, False), (4 / 3, True), (2.7, True)])
def test_of_small_voxels_the_means_are_taken_that_are_as_large_as_the_fixed_ones(tmp_path, step, is_coarse):
    z, y, x = np.indices((4, 4, 600))
    chess = ((x + y + z) % 2 * 2 - 1).astype(np.float32)
    with same_grid(tmp_path, chess, step=step, fixed_shape=(2, 2, 200)) as image:
        tile = image.tile(MOVED, "z", 0, 1, 0, 0)
        assert (not tile[np.isfinite(tile)].any()) == is_coarse
        assert image.sources("z") == [MOVED]
    with same_grid(tmp_path / "cache", chess, step=step, fixed_shape=(2, 2, 300), ready=False) as image:
        assert image.sources("z") == [None if is_coarse else MOVED, None]


def test_axes_that_are_nearly_in_one_plane_cannot_be_undone():
    def matrix(height, scale=1.0):
        return (scale, scale, 0, 0, 0, scale * height, 0, 0, 0, 0, scale, 0, 0, 0, 0, 1)

    for scale in (1e-4, 1.0, 1e4):
        assert matrix_of(matrix(2e-6, scale)).shape == (4, 4)
        with pytest.raises(UsageError, match="cannot be undone"):
            matrix_of(matrix(0.9e-6, scale))


def test_another_transformation_has_another_key(tmp_path):
    with registered(tmp_path, IDENTITY, shape=(4, 4, 4), fixed_shape=(4, 4, 4)) as one:
        other = RegisteredImage(one.fixed, one.moving, tuple(TURNED.ravel()))
        again = RegisteredImage(one.fixed, one.moving, IDENTITY)
        turned = RegisteredImage(one.moving, one.fixed, IDENTITY)
        assert one.key == again.key
        assert len({one.key, other.key, turned.key}) == 3
        assert set(one.key) <= set("0123456789abcdef")
        assert len(one.key) == 32


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1.0,) * 12, "16 finite numbers"),
        ((*IDENTITY[:15], float("nan")), "16 finite numbers"),
        ((*IDENTITY[:12], 0, 0, 1, 1), "ends with the row"),
        ((1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1), "cannot be undone"),
        ((0,) * 15 + (1,), "cannot be undone"),
    ],
)
def test_what_is_not_a_transformation_is_refused(tmp_path, numbers, said):
    with pytest.raises(UsageError, match=said), registered(tmp_path, numbers, shape=(4, 4, 4), fixed_shape=(4, 4, 4)):
        pass


def test_tiles_that_are_not_there_are_refused(tmp_path):
    with registered(tmp_path, IDENTITY, shape=(4, 4, 4), fixed_shape=(3, 4, 5)) as image:
        assert image.tile(MOVED, "x", 0, 4, 0, 0).shape == (3, 4)
        for place in (
            ("bricks", "z", 0, 0, 0, 0), (MOVED, "z", 1, 0, 0, 0), (MOVED, "z", -1, 0, 0, 0), (MOVED, "z", 0, 3, 0, 0),
            (MOVED, "z", 0, -1, 0, 0), (MOVED, "x", 0, 5, 0, 0), (MOVED, "z", 0, 0, 1, 0), (MOVED, "z", 0, 0, 0, 1),
            (MOVED, "z", 0, 0, -1, 0), (MOVED, "z", 0, 0, 0, -1),
        ):  # fmt: skip
            with pytest.raises(UsageError, match="has no tile"):
                image.tile(*place)
