"""Polygons as chains of pixels along straight lines, and chains as polygons of few corners."""

from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.image.polygon import chain_of, corners_of

POINTS = st.tuples(st.integers(-30, 70), st.integers(-30, 70))


def _between(one, other, steps):
    return [(one[0] + (other[0] - one[0]) * step / steps, one[1] + (other[1] - one[1]) * step / steps)
            for step in range(steps)]  # fmt: skip


@given(POINTS, POINTS)
def test_a_line_goes_one_pixel_at_a_time_to_the_nearest_of_each_step_and_back(one, other):
    steps = max(abs(one[0] - other[0]), abs(one[1] - other[1]))
    chain = chain_of((one, other))
    assert len(chain) == max(2 * steps, 1)
    assert chain[0] == one
    ideal = [*_between(one, other, steps), *_between(other, one, steps)]
    assert all(-0.5 < x - a <= 0.5 and -0.5 < y - b <= 0.5 for (x, y), (a, b) in zip(chain, ideal, strict=False))


def test_of_two_pixels_that_are_as_near_it_is_the_one_with_the_larger_number():
    assert chain_of(((0, 0), (4, 2))) == ((0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (3, 2), (2, 1), (1, 1))
    assert chain_of(((0, 0), (2, 4))) == ((0, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 3), (1, 2), (1, 1))


def test_a_point_that_is_given_twice_counts_once():
    assert chain_of(((3, 4),)) == chain_of(((3, 4), (3, 4))) == ((3, 4),)
    assert chain_of(((0, 0), (0, 0), (1, 0))) == ((0, 0), (1, 0))
    assert corners_of(((3, 4),)) == ((3, 4),)


@given(POINTS, POINTS)
def test_a_line_has_two_corners_however_it_lies(one, other):
    assert set(corners_of(chain_of((one, other)))) == {one, other}
    assert len(corners_of(chain_of((one, other)))) == len({one, other})


def test_a_polygon_has_the_corners_that_it_was_made_of():
    for corners in (
        ((0, 0), (20, 0), (20, 10), (0, 10)), ((0, 0), (0, 10), (20, 10), (20, 0)),
        ((0, 0), (30, 7), (11, 25)), ((5, 0), (10, 5), (5, 10), (0, 5)),
    ):  # fmt: skip
        assert corners_of(chain_of(corners)) == corners


_STEPS = st.sampled_from([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)])


@given(st.lists(st.tuples(_STEPS, st.integers(1, 3)), min_size=1, max_size=30))
def test_any_chain_comes_back_from_its_corners(steps):
    places = [(0, 0)]
    for (x, y), times in steps:
        places += [(places[-1][0] + x * time, places[-1][1] + y * time) for time in range(1, times + 1)]
    chain = chain_of(places)
    corners = corners_of(chain)
    assert chain_of(corners) == chain
    assert len(corners) <= max(len(places), 1)
