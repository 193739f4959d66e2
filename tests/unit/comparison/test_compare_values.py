import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import UsageError
from xfworker.services.comparison.difference import Tolerance
from xfworker.services.comparison.values import compare_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=3), items, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_every_value_is_the_same_as_itself(value):
    assert compare_values(value, value, Tolerance()) == []


@given(JSON, JSON)
def test_values_of_any_shape_are_compared_without_a_fault_and_both_ways_alike(left, right):
    exact = Tolerance(relative=0)
    assert bool(compare_values(left, right, exact)) == bool(compare_values(right, left, exact))


@pytest.mark.parametrize(
    ("expected", "actual"),
    [(1, True), (0, False), (None, 0), ("1", 1), ([1], {"0": 1}), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1e308)],
)
def test_values_of_different_kinds_differ(expected, actual):
    assert len(compare_values(expected, actual, Tolerance(absolute=10, relative=1))) == 1


@pytest.mark.parametrize(("expected", "actual"), [(1, 1.0), (math.nan, math.nan), (-math.inf, -math.inf), (0.0, -0.0)])
def test_numbers_that_mean_the_same_are_the_same(expected, actual):
    assert compare_values(expected, actual, Tolerance(relative=0)) == []


def test_whole_numbers_too_large_for_a_float_are_told_apart():
    big = 10**400
    assert compare_values(big, big, Tolerance()) == []
    assert len(compare_values(2**60, 2**60 + 1, Tolerance(relative=0))) == 1
    assert len(compare_values(big, 0.5, Tolerance())) == 1


def test_the_tolerance_is_absolute_plus_a_part_of_the_expected_value():
    tolerance = Tolerance(absolute=0.5, relative=0.01)
    assert compare_values(100, 101.5, tolerance) == []
    assert len(compare_values(100, 101.6, tolerance)) == 1
    assert compare_values({"a": [1, 2]}, {"a": [1.2, 2]}, tolerance) == []


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_senseless_tolerance_is_refused(kind, wrong):
    with pytest.raises(UsageError, match=f"the {kind} tolerance must be .* at least 0"):
        Tolerance(**{kind: wrong})


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        (Tolerance(absolute=0.5, relative=0.01), "0.5 + 0.01 of the expected value"),
        (Tolerance(absolute=2, relative=0), "2"),
        (Tolerance(relative=0), "none"),
    ],
)
def test_a_tolerance_is_said_in_the_report(tolerance, said):
    assert str(compare_values(1, 9, tolerance)[0]) == f"$: expected 1, got 9, off by 8 (tolerance: {said})"


def test_each_difference_names_its_place():
    expected = {"bvtv": 0.25, "image": {"size": [10, 20, 30]}, "gone": 1}
    actual = {"bvtv": 0.5, "image": {"size": [10, 20, 31]}, "new": 2}
    lines = [str(difference) for difference in compare_values(expected, actual, Tolerance(), "outputs")]
    assert lines == [
        "outputs.bvtv: expected 0.25, got 0.5, off by 0.25 (tolerance: 1e-09 of the expected value)",
        "outputs.image.size[2]: expected 30, got 31, off by 1 (tolerance: 1e-09 of the expected value)",
        "outputs.gone: is missing; expected 1",
        "outputs.new: was not expected; got 2",
    ]


def test_a_difference_is_a_json_object_with_its_figures():
    (one,) = compare_values([1, 2], [1, 3], Tolerance(relative=0))
    message = "expected 2, got 3, off by 1 (tolerance: none)"
    assert one.to_json() == {"path": "$[1]", "message": message, "expected": 2, "actual": 3}
    (lacking,) = compare_values([1, 2], [1], Tolerance())
    assert lacking.to_json() == {"path": "$", "message": "expected 2 items, got 1"}


def test_long_values_are_cut_in_a_report():
    def said(value):
        return compare_values(value, None, Tolerance())[0].message

    assert said("x" * 78) == f"expected {'x' * 78!r}, got None"
    assert said("x" * 79) == f"expected '{'x' * 76}..., got None"
    big = f"{10**400}"
    assert str(compare_values(10**400, 0.5, Tolerance(relative=0))[0]) == (
        f"$: expected {big[:77]}..., got 0.5 (tolerance: none)"
    )
