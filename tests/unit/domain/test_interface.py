"""Whether values fit a task type's interface: all faults at once, each with its path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.interface import (
    declaration_violations,
    declared_fields,
    input_violations,
    interface_violations,
    output_violations,
    unusable_fields,
)

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
    assert output_violations(interface, {"a": "x", "c": 0, "d": 1}) == [
        "outputs.a: expected an integer (Int), got 'x'",
        "outputs.b: is missing (give None where there is no value)",
        "outputs.c: expected true or false (Bool), got 0",
        "outputs.d: is not declared in the interface (declared: a, b, c)",
    ]
    assert output_violations({"outputs": []}, {"a": 1}) == [
        "outputs.a: is not declared in the interface (declared: none)"
    ]
    assert output_violations(interface, {"a": 1, "b": 2, "c": None}) == []


@pytest.mark.parametrize("key", ["default", "minimum", "maximum", "multipleOf", "enum", "format"])
@pytest.mark.parametrize("part", ["inputs", "outputs"])
def test_a_key_of_a_declaration_is_for_some_types_only(part, key):
    values = {"Int": 1, "Float": 1.0, "String": "a", "Bool": True, "Image": 1}
    limits = {"default": None, "enum": ["a"], "format": "multiline"}
    taken = {
        type_name
        for type_name, value in values.items()
        if not list(
            declaration_violations(
                {part: ["odd", {"key": "x", "type": type_name, key: value if key == "default" else limits.get(key, 1)}]}
            )
        )
    }
    numbers = {"Int", "Float"}
    of_types = {
        "default": {*numbers, "String", "Bool"},
        "minimum": numbers,
        "maximum": numbers,
        "multipleOf": {"Float"},
    }
    assert taken == of_types.get(key, {"String"})


def test_what_is_declared_twice_the_wrong_way_round_or_with_an_unfit_default_is_named():
    declared = [
        "odd", {"key": 1}, {"key": "a", "type": "Int"}, {"key": "a", "type": "Int", "minimum": 2, "maximum": 1},
        {"key": "b", "type": "Int", "minimum": 1, "maximum": 1, "default": 2},
    ]  # fmt: skip
    assert list(declaration_violations({"inputs": declared})) == [
        "inputs[3].key: 'a' is declared twice",
        "inputs[3].minimum: 2 is more than the maximum 1",
        "inputs[4].default: 2 is above the maximum 1",
    ]


def test_what_cannot_be_used_of_an_interface_is_named_and_left_out():
    interface = {"inputs": {"a": 1}, "outputs": [{"key": "a"}, {"key": "b", "type": "Int"}]}
    assert unusable_fields(interface) == [
        "interface.inputs: {'a': 1} is not of type 'array'",
        "interface.outputs[0]: 'type' is a required property",
    ]
    assert list(declared_fields(interface, "outputs")) == ["b"]
    assert unusable_fields({"inputs": None}) == []


@pytest.mark.parametrize(
    ("value", "step", "is_multiple"),
    [
        (1e9 + 0.5, 1, False),
        (1e9, 1, True),
        (3.0, 0, True),
        (1e308, 1e-5, False),
        (0.35, 0.1, False),
        (-0.3, 0.1, True),
    ],
)
def test_a_multiple_is_one_however_large_it_is(value, step, is_multiple):
    assert (faults({"type": "Float", "multipleOf": step}, value) == []) == is_multiple


@pytest.mark.parametrize(
    ("text", "is_time"),
    [("2024-05-01 12:00:00", True), ("2024-05-01t12:00:00", True), ("2024-05-01", False), ("20240501", False)],
)
def test_a_time_has_a_day_and_an_hour(text, is_time):
    assert (faults({"type": "String", "format": "date-time"}, text) == []) == is_time


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


def test_what_is_wrong_with_an_interface_is_listed_by_shape_and_by_meaning():
    assert interface_violations({"inputs": [{"key": "a", "type": "Int"}]}) == interface_violations({}) == []
    shape, meaning = interface_violations(
        {"inputs": [{"key": "", "type": "Int"}], "outputs": [{"key": "a", "type": "Int"}] * 2}
    )
    assert shape.startswith("inputs[0].key: ")
    assert meaning.startswith("outputs[1].key: ")
