"""Which recorded call answers a call."""

import math
import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.matching import Matcher, as_template, differences, substituted

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
FRESH = st.uuids().map(str)
PATHS = st.builds(
    lambda name, folder: {"$": "path", "name": name, "folder": folder}, st.text(max_size=5), st.integers()
)
OBJECTS = st.builds(lambda n: {"$": "object", "id": n, "class": "Image"}, st.integers(1, 9))
VALUES = st.recursive(
    SCALARS | FRESH | PATHS | OBJECTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4).filter(lambda key: key != "$"), inner, max_size=3)
        | st.lists(inner, max_size=3).map(lambda items: {"$": "tuple", "items": items})
    ),
    max_leaves=8,
)


def call(number, args, name="f", **more):
    return RecordedCall(number=number, name=name, args=args, **more)


@given(VALUES)
@settings(deadline=None)
def test_every_value_is_the_same_as_itself(value):
    assert differences(value, value) == 0


@given(VALUES, VALUES)
@settings(deadline=None)
def test_whether_values_are_alike_does_not_depend_on_which_one_was_recorded(left, right):
    assert (differences(left, right) is None) == (differences(right, left) is None)


@given(st.lists(st.sampled_from(["a", "b", 1, 2.5, None]), min_size=1, max_size=8), st.data())
@settings(deadline=None)
def test_calls_are_answered_in_order_and_the_last_answer_again_when_all_were_given(asked, data):
    matcher = Matcher([call(number, {"x": value}) for number, value in enumerate(asked, 1)])
    value = data.draw(st.sampled_from(asked))
    numbers = [number for number, item in enumerate(asked, 1) if item == value]

    found = [matcher.find("f", {"x": value}).number for _ in range(len(numbers) + 3)]

    assert found == [*numbers, *[numbers[-1]] * 3]


@given(st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None)
def test_an_answer_that_was_given_several_times_in_a_row_is_given_as_often(first, second):
    matcher = Matcher([call(1, {}, times=first), call(2, {}, times=second)])

    found = [matcher.find("f", {}).number for _ in range(first + second + 1)]

    assert found == [1] * first + [2] * second + [2]


@given(st.lists(FRESH, min_size=2, max_size=4, unique=True))
@settings(deadline=None)
def test_fresh_uuids_match_by_kind_and_known_ones_by_value(uuids):
    matcher = Matcher([call(number, {"uuid": text}) for number, text in enumerate(uuids, 1)])

    assert matcher.find("f", {"uuid": uuids[-1]}).number == len(uuids)
    assert matcher.find("f", {"uuid": str(uuid.uuid4())}).number == 1
    assert matcher.find("f", {"uuid": "sample 7"}) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-3, max_value=1e9))
@settings(deadline=None)
def test_numbers_may_differ_by_rounding_only(number):
    assert differences(number, math.nextafter(number, math.inf)) is not None
    assert differences(number, number * 1.001) is None


def test_true_is_not_one_and_a_tuple_is_a_list():
    assert differences(True, 1) is None
    assert differences([1, 2], {"$": "tuple", "items": [1, 2]}) == 0


def test_the_same_object_goes_before_another_one_of_its_kind():
    matcher = Matcher([call(1, {}, owner=4), call(2, {}, owner=5)])

    assert matcher.find("f", {}, owner=5).number == 2
    assert matcher.find("f", {}, owner=5).number == 2
    assert matcher.find("f", {}, owner=9).number == 1


def test_another_calibration_gives_no_answer():
    matcher = Matcher([call(1, {"x": 1.0}, name="Calibration.calibrated_to_raw", owner=4)])

    assert matcher.find("Calibration.calibrated_to_raw", {"x": 1.0}, owner=5) is None


def test_the_nearest_calls_are_of_the_same_name_with_the_most_same_arguments_first():
    matcher = Matcher([call(1, {"a": 1, "b": 2}), call(2, {"a": 9, "b": 9}), call(3, {"a": 1, "b": 3}, name="other")])

    assert matcher.nearest("f", {"a": 1, "b": 9}) == ["f(a=1, b=2)", "f(a=9, b=9)"]


@given(FRESH, FRESH)
@settings(deadline=None)
def test_a_result_repeats_what_the_call_was_given(before, now):
    result = {"identity": [before, "bone"], "nested": {"id": before}}

    given_now = substituted(result, {"uuid": before, "name": "bone"}, {"uuid": now, "name": "bone"})

    assert given_now == {"identity": [now, "bone"], "nested": {"id": now}}


def test_a_template_takes_over_arguments_that_the_result_repeats():
    model = {"T": "Image", "file": "a.omni", "dims": [1, 2, 3], "owner": 17}

    made = as_template(model, {"filename": "a.omni", "size": [1, 2, 3]}, {"filename": "b.omni", "size": [4, 5, 6]})

    assert made == {"T": "Image", "file": "b.omni", "dims": [4, 5, 6], "owner": 17}
