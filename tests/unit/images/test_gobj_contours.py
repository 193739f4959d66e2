import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xfworker.adapters.images.gobj import read_contours
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.contour import Contour, fill, trace
from xfworker.services.images.conversion import convert


def gobj(*slices):
    """A GOBJ assembled by hand: 0.1 mm pixels in a scan of 100 x 100 x 10."""
    block = bytearray(512)
    block[:16] = b"CTDATA-HEADER_V1"
    struct.pack_into("<i", block, 16, 6)
    struct.pack_into("<6i", block, 32, 100, 100, 10, 10_000, 10_000, 1000)
    return bytes(block) + b"".join(slices) + bytes(56)


def slice_record(z, count):
    return struct.pack("<14i", 1, 50, 50, z, 9, 9, 0, 3, 20, 0, 0, 16512, 16512, count)


def contour_record(z, centre, size, start, codes):
    bits = sum(code << (3 * index) for index, code in enumerate(codes))
    elements = len(codes) + 1
    count = (3 * elements + 5) // 8
    offset = (start[0] - centre[0], start[1] - centre[1])
    record = struct.pack("<17i", 3, *centre, z, *size, 0, 3, 32, 0, 0, 16512, 16512, *offset, elements, count)
    return record + bits.to_bytes(count, "little")


# Stored codes, y pointing down: 0 east, 2 north, 4 west, 6 south. A square of 3 x 3 from its first pixel, down first.
SQUARE = [6, 6, 0, 0, 2, 2, 4]


def test_a_contour_by_hand_is_read_to_polygon_and_mask(tmp_path, formats, read_array):
    path = tmp_path / "MASK.GOBJ;2"
    path.write_bytes(gobj(slice_record(4, 1), contour_record(4, (51, 61), (3, 3), (50, 60), SQUARE)))
    found = read_contours(path)
    assert found.contours == (
        Contour(4, ((50, 60), (50, 61), (50, 62), (51, 62), (52, 62), (52, 61), (52, 60), (51, 60))),
    )
    assert not found.contours[0].is_inner
    info = formats.describe(path)
    assert info.origin_mm == pytest.approx((5.0, 6.0, 0.4))
    np.testing.assert_array_equal(read_array(path), np.full((1, 3, 3), 127, np.int8))


def test_drawn_shapes_are_read(tmp_path, read_array):
    rectangle = struct.pack("<9i", 4, 50, 60, 1, 4, 3, 0, 3, 0)
    ellipse = struct.pack("<9i", 6, 50, 60, 2, 5, 5, 0, 3, 0)
    path = tmp_path / "drawn.gobj"
    path.write_bytes(gobj(slice_record(1, 1), rectangle, slice_record(2, 1), ellipse))
    mask = read_array(path)
    assert np.count_nonzero(mask[0]) == 12
    assert np.count_nonzero(mask[1]) == 21


@given(kind=st.sampled_from([4, 6]), width=st.integers(1, 60), height=st.integers(1, 60))
@settings(deadline=None)
def test_a_drawn_shape_has_the_pixels_whose_centres_lie_in_it(tmp_path_factory, kind, width, height):
    path = tmp_path_factory.mktemp("drawn") / "drawn.gobj"
    path.write_bytes(gobj(slice_record(2, 1), struct.pack("<9i", kind, 50, 60, 2, width, height, 0, 3, 0)))
    y, x = np.ogrid[:height, :width]
    ellipse = ((2 * x - width + 1) * height) ** 2 + ((2 * y - height + 1) * width) ** 2 <= (width * height) ** 2
    (expected,) = trace(ellipse if kind == 6 else np.ones((height, width), np.bool_), 2)
    left, top = 50 - (width - 1) // 2, 60 - (height - 1) // 2
    (contour,) = read_contours(path).contours
    assert contour.points == tuple((x + left, y + top) for x, y in expected.points)


def test_large_shapes_in_a_small_file_take_memory_for_their_outlines_only(tmp_path):
    path = tmp_path / "drawn.gobj"
    path.write_bytes(gobj(slice_record(2, 1), struct.pack("<9i", 6, 50, 60, 2, 3_000, 3_000, 0, 3, 0)))
    square = Contour(0, tuple(trace(np.ones((500, 500), np.bool_), 0)[0].points))
    tracemalloc.start()
    try:
        assert read_contours(path).box[:4] == (-1449, 1550, -1439, 1560)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.reset_peak()
        fill([square] * 100, 0, 0, (500, 500))
        assert tracemalloc.get_traced_memory()[1] < 30 * 500 * 500
    finally:
        tracemalloc.stop()


def test_contours_farther_apart_than_any_scan_is_wide_are_refused_before_their_mask_is_made(tmp_path):
    path = tmp_path / "far.gobj"
    corners = [contour_record(4, (x, x), (1, 1), (x, x), []) for x in (-600_000, 600_000)]
    path.write_bytes(gobj(slice_record(4, 2), *corners))
    with pytest.raises(ImageFormatError, match="span 1200001 x 1200001 pixels"):
        read_contours(path)


def test_a_hole_and_an_island_in_it():
    mask = np.zeros((11, 11), bool)
    mask[1:10, 1:10] = True
    mask[3:8, 3:8] = False
    mask[5, 5] = True
    contours = trace(mask, 0)
    assert [contour.is_inner for contour in contours] == [False, False, True]
    np.testing.assert_array_equal(fill(contours[::-1], 0, 0, mask.shape), mask)


def test_a_contour_within_another_of_the_same_box_is_the_rim_of_a_hole_in_whatever_order():
    square = Contour(0, tuple((x, 0) for x in range(6)) + tuple((6, y) for y in range(6))
                     + tuple((x, 6) for x in range(6, 0, -1)) + tuple((0, y) for y in range(6, 0, -1)))  # fmt: skip
    rhomb = Contour(0, ((3, 0), (4, 1), (5, 2), (6, 3), (5, 4), (4, 5), (3, 6), (2, 5), (1, 4), (0, 3), (1, 2), (2, 1)))
    expected = np.ones((7, 7), np.bool_)
    y, x = np.ogrid[:7, :7]
    expected[abs(y - 3) + abs(x - 3) < 3] = False
    for contours in ((square, rhomb), (rhomb, square)):
        np.testing.assert_array_equal(fill(contours, 0, 0, (7, 7)), expected)


@pytest.mark.parametrize("rows", [["###", "#.#", "###"], [".##.", "#.#.", ".###"]])
def test_a_thin_ring_holds_the_rim_of_its_hole_in_whatever_order(rows):
    mask = np.array([[dot == "#" for dot in row] for row in rows])
    contours = trace(mask, 0)
    for some in (contours, contours[::-1]):
        np.testing.assert_array_equal(fill(some, 0, 0, mask.shape), mask)


def test_of_contours_only_what_lies_in_the_part_that_was_asked_for_is_filled():
    square = Contour(0, ((4, 4), (5, 4), (6, 4), (6, 5), (6, 6), (5, 6), (4, 6), (4, 5)))
    for left, top in ((0, 0), (7, 4), (4, 7), (4, 0), (1, 4), (9, 4), (4, 9), (0, 4)):
        assert not fill([square], left, top, (4, 3)).any()
    for left, top, part in ((5, 6, (0, 0, 1, 2)), (3, 2, (2, 1, 2, 2)), (2, 5, (0, 2, 2, 1)), (5, 5, (0, 0, 2, 2))):
        expected = np.zeros((4, 3), np.bool_)
        expected[part[0] : part[0] + part[2], part[1] : part[1] + part[3]] = True
        np.testing.assert_array_equal(fill([square], left, top, (4, 3)), expected)


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.randoms())
@settings(max_examples=300, deadline=None)
def test_any_mask_comes_back_from_its_contours_in_whatever_order(mask, random):
    contours = trace(mask, 3)
    shuffled = random.sample(contours, len(contours))
    np.testing.assert_array_equal(fill(shuffled, 0, 0, mask.shape), mask)
    for contour in contours:
        for (x0, y0), (x1, y1) in zip(contour.points, contour.points[1:] + contour.points[:1], strict=True):
            assert max(abs(x0 - x1), abs(y0 - y1)) == (len(contour.points) > 1)


@given(st.integers(0, 2**32 - 1), st.integers(-1000, 1000))
@settings(max_examples=25, deadline=None)
def test_a_written_mask_is_read_back_at_its_place(tmp_path_factory, seed, corner):
    from xfworker.adapters.images.registry import image_formats
    from xfworker.domain.image.description import ImageInfo
    from xfworker.domain.image.pixel_type import PixelType

    mask = (np.random.default_rng(seed).random((3, 9, 17)) < 0.6).astype(np.uint8)
    mask[0, 0, 0] = mask[-1, -1, -1] = 1
    path = tmp_path_factory.mktemp("gobj") / "m.gobj"
    image = ImageInfo(
        path=path, format="-", size=(17, 9, 3), pixel_type=PixelType.UINT8, pixels_path=path,
        spacing_mm=(0.1, 0.1, 0.1), origin_mm=(corner * 0.1, 2.0, 0.5),
    )  # fmt: skip
    with image_formats().writer(path, image) as writer:
        writer.write(mask)
    with image_formats().reader(path) as reader:
        np.testing.assert_array_equal(reader.read(0, 3) != 0, mask != 0)
        assert reader.info.header["position"] == [corner, 20, 5]
        np.testing.assert_array_equal(reader.read(1, 2)[0] != 0, mask[1] != 0)


def test_an_empty_mask_and_fractions_have_no_contours(tmp_path, write_array):
    with pytest.raises(UnsupportedImage, match="empty"):
        write_array(tmp_path / "a.gobj", np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(UnsupportedImage, match="integers"):
        write_array(tmp_path / "a.gobj", np.zeros((2, 3, 4), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_shape_is_refused(tmp_path):
    path = tmp_path / "drawn.gobj"
    path.write_bytes(gobj(slice_record(1, 1), struct.pack("<9i", 9, 50, 60, 1, 4, 3, 0, 3, 0)))
    with pytest.raises(UnsupportedImage, match="kind 9"):
        read_contours(path)


def test_values_that_contours_do_not_hold_are_named(tmp_path, formats, write_array):
    for values, losses in ((127, ()), (3, ("the values: what is not 0 becomes 127",))):
        pixels = np.zeros((3, 5, 6), np.int16)
        pixels[1, 1:3, 2:4] = values
        source = write_array(tmp_path / f"{values}.omni", pixels)
        done = convert(formats, source, tmp_path / f"{values}.gobj")
        assert tuple(one for one in done.losses if "origin" not in one) == losses
