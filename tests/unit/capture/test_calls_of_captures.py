"""How recorded calls are read, shown and found again: the rules of every kind of value."""

import pytest

from xfworker.services.capture.calls import RecordedCall, check_encoded, described, short
from xfworker.services.capture.matching import Matcher, as_template, differences, substituted

DAY, MOMENT, LATER = "2026-01-02", "2026-01-02T03:04:05.678+01:00", "2026-01-03 03:04Z"
UUID, OTHER = "0b0c9e70-6a7f-4a39-8a8e-c6a0d6b1f001", "0b0c9e70-6a7f-4a39-8a8e-c6a0d6b1f002"
SECRET = {"$": "secret"}


def call(number, args, name="f", **more):
    return RecordedCall(number=number, name=name, args=args, **more)


def test_a_line_is_read_with_all_that_it_says():
    row = {
        "number": 7, "call": "Image.save", "args": {"x": 1}, "self": 3, "kind": "get", "result": 5,
        "raised": {"$": "exception"}, "after": {"a": 1}, "wrote": [{"$": "path"}, "no file"], "times": 4,
    }  # fmt: skip
    read = RecordedCall.from_json(row)
    assert (read.number, read.function, read.args, read.owner, read.is_data) == (7, "save", {"x": 1}, 3, True)
    assert (read.result, read.raised, read.after, read.wrote) == (5, {"$": "exception"}, {"a": 1}, ({"$": "path"},))
    least = RecordedCall.from_json({"number": 1, "call": "f", "args": {}})
    assert (read.times, least.times, least.is_data, call(1, {}).is_data) == (4, 1, False, False)


@pytest.mark.parametrize(
    "row",
    [
        {"raised": "no"}, {"wrote": {}}, {"after": []},
        {"self": "1"}, {"after": {"x": {"$": "float", "value": "much"}}},
        {"raised": {"x": {"$": "float"}}}, {"wrote": [{"$": "float"}]}, {"result": {"$": "float"}},
        *({"result": {"$": kind, "items": {}}} for kind in ("tuple", "list", "set", "frozenset", "dict")),
    ],
)  # fmt: skip
def test_a_line_of_another_form_is_refused(row):
    with pytest.raises((ValueError, TypeError, KeyError)):
        RecordedCall.from_json({"number": 1, "call": "f", "args": {}, **row})
    check_encoded({"$": "object"})
    check_encoded({"$": "float", "value": "inf"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1]}, "{'a': [1]}"),
        *(({"$": kind, "items": [1, 2]}, "(1, 2)") for kind in ("tuple", "list", "set", "frozenset")),
        ({"$": "object", "class": "Image", "name": "a"}, "<object Image>"),
        ({"$": "path", "name": "a.raw", "value": "b"}, "<path a.raw>"),
        ({"$": "uuid", "value": "0b0c"}, "<uuid 0b0c>"),
        ({"$": "secret"}, "<secret>"),
        ({"a": {"a": {"a": {"a": {"a": 1}}}}}, "{'a': {'a': {'a': {'a': {'a': ...}}}}}"),
        ({"$": "list", "items": [[[[[1]]]]]}, "([[[[...]]]],)"),
        ("x" * 99, "'" + "x" * 59),
        (list(range(99)), str(list(range(99)))[:60]),
    ],
)
def test_values_are_shown_to_people_in_a_word(value, shown):
    assert short(value) == shown
    assert described("f", {f"key{n}": 1 for n in range(99)}).startswith("f(key0=1, key1=1, ")
    assert len(described("f", {f"key{n}": 1 for n in range(99)})) == 200


@pytest.mark.parametrize(
    ("recorded", "actual", "expected"),
    [
        (SECRET, SECRET, 0), (SECRET, "a", 1), ("a", SECRET, 1), (SECRET, 5, 1), (2.5, SECRET, 1), (SECRET, [1], None),
        ([1], SECRET, None), (SECRET, None, None), (None, SECRET, None), (MOMENT, LATER, 1), (MOMENT, MOMENT, 0),
        (UUID, OTHER, 1), ("{" + UUID.upper() + "}", OTHER, 1), (UUID, MOMENT, None), (DAY, DAY[:-1] + "3", None),
        ("a", "b", None), ({"a": 1}, {"$": "object"}, None), ({"$": "object"}, {"a": 1}, None),
        ({"a": 1}, {"b": 1}, None), ({"a": UUID, "b": MOMENT}, {"a": OTHER, "b": LATER}, 2),
        ({"$": "path", "name": "a", "folder": 1}, {"$": "path", "name": "a", "folder": 1, "file": {}}, 0),
        ({"$": "path", "name": "a", "folder": 1}, {"$": "path", "name": "a", "folder": 2}, 1),
        ({"$": "path", "name": "a", "folder": 1}, {"$": "path", "name": "b", "folder": 1}, 1),
        ({"$": "object", "id": 1, "class": "A"}, {"$": "object", "id": 2, "class": "A"}, 1),
        ({"$": "object", "id": 1, "class": "A"}, {"$": "object", "id": 2, "class": "B"}, 2),
        ({"$": "object", "id": 1, "class": "A"}, {"$": "object", "id": 1, "class": "A", "state": {}}, 0),
        ({"$": "exception", "args": [1]}, {"$": "exception"}, 0),
        ({"$": "uuid", "value": "a"}, {"$": "uuid", "value": "a", "class": "x"}, 0),
        *(({"$": kind, "value": "a"}, {"$": kind, "value": "b"}, 1) for kind in ("datetime", "date", "time")),
        ({"$": "enum", "name": "ON", "value": 1}, {"$": "enum", "name": "ON", "value": 2}, 0),
        ({"$": "range", "start": 1, "class": "A"}, {"$": "range", "start": 1}, 0),
        ({"$": "range", "start": 1}, {"$": "range", "start": 1, "class": "B"}, 0),
        ({"$": "decimal", "value": "1"}, {"$": "decimal", "value": "2"}, None),
        ({"$": "list", "items": [1]}, [1], 0), ({"$": "set", "items": [1]}, [1], None),
        (1, 1.0, 0), (1.0, 1 + 1e-12, 1), (10**15, 10**15 + 1, None), (1, 1 + 1e-12, 1), (0.0, 1e-300, None),
        (False, 0, None), (True, True, 0), (None, None, 0), (None, "", None), ("1", 1, None), (1, None, None),
    ],
)  # fmt: skip
def test_two_values_are_alike_by_the_rules_of_their_kinds(recorded, actual, expected):
    assert differences(recorded, actual) == expected


def test_an_answer_is_that_of_the_own_object_and_what_nobody_asked_for_is_left():
    calls = [call(1, {}, "Image.size", owner=4), call(2, {}, "Image.size", owner=5), call(3, {"x": 1}, "g")]
    matcher = Matcher(calls)
    assert matcher.find("Image.size", {}, owner=5).number == 2
    assert matcher.find("Image.size", {}, owner=6) is None
    assert matcher.find("g", {"x": 2}) is None
    assert (matcher.unused, list(matcher.named("g"))) == ([calls[0], calls[2]], [calls[2]])
    assert list(matcher.named("absent")) == []


def test_the_nearest_calls_are_at_most_three_of_which_those_that_share_most_come_first():
    calls = [call(n, {"a": n, "b": n}) for n in (1, 2, 3, 4)]
    assert Matcher(calls).nearest("f", {"b": 3, "c": 3}) == ["f(a=3, b=3)", "f(a=1, b=1)", "f(a=2, b=2)"]
    named = Matcher([call(1, {}, "x.get_x"), call(2, {}, "x.get_xf_task"), call(3, {}, "x.gap")])
    assert named.nearest("x.get_xf_job", {}) == ["x.get_xf_task()", "x.get_x()"]


def test_what_a_result_repeats_of_its_arguments_is_replaced_and_what_says_its_kind_is_kept():
    recorded = {"name": "one", "paths": [{"$": "path", "class": "one", "sha256": "one", "name": "a.raw"}], "n": 1}
    actual = {"name": "two", "paths": {"$": "list", "items": [
        {"$": "other", "class": "two", "sha256": "two", "name": "b.raw"}, "more"]}, "n": "z", "extra": "w"}  # fmt: skip
    result = ["one", {"$": "path", "class": "one", "sha256": "a.raw", "name": "a.raw", "more": ["a.raw", 1, None]}]
    assert substituted(result, recorded, actual) == [
        "two",
        {"$": "path", "class": "one", "sha256": "a.raw", "name": "b.raw", "more": ["b.raw", 1, None]},
    ]
    assert substituted(["a", "path"], {"x": "a"}, {"x": "b"}) == ["a", "path"]
    assert substituted(["ab"], {"x": "ab"}, {"x": "cd"}) == ["cd"]
    assert substituted(["one"], {"x": "one"}, {"x": 5}) == ["one"]
    assert substituted(["one"], {"x": ["one"]}, {"x": 5}) == ["one"]
    kinds = {"$": "path", "class": "c1", "sha256": "d1"}, {"$": "other", "class": "c2", "sha256": "d2"}
    assert substituted([*kinds[0].values()], {"x": kinds[0]}, {"x": kinds[1]}) == [*kinds[0].values()]
    assert substituted(kinds[0], {"x": [*kinds[0].values()]}, {"x": [*kinds[1].values()]}) == kinds[0]


@pytest.mark.parametrize("old", [None, True, False, 0, 1, "", [], {}])
def test_what_stands_in_every_result_is_no_argument_that_is_repeated(old):
    assert as_template({"value": old}, {"x": old}, {"x": "new"}) == {"value": old}
    assert as_template({"value": "old", "n": 2}, {"x": "old", "y": 2}, {"x": "new", "z": 9}) == {"value": "new", "n": 2}
    assert as_template([2, 2.0], {"x": 2}, {"x": 3}) == [3, 2.0]
