"""Values that people write as one string: read by the declared type, or by what they look like."""

import pytest

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.job_inputs import (
    complete_inputs,
    is_primitive,
    is_required,
    new_job_violations,
    read_string,
    read_untyped,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("Float", " 1.5", 1.5), ("Int", "-7", -7), ("String", " as it is ", " as it is "), ("Bool", "TRUE", True),
        ("Bool", " false ", False),
    ],
)  # fmt: skip
def test_a_string_is_read_by_the_declared_type(kind, text, value):
    read = read_string({"type": kind}, text)
    assert (read, type(read)) == (value, type(value))
    assert is_primitive({"type": kind})


@pytest.mark.parametrize(
    ("kind", "text"), [("Float", "inf"), ("Float", "x"), ("Int", "1.0"), ("Int", "1" * 20), ("Bool", "ja")]
)
def test_a_string_of_another_type_is_refused_by_name(kind, text):
    with pytest.raises(InvalidParameter, match=kind):
        read_string({"type": kind}, text)


def test_a_file_is_not_written_as_a_plain_value():
    assert not is_primitive({"type": "Image"})
    with pytest.raises(InvalidParameter, match="type Image is not a plain value; name a file"):
        read_string({"type": "Image"}, "a.isq")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("True", "True"), ("7", 7), ("-7", -7), ("007", "007"), ("1" * 40, "1" * 40),
     ("1e3", 1000.0), ("1e999", "1e999"), ("nan", "nan"), ("1_000", "1_000"), ("", ""), ("mouse 1", "mouse 1")],
)  # fmt: skip
def test_without_a_type_only_what_is_surely_a_number_is_one(text, value):
    read = read_untyped(text)
    assert (read, type(read)) == (value, type(value))


def test_what_is_required_and_not_given_is_named_and_the_rest_has_its_default():
    fields = [{"key": "n", "type": "Float"}, {"key": "m", "type": "Float", "default": 2}]
    interface = {"inputs": [*fields, {"key": "o", "type": "Float", "supported_modes": ["none"]}]}
    assert new_job_violations(interface, {"m": 1}) == ["inputs.n: is required and was not given (Float)"]
    assert complete_inputs(interface, {"n": 1}) == {"n": 1, "m": 2, "o": None}


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("false", False), ("NO", False), ("0", False)]
)
def test_a_bool_is_written_in_several_ways(text, value):
    assert read_string({"type": "Bool"}, text) is value


@pytest.mark.parametrize(
    ("kind", "expected"), [("Int", "an integer"), ("Float", "a finite number"), ("Bool", "true or false")]
)
def test_what_is_expected_is_said(kind, expected):
    with pytest.raises(InvalidParameter, match=rf"^expected {expected} \({kind}\), got 'x'"):
        read_string({"type": kind}, "x")


@pytest.mark.parametrize(
    ("field", "required"),
    [
        ({}, True),
        ({"default": 0}, False),
        ({"default": None}, True),
        ({"supported_modes": ["none", "ui"]}, False),
        ({"supported_modes": ["ui"]}, True),
        ({"supported_modes": None}, True),
    ],
)
def test_an_input_is_required_unless_it_has_a_default_or_may_be_without_a_value(field, required):
    assert is_required(field) is required
