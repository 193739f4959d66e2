"""The rules of JSON Schema that packages are checked by, one by one."""

import pytest

from xfworker.domain.schema_violations import schema_violations


@pytest.mark.parametrize(
    ("value", "schema", "violation"),
    [
        (1, {"const": 2}, "a: 2 was expected"),
        (True, {"const": 1}, "a: 1 was expected"),
        ([], {"minItems": 1}, "a: [] has too few items"),
        ([1, 2, 1], {"uniqueItems": True}, "a: [1, 2, 1] has the same item twice"),
        (0, {"minimum": 1}, "a: 0 is less than the minimum of 1"),
        (3, {"maximum": 2}, "a: 3 is more than the maximum of 2"),
        (1, {"exclusiveMinimum": 1}, "a: 1 is not above 1"),
        ("", {"minLength": 1}, "a: '' is too short"),
        ("abc", {"maxLength": 2}, "a: has more than 2 characters"),
        ("abc", {"pattern": "^b"}, "a: 'abc' does not match ^b"),
        (True, {"type": "integer"}, "a: True is not of type 'integer'"),
        (3, {"enum": [1, 2]}, "a: 3 is not one of [1, 2]"),
        ({}, {"required": ["x"]}, "a: 'x' is a required property"),
        ("x" * 180, {"const": 1}, "a: 1 was expected"),
        ("x" * 181, {"enum": []}, f"a: '{'x' * 181}' is not one of []"),
        ("x" * 182, {"enum": []}, f"a: '{'x' * 182}' is not one o..."),
        ([{"x": "no"}], {"items": {"properties": {"x": {"type": "number"}}}}, "a[0].x: 'no' is not of type 'number'"),
        ({"y": "no"}, {"additionalProperties": {"type": "number"}}, "a.y: 'no' is not of type 'number'"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_path(value, schema, violation):
    assert list(schema_violations(value, schema, "a")) == [violation]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, True), (2, {"const": 2}), ([1], {"minItems": 1}), ([1, True], {"uniqueItems": True}),
        (1, {"minimum": 1}), (1, {"maximum": 1}), (2, {"exclusiveMinimum": 1}),
        ("a", {"minLength": 1, "maxLength": 1, "pattern": "a"}),
        (None, {"type": ["null", "string"]}), (1.5, {}), (None, {}), ({"y": 1}, {"properties": {"x": True}}),
    ],
)  # fmt: skip
def test_what_keeps_the_rules_is_let_through(value, schema):
    assert list(schema_violations(value, schema, "a")) == []


def test_a_property_that_is_not_allowed_is_named_with_those_that_are():
    schema = {"properties": {"x": True}, "additionalProperties": False}
    (violation,) = schema_violations({"y": 1}, schema, "")
    assert violation.startswith("Additional properties are not allowed ('y' is none of x)")
