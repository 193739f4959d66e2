"""Values, places and blocks exactly at the edges of what is taken, refused or counted."""

import attrs
import numpy as np
import pytest

from tests.unit.images.test_pyramids import written
from xfworker.domain.errors import UnsupportedImage, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images import blocks as blocks_module
from xfworker.services.images.blocks import blocks, slices_per_block
from xfworker.services.images.conversion import converted, pixels_digest, with_spacing
from xfworker.services.images.drawn_contours import traced
from xfworker.services.images.histograms import histogram
from xfworker.services.images.lazy_pixels import LazyPixels
from xfworker.services.images.masking import Mask, apply_mask
from xfworker.services.images.placement import PlacedReader, offset_in
from xfworker.services.images.slices import plane
from xfworker.services.images.statistics import statistics
from xfworker.services.images.thresholding import threshold
from xfworker.services.images.units import raw_limits, to_raw

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.1, intercept=0.3)


@pytest.mark.parametrize(
    ("values", "pixel_type"),
    [
        (np.array([-128, 127], np.int16), PixelType.INT8),
        (np.array([0, 255], np.int16), PixelType.UINT8),
        (np.array([-(2**24), 2**24, 2**25, 2**24 - 1, 0, 1], np.int32), PixelType.FLOAT32),
        (np.array([2.0**24 + 1]), PixelType.FLOAT32),
        (np.array([-(2**63), 2**53, 2**62], np.int64), PixelType.FLOAT64),
        (np.array([0.1, 1e10]), PixelType.FLOAT32),
        (np.array([65535], np.uint16), PixelType.FLOAT32),
    ],
)
def test_values_that_a_type_just_holds_are_taken(tmp_path, values, pixel_type):
    np.testing.assert_array_equal(converted(values, pixel_type, tmp_path), values.astype(pixel_type.code))


@pytest.mark.parametrize(
    ("values", "pixel_type"),
    [
        (np.array([-129, 0], np.int16), PixelType.INT8),
        (np.array([0, 256], np.int16), PixelType.UINT8),
        (np.array([2**24 + 1], np.int32), PixelType.FLOAT32),
        (np.array([-(2**53) - 1], np.int64), PixelType.FLOAT64),
    ],
)
def test_values_just_beyond_a_type_are_refused(tmp_path, values, pixel_type):
    with pytest.raises(UnsupportedImage):
        converted(values, pixel_type, tmp_path)


def test_a_digest_is_that_of_the_pixels(tmp_path, formats):
    digests = []
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        with formats.reader(written(tmp_path, np.full((2, 3, 4), value, np.int16), f"{name}.omni")) as reader:
            digests.append(pixels_digest(reader))
    assert digests[0] == digests[1] != digests[2]


def test_what_a_file_did_not_say_of_lengths_is_no_longer_assumed_and_the_rest_still_is(describe_array):
    info = describe_array(
        np.zeros((2, 3, 4), np.int16), assumptions=("no spacing is stated; 1 mm is taken", "the axes are upright")
    )
    assert with_spacing(info, (0.5, 0.5, 0.5)).assumptions == ("the axes are upright",)


@pytest.mark.parametrize(
    "said",
    [
        "states no spacing; 1 mm is taken", "states no thickness of its slice; 1 mm is taken",
        "states no distance between slices; 1 mm is taken", "states no resolution; 1 mm is taken",
        "states no unit of length; mm are taken", "states an element size of 0 mm, which cannot be right",
    ],
)  # fmt: skip
def test_whatever_a_file_does_not_say_of_lengths_is_not_assumed_where_they_are_stated(describe_array, said):
    info = describe_array(np.zeros((2, 3, 4), np.int16), assumptions=(said, "the axes are upright"))
    assert with_spacing(info, (1.0, 1.0, 2.0)).assumptions == ("the axes are upright",)


_LACKS_SLICES = ("states no distance between slices; the thickness is taken",)


@pytest.mark.parametrize(
    ("axes", "assumptions", "spacing", "taken"),
    [
        ("XYZ", (), (0.1, 0.2, 0.3 * (1 + 5e-8)), None),
        ("XYZ", (), (0.1, 0.2, 0.3 * (1 + 2e-7)), "0.1 x 0.2 x 0.30000006"),
        ("XYZ", (), (0.1, 0.2, 0.4), "0.1 x 0.2 x 0.4"), ("XYZ", ("is upright",), (0.2, 0.2, 0.3), "0.2 x 0.2 x 0.3"),
        ("XYT", (), (0.1, 0.2, 9.0), None), ("XYT", (), (0.1, 0.3, 9.0), "0.1 x 0.3"),
        ("XYZ", ("states no thickness of its slice",), (0.1, 0.3, 9.0), "0.1 x 0.3"),
        ("XYZ", _LACKS_SLICES, (0.1, 0.2, 9.0), None), ("XYZ", _LACKS_SLICES, (0.1, 0.3, 9.0), "0.1 x 0.3"),
        ("XYZ", (*_LACKS_SLICES, "states no unit of length"), (7.0, 8.0, 9.0), None),
    ],
)  # fmt: skip
def test_a_spacing_that_the_file_states_otherwise_is_named(describe_array, axes, assumptions, spacing, taken):
    stated = (0.1, 0.2, 0.3)
    info = describe_array(np.zeros((2, 3, 4), np.int16), spacing_mm=stated, axes=axes, assumptions=assumptions)
    found = with_spacing(info, spacing)
    own = " x ".join(map(str, stated[: len(taken.split(" x "))])) if taken else ""
    said = f"states a spacing of {own} mm; {taken} mm is taken, as it was asked for"
    assert found.spacing_mm == spacing
    assert found.assumptions == (("is upright",) if "is upright" in assumptions else ()) + ((said,) if taken else ())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0,) * 4, (1.0, 0.0, 1.0), (1.0, 1.0, -1.0), (float("inf"), 1, 1)])
def test_a_spacing_is_three_positive_numbers(describe_array, spacing):
    with pytest.raises(UsageError, match="three positive numbers of mm"):
        with_spacing(describe_array(np.zeros((2, 3, 4), np.int16)), spacing)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 0, 3], "u1"), ([-3, 0, 0, 5], "i2"), ([-5, -4], "i1"), ([200, 255], "u1"), ([7], "i2"),
     ([1e200, -1e200, 3.0], "f8"), ([1.0, 1e180, 2e180], "f8"), ([0.5, 0.25, 1.75], "f8")],
)  # fmt: skip
def test_statistics_of_few_values_are_numpys(tmp_path, formats, values, dtype):
    array = np.array([[values]], dtype)
    scale = max(1.0, float(np.abs(array.astype(float)).max()))
    with formats.reader(written(tmp_path, array)) as reader:
        found = statistics(reader)
    assert (found.count, found.not_numbers, found.nonzero) == (array.size, 0, np.count_nonzero(array))
    assert (found.minimum, found.maximum) == (array.min(), array.max())
    assert found.mean == pytest.approx(array.mean(dtype=float))
    assert found.standard_deviation / scale == pytest.approx((array / scale).std(dtype=float), abs=1e-12)
    assert (found.percentile(0), found.percentile(100)) == (found.minimum, found.maximum)


def test_statistics_and_histograms_of_more_than_one_piece_count_each_value_once(tmp_path, formats):
    array = np.arange(1_200_000, dtype=np.int32).reshape(3, 400, 1000) % 1000
    with formats.reader(written(tmp_path, array)) as reader:
        found = statistics(reader)
        counted = histogram(reader, bins=1000, lower=-0.5, upper=999.5)
    assert (found.count, found.mean) == (1_200_000, pytest.approx(499.5))
    assert (set(counted.counts.tolist()), counted.beyond) == ({1200}, 0)


def test_huge_values_that_follow_smaller_ones_in_a_later_piece_count_as_much(tmp_path, formats):
    array = np.tile([-1e149, 2e149], 600_000).reshape(3, 400, 1000)
    array.reshape(-1)[-100_000:] = np.tile([3e151, 1e151], 50_000)
    with formats.reader(written(tmp_path, array)) as reader:
        found = statistics(reader)
    assert found.mean == pytest.approx((array / 1e151).mean() * 1e151)
    assert found.standard_deviation == pytest.approx((array / 1e151).std() * 1e151)


@pytest.mark.parametrize("slope", [0.1, -0.1])
def test_statistics_in_a_unit_rise_whichever_way_its_values_go(tmp_path, formats, slope):
    with formats.reader(written(tmp_path, np.array([[[0, 10, 10, 100]]], np.int16))) as reader:
        found = statistics(reader).calibrated(Calibration(unit_type="Density", slope=slope, intercept=0.3))
    ends = sorted([0.3, 100 * slope + 0.3])
    assert [found.percentile(percent) for percent in (0, 50, 100)] == pytest.approx(
        [ends[0], 10 * slope + 0.3, ends[1]]
    )


def test_a_histogram_has_limits_of_which_one_is_that_of_the_values(tmp_path, formats):
    with formats.reader(written(tmp_path, np.array([[[2, 4, 8]]], np.int16))) as reader:
        assert histogram(reader, bins=2, lower=0).edges.tolist() == [0, 4, 8]
        assert histogram(reader, bins=2, upper=10).edges.tolist() == [2, 6, 10]
        assert histogram(reader, bins=1, lower=4, upper=4).edges.tolist() == [3.5, 4.5]
        assert len(histogram(reader).counts) == 256
        assert len(histogram(reader, bins=65536).counts) == 65536
        with pytest.raises(UsageError, match="1 to 65536 bins"):
            histogram(reader, bins=65537)
        with pytest.raises(UsageError, match="not a finite number"):
            histogram(reader, lower=float("nan"))


@pytest.mark.parametrize(
    ("limits", "inside"),
    [
        ({"lower": 127}, [0, 0, 0, 1]), ({"lower": 128}, [0, 0, 0, 0]), ({"upper": -128}, [1, 0, 0, 0]),
        ({"upper": -129}, [0, 0, 0, 0]), ({"lower": 5, "upper": 5}, [0, 0, 1, 0]), ({"upper": 300}, [1, 1, 1, 1]),
        ({"lower": -300, "upper": -128}, [1, 0, 0, 0]), ({"lower": 5.2, "upper": 5.8}, [0, 0, 0, 0]),
    ],
)  # fmt: skip
def test_a_threshold_at_the_ends_of_a_type(tmp_path, formats, limits, inside):
    with formats.reader(written(tmp_path, np.array([[[-128, 0, 5, 127]]], np.int8))) as reader:
        threshold(formats, reader, tmp_path / "s.omni", **limits)
    with formats.reader(tmp_path / "s.omni") as reader:
        assert (reader.read(0, 1).tolist(), reader.info.pixel_type) == ([[inside]], PixelType.UINT8)


def test_a_threshold_into_a_version_of_an_aim_is_a_mask_as_ipl_has_it(tmp_path, formats):
    with formats.reader(written(tmp_path, np.array([[[0, 5, 9, 0]]], np.int16))) as reader:
        derived = threshold(formats, reader, tmp_path / "s.AIM;2", lower=5)
    assert (derived.info.encoding, derived.info.pixel_type) == ("binCmp", PixelType.INT8)
    with formats.reader(tmp_path / "s.AIM;2") as reader:
        assert reader.read(0, 1).tolist() == [[[0, 127, 127, 0]]]


def test_what_is_not_a_number_is_inside_of_no_threshold(tmp_path, formats):
    values = np.array([[[np.nan, -np.inf, 1, 2, np.inf]]], np.float32)
    with formats.reader(written(tmp_path, values)) as reader:
        for name, limits, inside in (("u", {"upper": 1}, [0, 1, 1, 0, 0]), ("l", {"lower": 1}, [0, 0, 1, 1, 1])):
            threshold(formats, reader, tmp_path / f"{name}.omni", **limits)
            with formats.reader(tmp_path / f"{name}.omni") as segments:
                assert segments.read(0, 1).tolist() == [[inside]]


def test_a_value_in_a_unit_is_the_integer_that_it_is_near_to(describe_array):
    info = describe_array(np.zeros((2, 3, 4), np.int16), calibrations=(DENSITY,))
    assert to_raw(info, 0.1 * 3000 + 0.3, "Density") == 3000
    assert to_raw(info, 0.1 * 7.25 + 0.3, "Density") == pytest.approx(7.25)
    assert to_raw(info, 0.1 * -3 + 0.3, "Density") == -3
    large = 0.1 * 2_000_000_001 + 0.3
    assert DENSITY.calibrated_to_raw(large) != 2_000_000_001
    assert to_raw(info, large, "Density") == 2_000_000_001
    assert raw_limits(info, 5, 5, None) == (5, 5)


def test_blocks_are_of_an_even_number_of_slices_and_of_one_where_no_more_fit(
    describe_array, tmp_path, formats, monkeypatch
):
    info = describe_array(np.zeros((9, 2, 5), np.int16))  # a slice has 20 bytes
    for block_bytes, count in ((1, 1), (20, 1), (39, 1), (40, 2), (79, 2), (100, 4), (10_000, 10)):
        monkeypatch.setattr(blocks_module, "BLOCK_BYTES", block_bytes)
        assert slices_per_block(info) == count
    with formats.reader(written(tmp_path, np.zeros((3, 3, 4), np.int16))) as reader:
        assert [(block.start, block.stop) for block in blocks(reader, slices=1)] == [(0, 1), (1, 2), (2, 3)]


def test_a_part_is_placed_where_rounding_alone_moved_it_and_refused_beyond(describe_array):
    whole = describe_array(np.zeros((4, 5, 100), np.int16), spacing_mm=(0.2, 0.2, 0.2))
    assert offset_in(attrs.evolve(whole, origin_mm=(0.4 + 0.009, 0, 0)), whole) == (2, 0, 0)
    assert offset_in(attrs.evolve(whole, spacing_mm=(0.20009, 0.2, 0.2)), whole) == (0, 0, 0)
    with pytest.raises(UsageError, match="along x its voxels are"):
        offset_in(attrs.evolve(whole, spacing_mm=(0.20011, 0.2, 0.2)), whole)
    with pytest.raises(UsageError, match=r"it begins between voxels, at \(2.060, 0.000, 0.000\)"):
        offset_in(attrs.evolve(whole, origin_mm=(0.412, 0, 0)), whole)
    turned = (0.995, 0.0998, 0.0, -0.0998, 0.995, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(UsageError, match="its axes point elsewhere"):
        offset_in(attrs.evolve(whole, direction=turned), whole)


@pytest.mark.parametrize("at", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, -2, -3)])
def test_a_part_as_large_as_the_whole_lies_where_its_origin_says(tmp_path, formats, at):
    voxels = np.arange(1, 121, dtype=np.int16).reshape(4, 5, 6)
    whole = formats.describe(written(tmp_path, np.zeros((4, 5, 6), np.int16), "w.omni"))
    expected = np.zeros_like(voxels)
    there = tuple(slice(max(0, n), n + size if n < 0 else size) for n, size in zip(at[::-1], (4, 5, 6), strict=True))
    own = tuple(slice(max(0, -n), size if n < 0 else size - n) for n, size in zip(at[::-1], (4, 5, 6), strict=True))
    expected[there] = voxels[own]
    with formats.reader(written(tmp_path, voxels, "p.omni", origin_mm=tuple(map(float, at)))) as reader:
        placed = PlacedReader.over(reader, whole)
        for start, stop in ((0, 4), (1, 3), (3, 4)):
            np.testing.assert_array_equal(placed.read(start, stop), expected[start:stop])


@pytest.mark.parametrize(
    "index", [slice(5, 5), slice(12, None, -1), slice(12, 2, -3), slice(0, 13, 6), slice(1, 2, 9), slice(3, 9, 2)]
)
def test_slices_of_encoded_pixels_are_those_of_an_array(tmp_path, formats, bone, index):
    mask = (bone > 1500).astype(np.int8) * 127
    pixels = LazyPixels(formats.reader(written(tmp_path, mask, "m.aim", encoding="binCmp")))
    found = pixels[index, 2:5]
    np.testing.assert_array_equal(found, mask[index, 2:5])
    assert (found.shape, found.dtype) == (mask[index, 2:5].shape, mask.dtype)
    pixels.close()


def test_a_drawn_triangle_anywhere_in_the_image_is_traced_where_it_was_drawn(describe_array):
    info = describe_array(np.zeros((9, 30, 40), np.int16))
    (contour,) = traced([{"z": 8, "points": [[20, 10], [24, 10], [20, 14]]}], info)
    xs, ys = zip(*contour.points, strict=True)
    assert (contour.z, min(xs), max(xs), min(ys), max(ys)) == (8, 20, 24, 10, 14)


def test_a_flat_image_is_shown_masked_and_laid_over_another_as_it_is(tmp_path, formats):
    picture, mask = np.arange(12, dtype=np.int16).reshape(3, 4), np.zeros((3, 4), np.int8)
    mask[1:, 2:] = 1
    paths = written(tmp_path, picture), written(tmp_path, mask, "m.omni", kind="segments")
    part = written(tmp_path, np.ones((2, 2), np.int8), "p.omni", origin_mm=(1.0, 1.0, 0.0))
    with formats.reader(paths[0]) as reader, formats.reader(paths[1]) as inside, formats.reader(part) as own:
        np.testing.assert_array_equal(plane(reader, "z"), picture)
        np.testing.assert_array_equal(plane(reader, "z", step=2), picture[::2, ::2])
        with formats.reader(written(tmp_path, picture[0], "row.omni")) as row:
            np.testing.assert_array_equal(plane(row, "z"), picture[:1])
        with pytest.raises(UsageError, match="its only slice is the one along z"):
            plane(reader, "x")
        np.testing.assert_array_equal(PlacedReader.over(inside, reader.info).read(0, 1), [mask])
        expected = np.zeros((3, 4))
        expected[1:3, 1:3] = 1
        np.testing.assert_array_equal(PlacedReader.over(own, reader.info).read(0, 1), [expected])
        assert [Mask(inside, reader.info).inside(row, row + 1).tolist() for row in range(3)] == (
            mask[:, None] != 0
        ).tolist()
        apply_mask(formats, reader, inside, tmp_path / "o.omni")
    with formats.reader(tmp_path / "o.omni") as reader:
        np.testing.assert_array_equal(reader.read(0, 3), np.where(mask, picture, 0))
