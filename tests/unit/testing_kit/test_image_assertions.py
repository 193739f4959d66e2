import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from xfworker.api.facade.omni import create_image
from xfworker.domain.errors import UsageError
from xfworker.testing import assert_same_image


def saved(path, array, **options):
    image = create_image(path, size=array.shape[::-1], pixel_type=str(array.dtype), **options)
    image.pixels = array
    image.save()
    return image


ARRAY = np.arange(120, dtype=np.int16).reshape(4, 5, 6)


def test_arrays_images_and_files_of_the_same_voxels_are_the_same(tmp_path):
    image = saved(tmp_path / "a.omni", ARRAY)
    forms = (ARRAY, ARRAY.astype(np.float64), image, image.metadata_path, str(image.metadata_path))
    for actual in forms:
        for expected in forms:
            assert_same_image(actual, expected)


def test_a_difference_is_told_and_shown(tmp_path):
    wrong = ARRAY.copy()
    wrong[2, 3, 4] += 7
    with pytest.raises(AssertionError, match=re.escape("at most by 7 at (x, y, z) = (4, 3, 2)")) as caught:
        assert_same_image(wrong, ARRAY, pictures=tmp_path / "pictures")
    path = Path(re.search(r"see (\S+\.png)", str(caught.value))[1])
    assert (path.name, tmp_path / "pictures" in path.parents) == ("slice-2.png", True)
    with Picture.open(path) as picture:
        pixels = np.asarray(picture)
    red = (pixels == (255, 32, 32)).all(axis=-1)
    scale = pixels.shape[0] // 5
    assert red.sum() == scale**2
    top, left = (int(places.min()) for places in np.nonzero(red))
    gaps = 2 * 8  # which do not grow with the voxels
    assert ((left - gaps) // scale - 2 * 6, top // scale) == (4, 3)
    assert pixels.shape[1] == 3 * 6 * scale + gaps


def test_what_the_tolerance_allows_is_no_difference(tmp_path):
    assert_same_image(ARRAY + 1, ARRAY, absolute=1)
    assert_same_image(ARRAY * 1.001, ARRAY, relative=0.01)
    with pytest.raises(AssertionError, match="119 of 120 voxels"):
        assert_same_image(ARRAY * 1.001, ARRAY, pictures=tmp_path)


def test_geometry_counts_between_files(tmp_path):
    one = saved(tmp_path / "a.omni", ARRAY, spacing_mm=(0.1, 0.1, 0.1))
    other = saved(tmp_path / "b.omni", ARRAY, spacing_mm=(0.1, 0.1, 0.2))
    with pytest.raises(AssertionError, match=r"image\.spacing_mm\[2\]: expected 0\.1, got 0\.2"):
        assert_same_image(other, one)
    assert_same_image(other, ARRAY)


def test_another_shape_is_told_in_axes_order():
    with pytest.raises(AssertionError, match=re.escape("expected (6, 5, 4) voxels along (x, y, z), got (6, 5, 3)")):
        assert_same_image(ARRAY[:3], ARRAY)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4, 5)])
def test_pictures_can_be_made_of_any_number_of_axes(shape, tmp_path):
    with pytest.raises(AssertionError, match=r"see .*\.png"):
        assert_same_image(np.ones(shape), np.zeros(shape), pictures=tmp_path)


def test_missing_numbers_are_shown_as_well(tmp_path):
    wrong = ARRAY.astype(float)
    wrong[0, 0, 0] = np.nan
    with pytest.raises(AssertionError, match="1 of 120 voxels"):
        assert_same_image(wrong, ARRAY, pictures=tmp_path)


def test_what_is_no_image_is_refused():
    with pytest.raises(UsageError, match="list"):
        assert_same_image([["a"]], ARRAY)
