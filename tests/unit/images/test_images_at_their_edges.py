"""Images at the edges of what the tools take: other axes, nothing to count, no unit in common, files of others."""

from contextlib import contextmanager

import attrs
import numpy as np
import pytest

from tests.unit.images.test_pyramids import random_voxels, viewed, written
from xfworker.domain.errors import ImageError, InvalidParameter, UnsupportedImage, UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images import conversion, drawn_contours
from xfworker.services.images.block_writing import write_blocks
from xfworker.services.images.blocks import Block, blocks
from xfworker.services.images.bricks import RecentBricks
from xfworker.services.images.conversion import convert, converted
from xfworker.services.images.cropping import crop, voi_of
from xfworker.services.images.downsampling import downsample, factors_of
from xfworker.services.images.drawn_contours import polygons_of, traced
from xfworker.services.images.histograms import histogram
from xfworker.services.images.ipl import pixel_type_for_ipl, pointed_file
from xfworker.services.images.lazy_pixels import LazyPixels
from xfworker.services.images.masking import apply_mask
from xfworker.services.images.ownership import check_replaceable
from xfworker.services.images.pictures import slice_view, window_of
from xfworker.services.images.placement import PlacedReader, offset_in
from xfworker.services.images.slices import plane
from xfworker.services.images.statistics import statistics

DENSITY = Calibration(unit_type="Density", unit_name="mg HA/ccm", slope=0.5, intercept=-100.0)
LINEAR = Calibration(unit_type="Linear", unit_name="1/cm", slope=0.1, intercept=0.0)


def test_images_with_other_axes_than_space_are_named_with_their_axes(series, describe_array):
    volume = describe_array(np.zeros((2, 3, 4), np.int16))
    for refused in (
        lambda: offset_in(series, volume),
        lambda: voi_of(series, pos=(0, 0, 0)),
        lambda: factors_of(series, 2),
    ):
        with pytest.raises(UsageError, match="has axes XYT"):
            refused()


@pytest.mark.parametrize(
    ("values", "window"),
    [([np.nan, np.inf], (0.0, 1.0)), ([7, 7, 7], (7.0, 8.0)), ([5] * 999 + [9], (5.0, 9.0))],
)
def test_a_window_without_any_range_is_made_of_what_there_is(values, window):
    found = window_of(np.array(values, np.float32))
    assert (found.low, found.high) == window


def test_pictures_of_segments_have_colours_and_an_overlay_beside_the_slice_covers_none_of_it(tmp_path, formats):
    labels = written(tmp_path, np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3, "l.omni", kind="segments")
    scan = written(tmp_path, random_voxels((2, 3, 4), "i2"), "s.omni")
    with formats.reader(labels) as reader:
        assert slice_view(reader, "z", 0).pixels.ndim == 3
        with formats.reader(scan) as below, formats.reader(scan) as again:
            alone = slice_view(again, "z", 1)
            shifted = written(
                tmp_path, np.ones((2, 3, 4), np.uint8), "o.omni", kind="segments", origin_mm=(50.0, 0.0, 0.0)
            )
            with formats.reader(shifted) as above:
                over = slice_view(below, "z", 1, overlay=above)
            assert over.pixels.ndim >= alone.pixels.ndim
            np.testing.assert_array_equal(over.pixels[..., 0].squeeze(), alone.pixels.squeeze())


def test_a_part_that_is_the_whole_is_read_as_it_is_and_progress_is_reported_block_by_block(
    tmp_path, formats, bone, monkeypatch
):
    path = written(tmp_path, bone)
    seen = {"convert": [], "crop": []}
    with formats.reader(path) as reader:
        np.testing.assert_array_equal(PlacedReader.over(reader, reader.info).read(2, 5), bone[2:5])
        crop(
            formats,
            reader,
            tmp_path / "b.omni",
            voi_of(reader.info, pos=(0, 0, 0)),
            progress=lambda *n: seen["crop"].append(n),
        )
    monkeypatch.setattr(conversion, "slices_per_block", lambda _: 5)
    convert(formats, path, tmp_path / "c.aim", progress=lambda *n: seen["convert"].append(n))
    with formats.reader(tmp_path / "c.aim") as reader:
        np.testing.assert_array_equal(reader.read(0, 13), bone)
    assert seen["convert"] == [(5, 13), (10, 13), (13, 13)]
    assert {name: steps[-1] for name, steps in seen.items()} == dict.fromkeys(seen, (13, 13))


class Reader:
    """A reader that reads into memory of the slab's own shape only."""

    def __init__(self, info, voxels):
        self.info, self.voxels = info, voxels

    def read(self, start, stop, out):
        assert (out.shape, out.dtype) == (self.voxels[start:stop].shape, self.voxels.dtype)
        out[...] = self.voxels[start:stop]
        return out


def test_pixels_are_copied_through_memory_for_one_block(describe_array, bone, monkeypatch):
    slabs, info = [], describe_array(bone)
    writer = attrs.make_class("Writer", ["info", "write"])(info, lambda slab: slabs.append(slab.copy()))
    monkeypatch.setattr(conversion, "slices_per_block", lambda _: 5)
    conversion.copy_pixels(Reader(info, bone), writer)
    np.testing.assert_array_equal(np.concatenate(slabs), bone)


def test_fractions_outside_of_a_mask_are_taken_as_they_are(tmp_path, formats):
    path = written(tmp_path, np.ones((2, 3, 4), np.float32))
    mask = written(tmp_path, np.zeros((2, 3, 4), np.uint8), "m.omni", kind="segments")
    with formats.reader(path) as reader, formats.reader(mask) as inside:
        apply_mask(formats, reader, inside, tmp_path / "o.omni", outside=0.25)
    with formats.reader(tmp_path / "o.omni") as reader:
        assert np.unique(reader.read(0, 2)).tolist() == [0.25]


def test_a_part_outside_of_the_slices_that_are_read_adds_nothing(tmp_path, formats):
    whole = written(tmp_path, np.zeros((6, 3, 4), np.int16), "w.omni")
    part = written(tmp_path, np.ones((2, 3, 4), np.int16), "p.omni", origin_mm=(0.0, 0.0, 4.0))
    with formats.reader(part) as reader:
        placed = PlacedReader.over(reader, formats.describe(whole))
        assert placed.read(0, 2).sum() == 0
        assert placed.read(3, 5).sum() == 12
    part = written(tmp_path, np.ones((2, 3, 4), np.int16), "q.omni", origin_mm=(0.0, 0.0, 2.0))
    with formats.reader(part) as reader:
        placed = PlacedReader.over(reader, formats.describe(whole))
        assert placed.read(1, 6).sum(axis=(1, 2)).tolist() == [0, 12, 12, 0, 0]


def test_blocks_have_their_halo_and_sizes_that_make_no_sense_are_refused(tmp_path, formats):
    voxels = random_voxels((5, 3, 4), "i2")
    with formats.reader(written(tmp_path, voxels)) as reader:
        inner = [block.inner for block in blocks(reader, slices=2, halo=1)]
        np.testing.assert_array_equal(np.concatenate(inner), voxels)
        for options in ({"slices": 0}, {"halo": -1}):
            with pytest.raises(UsageError, match="make no sense"):
                next(blocks(reader, **options))
    assert Block(1, 2, voxels[:3], 1).inner_of(voxels[:3]).shape == (1, 3, 4)


class SliceAfterSlice:
    """Formats of another maker, which are written slice after slice."""

    @contextmanager
    def writer(self, path, image):
        yield attrs.make_class("Writer", ["info"])(attrs.evolve(image, path=path, pixels_path=path, files=()))


def test_a_format_that_takes_no_blocks_is_said(tmp_path, formats):
    info = formats.describe(written(tmp_path, random_voxels((2, 3, 4), "i2")))
    with pytest.raises(UnsupportedImage, match=r"a\.slices is of a format that is not written in blocks"):
        write_blocks(SliceAfterSlice(), [info], tmp_path / "a.slices", info, lambda _: 0)


def test_a_brick_that_is_kept_twice_counts_once():
    recent = RecentBricks(10_000)
    brick = np.zeros(4000, np.uint8)
    for _ in range(5):
        recent.put(("a",), brick)
    recent.put(("b",), brick)
    assert recent.get(("a",)) is not None


@pytest.mark.parametrize(
    ("voxels", "pixel_type"),
    [(np.array([1e300]), PixelType.FLOAT32), (np.array([2**24 + 1], np.int32), PixelType.FLOAT32)],
)
def test_values_that_a_type_of_fractions_does_not_hold_are_refused(tmp_path, voxels, pixel_type):
    with pytest.raises(UnsupportedImage):
        converted(voxels, pixel_type, tmp_path)
    assert converted(voxels[:0], pixel_type, tmp_path).dtype == np.float32


def test_of_labels_downsampled_the_commonest_stays_in_the_file(tmp_path, formats):
    labels = np.repeat(np.repeat(np.repeat(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), 2, 0), 2, 1), 2, 2)
    with formats.reader(written(tmp_path, labels, kind="segments")) as reader:
        downsample(formats, reader, tmp_path / "small.omni", 2)
    with formats.reader(tmp_path / "small.omni") as small:
        np.testing.assert_array_equal(small.read(0, 2), labels[::2, ::2, ::2])
    assert factors_of(formats.describe(tmp_path / "a.omni"), [2]) == (2, 2, 2)


def test_a_histogram_of_one_value_has_a_bin_for_it_and_limits_beyond_all_values_are_refused(tmp_path, formats):
    with formats.reader(written(tmp_path, np.full((2, 3, 4), 7, np.int16))) as reader:
        found = histogram(reader, bins=1)
        assert found.counts.tolist() == [24]
        with pytest.raises(UsageError, match="would begin at 9 and end at 7: no value lies between"):
            histogram(reader, bins=3, lower=9)
        with pytest.raises(ImageError, match="The percentile 101 is not between 0 and 100"):
            statistics(reader).percentile(101)
        seen = []
        statistics(reader, lambda done, total: seen.append((done, total)))
        assert seen[-1] == (2, 2)
    with formats.reader(written(tmp_path, np.full((2, 3, 4), 0.5, np.float32), "f.omni")) as reader:
        assert statistics(reader).percentile(50) == 0.5


@pytest.fixture
def mask(bone):
    return (bone > 1500).astype(np.int8) * 127


def encoded(folder, voxels):
    return written(folder, voxels, "mask.aim", encoding="binCmp")


def test_slices_across_are_read_in_blocks_with_progress(tmp_path, formats, mask):
    with formats.reader(encoded(tmp_path, mask)) as reader:
        seen = []
        np.testing.assert_array_equal(plane(reader, "y", 4, progress=lambda *done: seen.append(done)), mask[:, 4])
        np.testing.assert_array_equal(plane(reader, "x", 4), mask[:, :, 4])
    assert seen == [(13, 13)]


def test_pixels_that_are_decoded_when_they_are_asked_for_are_taken_apart_like_an_array(tmp_path, formats, mask):
    reader = formats.reader(encoded(tmp_path, mask))
    pixels = LazyPixels(reader)
    assert (pixels.ndim, pixels.size, pixels.nbytes, len(pixels)) == (3, mask.size, mask.nbytes, len(mask))
    for index in (
        3,
        -1,
        slice(2, 5),
        slice(None, None, 6),
        slice(9, 1, -2),
        slice(5, 5),
        (slice(0, 2), 1),
        (),
        ...,
        [1, 2],
    ):
        np.testing.assert_array_equal(pixels[index], mask[index])
    np.testing.assert_array_equal(np.stack(list(pixels)), mask)
    with pytest.raises(IndexError, match="slice 13 of 13"):
        pixels[13]
    with pytest.raises(ValueError, match="copy=False cannot be met"):
        pixels.__array__(copy=False)
    assert repr(pixels).startswith("<LazyPixels (13, 21, 30) int8 of ")
    pixels.close()
    LazyPixels.__new__(LazyPixels).__del__()


def test_a_file_that_another_document_names_is_not_replaced_and_a_broken_document_names_none(tmp_path, formats):
    scan = written(tmp_path, random_voxels((2, 3, 4), "i2"), "scan.omni")
    files = (scan, tmp_path / "scan.raw")
    (tmp_path / "broken.omni").write_text("{")
    check_replaceable(scan, files, formats.probe)
    check_replaceable(tmp_path / "new.omni", [tmp_path / "new.raw"], formats.probe)
    (tmp_path / "other.omni").write_bytes(scan.read_bytes())
    with pytest.raises(UsageError, match=r"scan\.raw would be replaced, but it holds pixels of .*other\.omni"):
        check_replaceable(scan, files, formats.probe)


_NHDR = (
    "NRRD0004\ntype: int16\ndimension: 3\nsizes: 4 3 2\nspacings: 1 1 1\nendian: little\nencoding: raw\n"
    "data file: scan.raw\n"
)


@pytest.mark.parametrize(("mine", "other"), [(".omni",) * 2, (".mhd",) * 2, (".omni", ".nhdr"), (".vgi",) * 2])
def test_pixels_that_a_document_of_any_format_names_are_not_replaced(tmp_path, formats, mine, other):
    scan = written(tmp_path, np.ones((2, 3, 4), np.int16), f"scan{mine}")
    pixels = formats.describe(scan).pixels_path
    check_replaceable(scan, (scan, pixels), formats.probe)
    name = f"other{other.upper()}"
    (tmp_path / name).write_bytes(_NHDR.encode() if other == ".nhdr" else scan.read_bytes())
    with pytest.raises(UsageError, match=f"{pixels.name} would be replaced, but it holds pixels of .*{name}"):
        check_replaceable(scan, (scan, pixels), formats.probe)


def test_only_an_omni_that_says_the_same_as_the_file_that_it_points_into_is_that_file(tmp_path, formats):
    info = formats.describe(written(tmp_path, random_voxels((2, 3, 4), "i2")))
    assert pointed_file(formats, attrs.evolve(info, format="AIM")) is None
    assert pointed_file(formats, info) is None
    aim = written(tmp_path, random_voxels((2, 3, 4), "i2"), "b.aim")
    elsewhere = attrs.evolve(info, pixels_path=aim, encoding="raw", pixels_offset=1)
    assert pointed_file(formats, elsewhere) is None


def test_the_order_of_bytes_counts_where_a_pixel_has_more_than_one(tmp_path, formats):
    for code, is_same in (("i1", True), ("i2", False)):
        aim = written(tmp_path, random_voxels((2, 3, 4), code), f"{code}.aim")
        pointing = attrs.evolve(formats.describe(aim), format="OMNI")
        assert pointed_file(formats, pointing) == aim
        assert pointed_file(formats, attrs.evolve(pointing, byte_order="big")) == (aim if is_same else None)


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "expected"),
    [
        ([0, 127], np.uint8, "segments", PixelType.INT8), ([0, 128], np.uint8, "segments", PixelType.INT16),
        ([0, 127], np.uint8, "image", PixelType.INT16), ([-128, 5], np.int64, "segments", PixelType.INT8),
        ([-(2**15), 2**15 - 1], np.int64, "image", PixelType.INT16),
        ([-(2**15) - 1, 0], np.int64, "image", PixelType.INT32), ([0, 2**15], np.uint16, "image", PixelType.INT32),
        ([-(2**31), 2**31 - 1], np.int64, "image", PixelType.INT32), ([5], np.int32, "image", None),
        ([0.5], np.float64, "image", PixelType.FLOAT32), ([0.5], np.float32, "image", None),
    ],
)  # fmt: skip
def test_ipl_gets_the_smallest_of_its_types_that_holds_all_values(tmp_path, formats, values, dtype, kind, expected):
    info = formats.describe(written(tmp_path, np.array([[values]], dtype), kind=kind))
    assert pixel_type_for_ipl(formats, info) == expected


def test_integers_that_no_type_of_ipl_holds_are_refused(tmp_path, formats):
    large = written(tmp_path, np.full((2, 3, 4), 2**40, np.int64))
    with pytest.raises(UnsupportedImage, match="fit no type that IPL reads"):
        pixel_type_for_ipl(formats, formats.describe(large))


# --- what is viewed ------------------------------------------------------------------------------------------------


def test_outlines_of_a_mask_are_drawn_where_it_lies_on_the_image(tmp_path, monkeypatch):
    mask = np.zeros((2, 270, 300), np.uint8)
    mask[1, 252:266, 3:290], mask[1, 252:266, 270:290] = 1, 2
    path = written(tmp_path, mask, "m.omni", kind="segments", origin_mm=(5.0, 30.0, 1.0))
    whole = ImageInfo(
        path=tmp_path / "w", format="OMNI", size=(400, 310, 5), pixel_type=PixelType.INT16, pixels_path=tmp_path / "w"
    )
    with viewed(path, tmp_path / "cache") as image:
        (polygon,) = polygons_of(image, whole)
        assert polygon["z"] == 2
        assert sorted(map(tuple, polygon["points"])) == [(8, 282), (8, 295), (294, 282), (294, 295)]
        monkeypatch.setattr(drawn_contours, "MOST_VOXELS", mask.size)
        assert polygons_of(image, whole) == [polygon]
        monkeypatch.setattr(drawn_contours, "MOST_VOXELS", mask.size - 1)
        with pytest.raises(UsageError, match=r"m\.omni has 300 x 270 x 2 voxels; contours are shown of fewer"):
            polygons_of(image, whole)


def test_more_corners_than_anybody_draws_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(drawn_contours, "MOST_CORNERS", 3)
    info = ImageInfo(path=tmp_path, format="OMNI", size=(9, 9, 9), pixel_type=PixelType.INT16, pixels_path=tmp_path)
    with pytest.raises(InvalidParameter, match="expected at most 3 points in all, got 4"):
        traced([{"z": 0, "points": [[0, 0], [5, 0], [5, 5], [0, 5]]}], info)
    (corner,) = traced([{"z": 0, "points": [[0, 0], [2, 0], [0, 2]]}], info)
    assert sorted(corner.points) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    with pytest.raises(InvalidParameter) as caught:
        traced([{"z": 9, "points": []}] * 12, info)
    assert str(caught.value).count("expected a slice") == 10
