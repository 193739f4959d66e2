import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xfworker.services.comparison import pixels
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.pixels import ArrayVolume, compare_pixels, compare_shapes

EXACT = Tolerance(relative=0)
VOLUMES = arrays.arrays(
    st.sampled_from([np.uint8, np.int16, np.float32]), arrays.array_shapes(min_dims=3, max_dims=3, max_side=5)
)


def compare(expected, actual, tolerance=EXACT):
    return compare_pixels(ArrayVolume(np.asarray(expected)), ArrayVolume(np.asarray(actual)), tolerance)


@given(VOLUMES)
def test_an_image_is_the_same_as_itself(volume):
    found = compare(volume, volume.copy())
    assert (found.differing, found.largest, found.largest_at, found.compared) == (0, 0.0, None, volume.size)


@given(arrays.arrays(np.int16, (3, 4, 5)), arrays.arrays(np.int16, (3, 4, 5)), st.integers(0, 1000))
def test_what_is_counted_is_what_numpy_counts(expected, actual, absolute):
    off = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
    found = compare(expected, actual, Tolerance(absolute=absolute, relative=0))
    assert found.differing == np.count_nonzero(off > absolute)
    assert found.mean == pytest.approx(off.mean())
    if found.differing:
        x, y, z = found.largest_at
        assert found.largest == off.max() == off[z, y, x]
        assert (found.expected, found.actual) == (expected[z, y, x], actual[z, y, x])


def test_one_wrong_voxel_is_found_in_axes_order_whatever_the_slabs(monkeypatch):
    expected = np.zeros((7, 5, 3), np.int16)
    actual = expected.copy()
    actual[4, 2, 1] = 9
    for slab_bytes, chunk in ((1, 4), (1000, 7), (1 << 24, 1 << 20)):
        monkeypatch.setattr(pixels, "SLAB_BYTES", slab_bytes)
        monkeypatch.setattr(pixels, "CHUNK_VOXELS", chunk)
        found = compare(expected, actual)
        assert (found.differing, found.largest_at, found.worst_slice) == (1, (1, 2, 4), 4)


def test_unsigned_and_signed_types_are_compared_by_value_without_wrapping():
    found = compare(np.array([[[0, 255]]], np.uint8), np.array([[[-1, 255]]], np.int16))
    assert (found.differing, found.largest) == (1, 1.0)


def test_large_whole_numbers_that_are_one_float_are_told_apart():
    assert compare(np.full((1, 1, 1), 2**60, np.int64), np.full((1, 1, 1), 2**60 + 1, np.int64)).differing == 1


def test_missing_numbers_are_the_same_only_as_each_other():
    expected = np.array([[[math.nan, 1.0, math.inf, 2.0]]])
    assert compare(expected, expected.copy()).differing == 0
    found = compare(expected, np.array([[[math.nan, math.nan, math.inf, 2.5]]]), Tolerance(absolute=1))
    assert (found.differing, found.largest, found.largest_at) == (1, math.inf, (1, 0, 0))
    assert found.figures()["largest_difference"] is None


def test_the_report_is_a_sentence():
    found = compare(np.zeros((2, 2, 2)), np.array([[[0, 0], [0, 0]], [[0, 3], [0, 0]]]))
    assert str(found) == (
        "1 of 8 voxels differ (12.5 %), at most by 3 at (x, y, z) = (1, 0, 1) (expected 0, got 3), on average by "
        "0.375; slice 1 differs most"
    )


def test_shapes_are_told_in_axes_order():
    left, right = ArrayVolume(np.zeros((4, 3, 2))), ArrayVolume(np.zeros((4, 3, 1)))
    assert str(compare_shapes(left, right, "a")) == "a: expected (2, 3, 4) voxels along (x, y, z), got (1, 3, 4)"
    assert compare_shapes(left, left, "a") is None
    with pytest.raises(ValueError, match="shapes differ"):
        compare_pixels(left, right, EXACT)
