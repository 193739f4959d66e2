"""Contours that are drawn: as chains, as a file that lies where it was drawn, and back to what can be drawn on."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.images.gobj import read_contours
from xfworker.adapters.images.gobj_drawing import write_drawn_contours
from xfworker.domain.errors import InvalidParameter, UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.polygon import chain_of, corners_of
from xfworker.services.images.drawn_contours import traced
from xfworker.services.images.placement import PlacedReader

POINTS = st.tuples(st.integers(0, 70), st.integers(0, 70))


@given(st.lists(POINTS, min_size=1, max_size=8))
def test_the_corners_of_a_polygons_chain_give_the_chain_again(corners):
    chain = chain_of(corners)
    assert chain_of(corners_of(chain)) == chain


@given(st.lists(POINTS, min_size=2, max_size=8))
def test_a_chain_steps_to_neighbours_only(corners):
    chain = chain_of(corners)
    for (x0, y0), (x1, y1) in zip(chain, (*chain[1:], chain[0]), strict=True):
        assert max(abs(x0 - x1), abs(y0 - y1)) <= 1


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.aim"
    return ImageInfo(
        path=path,
        format="AIM",
        size=(2304, 200, 50),
        pixel_type=PixelType.INT16,
        pixels_path=path,
        spacing_mm=(0.06069965, 0.06069965, 0.06069643),
        origin_mm=(0.06069965 * 300, 0.06069965 * 40, 0.06069643 * 7),
    )


def square(z, low, high):
    return {"z": z, "points": [[low, low], [high, low], [high, high], [low, high]]}


def test_what_is_drawn_lies_in_the_file_where_it_was_drawn(tmp_path, scan, formats):
    path = tmp_path / "drawn.gobj"
    write_drawn_contours(path, scan, traced([square(9, 10, 40), square(9, 20, 30), square(30, 5, 6)], scan))
    assert {contour.z for contour in read_contours(path).contours} == {16, 37}
    with formats.reader(path) as reader:
        mask = PlacedReader.over(reader, scan).read(0, 50) != 0
    expected = np.zeros((50, 200, 2304), np.bool_)
    expected[9, 10:41, 10:41] = True
    expected[9, 21:30, 21:30] = False  # a polygon within another one is a hole; its line belongs to the object
    expected[30, 5:7, 5:7] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("polygons", "said"),
    [
        ([], "draw at least one"),
        ([{"z": 50, "points": [[0, 0], [1, 0], [1, 1]]}], "slice from 0 to 49"),
        ([{"z": 1, "points": [[0, 0], [1, 0]]}], "at least 3"),
        ([{"z": 1, "points": [[0, 0], [1, 0], [0, 200]]}], "2304 x 200"),
        ([{"z": 1, "points": [[0, 0], [1, 0], [2304, 1]]}], "2304 x 200"),
        ([{"z": 1, "points": [[0, 0], [1, 0], [0.5, 3]]}], "2304 x 200"),
        ("no list", "draw at least one"),
    ],
)
def test_what_cannot_have_been_drawn_on_the_image_is_refused(scan, polygons, said):
    with pytest.raises(InvalidParameter, match=said):
        traced(polygons, scan)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"direction": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)}, "at an angle"),
        ({"origin_mm": (0.03, 0.0, 0.0)}, "between pixels"),
    ],
)
def test_an_image_whose_place_a_file_of_contours_cannot_state_is_refused(tmp_path, scan, change, said):
    with pytest.raises(UnsupportedImage, match=said):
        write_drawn_contours(tmp_path / "drawn.gobj", attrs.evolve(scan, **change), traced([square(1, 2, 9)], scan))
    assert list(tmp_path.iterdir()) == []
