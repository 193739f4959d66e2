"""Outputs are compared where images are broken, alike, or beside each other."""

import numpy as np
import pytest
from attrs import evolve

from tests.unit.images.test_pyramids import written
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.files import compare_descriptions, compare_files, compare_images
from xfworker.services.comparison.outputs import RecordedOutputs, compare_outputs, neutral_outputs
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
    whole = written(tmp_path, np.zeros((2, 3, 4), np.int16), "b.omni")
    files = {"a.omni": paths[0], "b.omni": whole, "b.raw": whole.with_suffix(".raw")}
    one, other = ({**files, "b.raw": path} for path in (whole.with_suffix(".raw"), paths[0]))
    recorded = (RecordedOutputs(values={}, files=names) for names in (one, other))
    assert compare_outputs(*recorded, Tolerance(), formats) == []


def test_the_pixels_of_an_image_are_compared_with_it_and_not_once_more(tmp_path):
    formats, outputs = image_formats(), []
    for name, value in (("expected", 1), ("actual", 2)):
        (tmp_path / name).mkdir()
        path = written(tmp_path / name, np.full((2, 3, 4), value, np.int16))
        (tmp_path / name / "a.csv").write_text("1\n")
        files = {"a.csv": tmp_path / name / "a.csv", "a.omni": path, "a.raw": path.with_suffix(".raw")}
        outputs.append(RecordedOutputs(values={}, units={}, files=files))
    (found,) = compare_outputs(*outputs, Tolerance(), formats)
    assert (found.path, "24 of 24 voxels differ" in found.message) == ("files['a.omni']", True)
    lacking = RecordedOutputs(values={}, units={}, files={"new.txt": tmp_path})
    paths = {(one.path, one.message) for one in compare_outputs(outputs[0], lacking, Tolerance(), formats)}
    assert paths == {
        ("files['a.csv']", "was not stored"),
        ("files['a.omni']", "was not stored"),
        ("files['a.raw']", "was not stored"),
        ("files['new.txt']", "was not expected"),
    }


def test_values_and_units_are_compared_each_under_its_name():
    one, other = (RecordedOutputs(values={"bvtv": value}, units={"bvtv": unit}) for value, unit in ((1, "%"), (2, "1")))
    assert [found.path for found in compare_outputs(one, other, Tolerance(), image_formats())] == [
        "outputs.bvtv",
        "units.bvtv",
    ]


def test_outputs_are_neutral_where_they_hold_the_serials_of_files_and_nowhere_else():
    outputs = {
        "mask": {"source": "job_result", "job_serial": 7, "filename": "a.omni", "count": 7},
        "others": [{"source": "job_result", "job_serial": 8}, {"source": "task_config", "task_serial": 7}],
        "none": {"source": "job_result", "job_serial": None},
        "count": 7,
    }
    assert neutral_outputs(outputs, 7) == {
        "mask": {"source": "job_result", "job_serial": "this job", "filename": "a.omni", "count": 7},
        "others": [
            {"source": "job_result", "job_serial": "another record"},
            {"source": "task_config", "task_serial": "another record"},
        ],
        "none": {"source": "job_result", "job_serial": None},
        "count": 7,
    }


def test_what_is_said_of_images_is_compared_by_its_names(tmp_path):
    one = ImageInfo(
        path=tmp_path / "a.omni", format="OMNI", size=(4, 3, 2), pixel_type=PixelType.INT16, pixels_path=tmp_path / "a"
    )
    other = evolve(
        one,
        kind="segments",
        axes="XYT",
        pixel_type=PixelType.UINT8,
        spacing_mm=(1.0, 1.0, 2.0),
        origin_mm=(0.0, 1.0, 0.0),
        calibrations=(Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=2.0, intercept=1.0),),
        labels=({"value": 1, "name": "bone"},),
    )
    assert [found.path for found in compare_descriptions(one, other, Tolerance(), "image")] == [
        "image.kind",
        "image.axes",
        "image.pixel_type",
        "image.spacing_mm[2]",
        "image.origin_mm[1]",
        "image.calibrations.Density",
        "image.labels",
    ]
    assert compare_descriptions(one, evolve(one, path=tmp_path / "b.aim", format="AIM"), Tolerance(), "image") == []


def test_voxels_that_are_the_same_within_the_tolerance_say_so():
    one = np.zeros((3, 2, 2), np.float64)
    found: PixelDifference = compare_pixels(ArrayVolume(one), ArrayVolume(one + 1e-9), Tolerance(absolute=1e-6))
    assert str(found) == "all 12 voxels are the same within the tolerance"


def test_the_largest_difference_is_named_even_where_a_smaller_one_comes_later():
    one = np.zeros((300, 100, 100), np.float64)
    other = one.copy()
    for values, largest_at in (((7.0, 3.0), (3, 2, 1)), ((3.0, 7.0), (5, 4, 290)), ((7.0, 7.0), (3, 2, 1))):
        other[1, 2, 3], other[290, 4, 5] = values
        found = compare_pixels(ArrayVolume(one), ArrayVolume(other), Tolerance())
        assert (found.differing, found.largest, found.largest_at) == (2, 7.0, largest_at)


def test_a_difference_of_voxels_is_said_and_given_in_figures():
    one = np.array([[0.0, 0.0], [1.0, 2.0]])
    found = compare_pixels(ArrayVolume(one), ArrayVolume(np.array([[0.0, 0.0], [4.0, 4.0]])), Tolerance())
    assert str(found) == (
        "2 of 4 voxels differ (50 %), at most by 3 at (x, y, z) = (0, 1) (expected 1, got 4), on average by 1.25; "
        "slice 1 differs most"
    )
    assert found.figures() == {
        "voxels_compared": 4,
        "voxels_differing": 2,
        "largest_difference": 3.0,
        "largest_difference_at": [0, 1],
        "mean_difference": 1.25,
        "worst_slice": 1,
    }
    same = compare_pixels(ArrayVolume(one), ArrayVolume(one), Tolerance()).figures()
    assert (same["largest_difference"], same["largest_difference_at"]) == (0.0, None)


@pytest.mark.parametrize(
    ("expected", "actual"), [(np.inf, 1.0), (1.0, np.inf), (-np.inf, np.inf), (np.nan, 1.0), (1.0, np.nan)]
)
def test_what_is_no_number_differs_from_each_number_whatever_the_tolerance_and_counts_in_no_mean(expected, actual):
    one, other = np.array([expected, 1.0, 1.0]), np.array([actual, 3.0, 1.0])
    found = compare_pixels(ArrayVolume(one), ArrayVolume(other), Tolerance(absolute=10, relative=1))
    assert (found.differing, found.largest, found.largest_at, found.mean) == (1, np.inf, (0,), 1.0)
    assert found.figures()["largest_difference"] is None
    alone = compare_pixels(ArrayVolume(one[:1]), ArrayVolume(other[:1]), Tolerance())
    assert (alone.differing, alone.mean) == (1, 0.0)


def test_large_images_are_read_in_slabs_of_some_16_mib():
    read = []

    class Large:
        shape = (1025, 32, 64)

        def read(self, start, stop):
            read.append((start, stop))
            return np.zeros((stop - start, 32, 64), np.uint8)

    assert compare_pixels(Large(), Large(), Tolerance()).differing == 0
    assert read == [(0, 1024)] * 2 + [(1024, 1025)] * 2


def test_an_array_without_axes_is_one_voxel_and_an_empty_one_none():
    found = compare_pixels(ArrayVolume(np.array(1.0)), ArrayVolume(np.array(2.0)), Tolerance())
    assert (found.compared, found.differing, found.largest_at) == (1, 1, (0,))
    empty = np.zeros((0, 3, 4))
    found = compare_pixels(ArrayVolume(empty), ArrayVolume(empty), Tolerance())
    assert (found.compared, found.differing, found.worst_slice) == (0, 0, 0)


def test_images_of_other_sizes_are_one_difference(tmp_path):
    paths = [written(tmp_path, np.zeros((depth, 3, 4), np.int16), f"{depth}.omni") for depth in (2, 3)]
    (found,) = compare_images(*paths, Tolerance(), image_formats(), path="image")
    assert (found.path, "3" in found.message) == ("image", True)
