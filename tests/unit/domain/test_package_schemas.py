"""What the files of packages may hold, key by key: a full example of each is let through, and what is wrong is not."""

import copy

import pytest

from xfworker.domain.package_schemas import (
    DEPENDENCIES,
    INSTALLED_PACKAGE,
    INTERFACE,
    INTERFACE_FIELD,
    INTERFACE_OF_RECORD,
    PARAMETER_TYPES,
    SOURCES,
    TASKS,
    metadata_schema,
)
from xfworker.domain.schema_violations import schema_violations

REFERENCE = {"name": "Lab.Tools", "version": "1.2.3.4"}
METADATA = {
    "package_format": "XFP-TT1.0",
    "name": "Lab.Threshold2",
    "version": "10.2.3.4",
    "display_name": "Threshold",
    "summary": "",
    "description_filename": "d",
    "citation_cff_filename": "c",
    "remarks": "Two\nlines",
    "author": {"name": "A", "email": "a@example.org", "website": "https://example.org"},
    "dependencies": [REFERENCE],
    "kind": "Source",
    "limits": {"time_seconds": 0.5, "memory_mib": 0.5},
    "resources": {"cores": 1, "memory_mib": 0.5, "gpus": 0, "scratch": "local", "time_seconds": 0.5},
    "own key": 1,
}
DEPENDENCY = {
    **{key: METADATA[key] for key in ("name", "version", "dependencies")},
    "package_format": "XFP-DEP1.0",
    "install": "i",
    "parameter_types": [{"name": "n", "$ref": "r"}],
}
FIELD = {
    "key": "k",
    "type": "t",
    "supported_modes": ["none", "output", "fixed", "define_on_first", "ui"],
    "default": None,
    "minimum": 0.5,
    "maximum": 0.5,
    "multipleOf": 0.5,
    "enum": ["a"],
    "format": "multiline",
    "description": "",
}
OUTPUT = {**FIELD, "supported_modes": "whatever"}
INSTALLED = {"archive": "a", "sha256": "0123456789abcdef" * 4, "complete": True, "metadata": {}, "script": None}
TASK = {"name": "First", "task_type": REFERENCE, "inputs": {"x": {"mode": "none"}}}
EXAMPLES = {
    "task type": (metadata_schema("XFP-TT1.0"), METADATA),
    "dependency": (metadata_schema("XFP-DEP1.0"), DEPENDENCY),
    "interface": (INTERFACE, {"inputs": [FIELD], "outputs": [OUTPUT]}),
    "interface of a record": (INTERFACE_OF_RECORD, {"inputs": [FIELD], "outputs": [OUTPUT]}),
    "field": (INTERFACE_FIELD, {"key": "k", "type": "t", "supported_modes": ["whatever"]}),
    "dependencies": (DEPENDENCIES, [REFERENCE, {**REFERENCE, "version": None}, {"name": "Lab.Tools"}]),
    "parameter types": (PARAMETER_TYPES, DEPENDENCY["parameter_types"]),
    "installed": (INSTALLED_PACKAGE, INSTALLED),
    "tasks": (TASKS, {"tasks": [TASK]}),
}
SOURCE_EXAMPLES = {
    "none": {}, "fixed": {"fixed_value": 1.5}, "output": {"task": 0, "key": "k"},
    "define_on_first": {"template": None}, "ui": {},
}  # fmt: skip
_ABSENT = object()


def changed(example, path, value):
    """Give a copy with another value at a path, or without what is there."""
    whole = copy.deepcopy(example)
    *parents, last = path
    place = whole
    for part in parents:
        place = place[part]
    if value is _ABSENT:
        del place[last]
    else:
        place[last] = value
    return whole


def is_let_through(schema, value):
    return not list(schema_violations(value, schema))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_full_example_is_let_through(name):
    schema, example = EXAMPLES[name]
    assert list(schema_violations(example, schema)) == []


COMMON = [
    (("package_format",), ["XFP-DEP1.0", "XFP-TT1.0", "XFP-WF1.0"], ["XFP-WF2.0", _ABSENT]),
    (("name",), ["a", "a" * 50, "A.9z"], ["", "a" * 51, "a-b", "a b", "name\n", 3, _ABSENT]),
    (
        ("version",),
        ["0.0.0.0", "9.9.9." + "9" * 44],
        ["1.2.3", "1.2.3.4.5", "1.2.3.a", "1.2.3.4\n", "9.9.9." + "9" * 45, 1, _ABSENT],
    ),
    (("dependencies",), [[], _ABSENT], [REFERENCE, [1]]),
    (("dependencies", 0, "name"), ["Other"], ["", "a b", _ABSENT]),
    (("dependencies", 0, "version"), ["0.0.0.1"], ["1.2", None, _ABSENT]),
    (("dependencies", 0, "other"), [], [1]),
]  # fmt: skip
LIMIT = ([1, 0.001, _ABSENT], [0, -1, "1", None])
FIELDS = [
    (("key",), ["a b"], ["", 1, _ABSENT]),
    (("type",), ["Image"], ["", 1, _ABSENT]),
    (("default",), ["s", 1.5, 1, True, _ABSENT], [[], {}]),
    (("minimum",), [0, -1, _ABSENT], ["1", None]),
    (("maximum",), [0, -1, _ABSENT], ["1", None]),
    (("multipleOf",), [0.001, 1, _ABSENT], [0, -1, "1"]),
    (("enum",), [["a", "b"], _ABSENT], [[], ["a", "a"], [1], "a"]),
    (("format",), ["multiline", "commonmark", "date-time", _ABSENT], ["html", 1]),
    (("description",), ["Two\nlines", _ABSENT], [1, None]),
    (("other",), [1], []),
]
MODES = (
    ("supported_modes",),
    [[], ["none"], ["output"], ["fixed"], ["define_on_first"], ["ui"], _ABSENT],
    [["other"], ["ui", "ui"], "ui"],
)
CHANGES = {
    "task type": [
        *COMMON,
        (("display_name",), ["d" * 50, _ABSENT], ["", "d" * 51, "a\nb", "a\rb", "a\n", 1]),
        (("summary",), ["s" * 51, _ABSENT], ["a\nb", "a\rb", "a\n", 1]),
        (("description_filename",), [_ABSENT], ["", 1]),
        (("citation_cff_filename",), [_ABSENT], ["", 1]),
        (("remarks",), ["", _ABSENT], [1]),
        (("author",), [{}, _ABSENT], ["A", []]),
        (("author", "name"), ["", _ABSENT], [1]),
        (("author", "email"), ["", _ABSENT], [1]),
        (("author", "website"), ["", _ABSENT], [1]),
        (("author", "phone"), [], ["1"]),
        (("kind",), ["Processing", "Interactive", "Source", _ABSENT], ["Other", 1]),
        (("limits",), [{}, _ABSENT], [1]),
        (("limits", "time_seconds"), *LIMIT),
        (("limits", "memory_mib"), *LIMIT),
        (("limits", "cores"), [], [1]),
        (("resources",), [{}, _ABSENT], [1]),
        (("resources", "cores"), [1_000_000, _ABSENT], [0, 1_000_001, 1.5, "1"]),
        (("resources", "memory_mib"), *LIMIT),
        (("resources", "gpus"), [1_000_000, _ABSENT], [-1, 1_000_001, 1.5, "1"]),
        (("resources", "scratch"), ["local", "shared", _ABSENT], ["other"]),
        (("resources", "time_seconds"), *LIMIT),
        (("resources", "disks"), [], [1]),
    ],
    "dependency": [
        *COMMON,
        (("install",), ["pip install x", _ABSENT], ["", 1]),
        (("parameter_types",), [[], _ABSENT], [1]),
    ],
    "parameter types": [
        ((0,), [], [1]),
        ((0, "name"), ["n n"], ["", 1, _ABSENT]),
        ((0, "$ref"), ["r.json"], ["", 1, _ABSENT]),
        ((0, "other"), [1], []),
    ],
    "interface": [
        (("inputs",), [[]], [1, [1], _ABSENT]),
        (("outputs",), [[]], [1, [1], _ABSENT]),
        *[(("inputs", 0, *path), good, bad) for path, good, bad in [*FIELDS, MODES]],
        *[(("outputs", 0, *path), good, bad) for path, good, bad in FIELDS],
        (("other",), [1], []),
    ],
    "interface of a record": [
        (("inputs",), [[], _ABSENT], [1, [1]]),
        (("outputs",), [[], _ABSENT], [1, [1]]),
    ],
    "field": [
        (("key",), ["a b"], ["", 1, _ABSENT]),
        (("type",), ["Image"], ["", 1, _ABSENT]),
        (("supported_modes",), [[], _ABSENT], [[1], "ui"]),
        (("minimum",), ["whatever"], []),
    ],
    "dependencies": [
        ((0,), [], [1]),
        ((0, "name"), ["Other"], ["", "a b", _ABSENT]),
        ((0, "version"), ["0.0.0.1", None, _ABSENT], ["1.2", 1]),
        ((0, "other"), [], [1]),
    ],
    "installed": [
        (("archive",), ["a" * 200], ["", "a" * 201, 1, _ABSENT]),
        (("sha256",), ["f" * 64], ["f" * 63, "f" * 65, "F" * 64, "f" * 64 + "\n", 1, _ABSENT]),
        (("complete",), [False], [1, _ABSENT]),
        (("metadata",), [{"a": 1}, _ABSENT], [1, None]),
        (("script",), ["main.py", _ABSENT], [1]),
        (("other",), [], [1]),
    ],
    "tasks": [
        (("tasks",), [[TASK, TASK]], [[], 1, [1], _ABSENT]),
        (("tasks", 0, "name"), ["n" * 200, _ABSENT], ["n" * 201, "", "a\nb", "a\rb", "a\n", 1]),
        (("tasks", 0, "task_type"), [], [1, {**REFERENCE, "other": 1}, _ABSENT]),
        (("tasks", 0, "task_type", "name"), [], [_ABSENT]),
        (("tasks", 0, "task_type", "version"), [], [_ABSENT]),
        (("tasks", 0, "inputs"), [{}], [1, {"x": 1}, {"x": {}}, _ABSENT]),
        (("tasks", 0, "inputs", "x", "mode"), list(SOURCE_EXAMPLES), ["other", 1, _ABSENT]),
        (("tasks", 0, "inputs", "x", "other"), [1], []),
        (("other",), [1], []),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_key_takes_what_is_documented_and_nothing_else(name):
    schema, example = EXAMPLES[name]
    for path, good, bad in CHANGES[name]:
        for value in good:
            assert is_let_through(schema, changed(example, path, value)), (path, value)
        for value in bad:
            assert not is_let_through(schema, changed(example, path, value)), (path, value)


@pytest.mark.parametrize("mode", SOURCE_EXAMPLES)
def test_a_source_holds_exactly_the_keys_of_its_mode(mode):
    schema, own = SOURCES[mode], SOURCE_EXAMPLES[mode]
    source = {"mode": mode, **own}
    assert is_let_through(schema, source)
    assert not is_let_through(schema, {**source, "mode": "other"})
    assert not is_let_through(schema, {**source, "other": 1})
    for key in source:
        assert not is_let_through(schema, changed(source, (key,), _ABSENT))


def test_a_fixed_value_is_a_primitive_and_an_output_is_of_a_task_by_its_number():
    assert all(
        is_let_through(SOURCES["fixed"], {"mode": "fixed", "fixed_value": value}) for value in (1, 1.5, "s", True)
    )
    for mode, key, wrong in [
        ("fixed", "fixed_value", None), ("fixed", "fixed_value", []), ("define_on_first", "template", 1),
        ("output", "task", -1), ("output", "task", "0"), ("output", "key", ""), ("output", "key", 1),
    ]:  # fmt: skip
        source = {"mode": mode, **SOURCE_EXAMPLES[mode], key: wrong}
        assert not is_let_through(SOURCES[mode], source), source


@pytest.mark.parametrize("value", [1, []])
@pytest.mark.parametrize("schema", [*(schema for schema, _ in EXAMPLES.values()), metadata_schema("XFP-WF1.0")])
def test_what_is_of_another_kind_altogether_is_refused(schema, value):
    assert not is_let_through(schema, {} if schema.get("type") == "array" and value == [] else value)


def test_metadata_of_an_unknown_format_are_checked_for_what_all_have_in_common():
    (violation,) = schema_violations({**METADATA, "package_format": "XFP-XX9.0", "limits": 1}, metadata_schema(None))
    assert violation.startswith("package_format: 'XFP-XX9.0' is not one of")
    assert list(schema_violations({}, metadata_schema(None))) == [
        f"'{key}' is a required property" for key in ("package_format", "name", "version")
    ]
    assert list(schema_violations([], metadata_schema(None))) == ["[] is not of type 'object'"]
    for package_format, wrong in (("XFP-TT1.0", {"limits": 1}), ("XFP-DEP1.0", {"install": 1})):
        assert not is_let_through(
            metadata_schema(package_format), {**METADATA, "package_format": package_format} | wrong
        )
    workflow = {"package_format": "XFP-WF1.0", "name": "Lab.Flow", "version": "1.0.0.0"}
    assert is_let_through(metadata_schema("XFP-WF1.0"), workflow)


HANDLED = {
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "uniqueItems",
    "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum",
}  # fmt: skip


def schemas_within(schema):
    if isinstance(schema, dict):
        yield schema
        for inner in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
            yield from schemas_within(inner)


@pytest.mark.parametrize("schema", [*(schema for schema, _ in EXAMPLES.values()), *SOURCES.values()])
def test_every_keyword_of_a_schema_is_one_that_is_looked_at(schema):
    assert {keyword for each in schemas_within(schema) for keyword in each} <= HANDLED
