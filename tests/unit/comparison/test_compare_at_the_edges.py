"""Outputs are compared where images are broken, alike, or beside each other."""

import numpy as np

from tests.unit.images.test_pyramids import written
from xfworker.adapters.images.registry import image_formats
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.files import compare_files, compare_images
from xfworker.services.comparison.outputs import RecordedOutputs, compare_outputs
from xfworker.services.comparison.pixels import ArrayVolume, PixelDifference, compare_pixels


def test_a_broken_image_is_a_file_like_any_other_and_as_an_image_it_cannot_be_compared(tmp_path):
    formats = image_formats()
    for name in ("expected", "actual"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.omni").write_text("{")
    paths = [tmp_path / name / "a.omni" for name in ("expected", "actual")]
    assert compare_files(*paths, Tolerance(), formats) == []
    (found,) = compare_images(*paths, Tolerance(), formats)
    assert (found.path, found.message.startswith("cannot be compared as an image: ")) == ("a.omni", True)
    outputs = RecordedOutputs(values={}, units={}, files={"a.omni": paths[0]})
    assert compare_outputs(outputs, outputs, Tolerance(), formats) == []


def test_the_pixels_of_an_image_are_compared_with_it_and_not_once_more(tmp_path):
    formats, outputs = image_formats(), []
    for name, value in (("expected", 1), ("actual", 2)):
        (tmp_path / name).mkdir()
        path = written(tmp_path / name, np.full((2, 3, 4), value, np.int16))
        files = {"a.omni": path, "a.raw": path.with_suffix(".raw")}
        outputs.append(RecordedOutputs(values={}, units={}, files=files))
    (found,) = compare_outputs(*outputs, Tolerance(), formats)
    assert (found.path, "24 of 24 voxels differ" in found.message) == ("files['a.omni']", True)
    lacking = RecordedOutputs(values={}, units={}, files={"new.txt": tmp_path})
    paths = {(one.path, one.message) for one in compare_outputs(outputs[0], lacking, Tolerance(), formats)}
    assert paths == {
        ("files['a.omni']", "was not stored"),
        ("files['a.raw']", "was not stored"),
        ("files['new.txt']", "was not expected"),
    }


def test_voxels_that_are_the_same_within_the_tolerance_say_so():
    one = np.zeros((3, 2, 2), np.float64)
    found: PixelDifference = compare_pixels(ArrayVolume(one), ArrayVolume(one + 1e-9), Tolerance(absolute=1e-6))
    assert str(found) == "all 12 voxels are the same within the tolerance"


def test_the_largest_difference_is_named_even_where_a_smaller_one_comes_later():
    one = np.zeros((300, 100, 100), np.float64)
    other = one.copy()
    other[1, 2, 3], other[290, 5, 5] = 7.0, 3.0
    found = compare_pixels(ArrayVolume(one), ArrayVolume(other), Tolerance())
    assert (found.differing, found.largest) == (2, 7.0)
    assert sorted(found.largest_at) == [1, 2, 3]


def test_images_of_other_sizes_are_one_difference(tmp_path):
    paths = [written(tmp_path, np.zeros((depth, 3, 4), np.int16), f"{depth}.omni") for depth in (2, 3)]
    (found,) = compare_images(*paths, Tolerance(), image_formats(), path="image")
    assert (found.path, "3" in found.message) == ("image", True)
