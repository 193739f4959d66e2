"""Whether values fit a task type's interface: all faults at once, each with its path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.interface import check_outputs, input_violations, output_violations

BITMAP = {"type": "Bitmap", "source": "job_result", "job_serial": 1, "filename": "a.png"}


def faults(field, value):
    return output_violations({"outputs": [{"key": "x", **field}]}, {"x": value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "Int"}, 3),
        ({"type": "Int", "minimum": 3, "maximum": 3}, 3),
        ({"type": "Float"}, 3),
        ({"type": "Float"}, 3.5),
        ({"type": "Float", "multipleOf": 0.1}, 0.3),
        ({"type": "Float", "multipleOf": 0.25}, -1.75),
        ({"type": "Bool"}, False),
        ({"type": "String"}, ""),
        ({"type": "String", "enum": ["a", "b"]}, "b"),
        ({"type": "String", "format": "date-time"}, "2024-05-01T12:00:00Z"),
        ({"type": "String", "format": "multiline"}, "a\nb"),
        ({"type": "Bitmap"}, BITMAP),
        ({"type": "Bitmap"}, None),
        ({"type": "NeverSeen"}, {"type": "NeverSeen", "anything": [1]}),
    ],
)
def test_values_that_fit(field, value):
    assert faults(field, value) == []


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ({"type": "Int"}, 3.0, "expected an integer (Int), got 3.0"),
        ({"type": "Int"}, True, "expected an integer"),
        ({"type": "Int"}, "3", "expected an integer"),
        ({"type": "Float"}, "3", "expected a finite number"),
        ({"type": "Float"}, float("inf"), "expected a finite number"),
        ({"type": "Float"}, True, "expected a finite number"),
        ({"type": "Bool"}, 1, "expected true or false"),
        ({"type": "String"}, 1, "expected a string"),
        ({"type": "String", "enum": ["a", "b"]}, "c", "none of 'a', 'b'"),
        ({"type": "String", "format": "date-time"}, "yesterday", "not a time"),
        ({"type": "Int", "minimum": 4}, 3, "below the minimum 4"),
        ({"type": "Float", "maximum": 2.5}, 3, "above the maximum 2.5"),
        ({"type": "Float", "multipleOf": 0.1}, 0.35, "not a multiple of 0.1"),
        ({"type": "Bitmap"}, "a.png", "expected a Bitmap"),
        ({"type": "Image"}, BITMAP, "expected an Image, got a Bitmap"),
        ({"type": "Bitmap"}, {**BITMAP, "filename": "../a"}, "outputs.x.filename"),
        ({"type": "Snapshot"}, {"type": "Snapshot", "bitmap": 3}, "outputs.x.bitmap: expected a Bitmap"),
        ({"type": "Sequence"}, {"type": "Sequence", "task_serial": 0, "key": "out"}, "task_serial: expected a serial"),
        ({"type": "NeverSeen"}, 3, "expected a NeverSeen"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_path(field, value, part):
    (fault,) = faults(field, value)
    assert fault.startswith("outputs.x")
    assert part in fault


def test_all_faults_are_told_at_once():
    interface = {"outputs": [{"key": "a", "type": "Int"}, {"key": "b", "type": "Float"}, {"key": "c", "type": "Bool"}]}
    with pytest.raises(InvalidParameter) as caught:
        check_outputs(interface, {"a": "x", "c": 0, "d": 1})
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "outputs.a",
        "outputs.b",
        "outputs.c",
        "outputs.d",
    ]
    assert all(fault in str(caught.value) for fault in caught.value.faults)


def test_outputs_that_do_not_fit_are_refused_together_and_others_are_not():
    interface = {"outputs": [{"key": "a", "type": "Int"}, {"key": "b", "type": "Int"}]}
    check_outputs(interface, {"a": 1, "b": 2})
    with pytest.raises(InvalidParameter, match="the outputs do not fit the task type's interface") as caught:
        check_outputs(interface, {"a": "x"})
    assert "a: " in str(caught.value)
    assert "b: " in str(caught.value)


def test_an_interface_without_outputs_declares_and_forbids_nothing():
    assert output_violations({}, {"anything": object()}) == []
    assert output_violations({"outputs": None}, {"anything": 1}) == []
    assert output_violations({"outputs": []}, {"anything": 1}) != []


def test_inputs_need_not_be_complete():
    interface = {"inputs": [{"key": "a", "type": "Int"}, {"key": "b", "type": "Int"}]}
    assert input_violations(interface, {"a": None}) == []
    assert input_violations(interface, {"c": 1, "b": "x"}) != []


@given(
    st.floats(min_value=1e-3, max_value=1e3),
    st.integers(min_value=-10_000, max_value=10_000),
)
def test_a_multiple_is_a_multiple_whatever_binary_floats_make_of_it(step, count):
    assert faults({"type": "Float", "multipleOf": step}, step * count) == []
