import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.change import SERVER_FIELDS, Change, apply, difference, pointer, pointer_keys
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Task

BASE = from_json(Job, {"serial": 1, "task_serial": 1, "workflow_serial": 1, "project_serial": 1})

values = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
objects = st.dictionaries(st.text(min_size=1, max_size=3), values, max_size=4)


@given(objects, objects, st.text(max_size=3))
def test_the_difference_leads_from_one_record_to_the_other(before, after, name):
    old = {**to_json(BASE), "metadata": before}
    new = {**to_json(BASE), "metadata": after, "name": name}

    assert to_json(apply(from_json(Job, old), difference(old, new))) == new


@given(objects, objects, objects)
def test_edits_of_different_keys_never_undo_each_other(base, mine, theirs):
    theirs = {f"their {key}": value for key, value in theirs.items()}
    old = {**to_json(BASE), "metadata": base}
    change = difference(old, {**old, "metadata": {**base, **mine}})
    moved_on = from_json(Job, {**old, "metadata": {**base, **theirs}})

    assert apply(moved_on, change).metadata == {**base, **theirs, **mine}


@given(st.text(min_size=1).filter(lambda key: key not in SERVER_FIELDS | {"extra"}), st.text())
def test_pointers_carry_any_key(first, second):
    assert pointer_keys(pointer(first, second)) == (first, second)


@pytest.mark.parametrize("text", ["name", "", "/", "/a/b/c", "/serial", "/occ_lock_version", "/created_at", "/extra/x"])
def test_pointers_that_reach_nowhere_or_where_only_the_server_writes_are_refused(text):
    with pytest.raises(InvalidRecord):
        apply(BASE, Change(values={text: 1}))


def test_true_is_a_change_from_one():
    assert difference({"metadata": {"a": 1}}, {"metadata": {"a": True}}).values == {"/metadata/a": True}


def test_fields_of_the_server_are_no_difference():
    assert not difference({"occ_lock_version": 1, "serial": 2}, {"occ_lock_version": 9, "serial": 3})


def test_an_unknown_field_can_be_set_and_removed():
    with_key = apply(BASE, Change(values={"/colour": "red"}))

    assert to_json(with_key)["colour"] == "red"
    assert "colour" not in to_json(apply(with_key, Change(removals=("/colour",))))


def test_a_change_that_makes_the_record_invalid_is_refused():
    with pytest.raises(InvalidRecord, match="job 1: inputs: expected object, got 3"):
        apply(BASE, Change(values={"/inputs": 3}))


def test_removing_what_is_not_there_is_no_fault():
    assert apply(BASE, Change(removals=("/metadata/error_message",))) == BASE


def test_a_field_that_is_removed_becomes_what_it_is_without_a_value():
    marked = from_json(Job, {**to_json(BASE), "metadata": {"a": 1}, "name": "kept"})
    after = apply(marked, Change(values={}, removals=("/metadata",)))
    assert (after.metadata, after.name) == ({}, "kept")


def test_a_change_of_what_nobody_knows_leaves_lists_as_they_are():
    task = Task(serial=1, workflow_serial=1, task_type_serial=1, inputs=[{"key": "image", "mode": "ui"}])
    after = apply(task, Change(values={"/colour": "red"}))
    assert (after.inputs, after.extra) == (task.inputs, {"colour": "red"})


@pytest.mark.parametrize(
    ("before", "after", "values", "removals"),
    [
        ({}, {}, {}, ()),
        ({}, {"a": 1}, {"/a": 1}, ()),
        ({}, {"a": None}, {"/a": None}, ()),
        ({"a": 1, "b": 1}, {"b": 2}, {"/b": 2}, ("/a",)),
        ({"a": 1}, {"a": 1}, {}, ()),
        ({"a": 1}, {"a": True}, {"/a": True}, ()),
        ({"a": 1}, {"a": 1.0}, {"/a": 1.0}, ()),
        ({"a": 1.0}, {"a": 1.0}, {}, ()),
        ({"state": "Ready"}, {"state": JobState.READY}, {}, ()),
        ({"a": [1, [2]]}, {"a": [1, [2]]}, {}, ()),
        ({"a": [1]}, {"a": [1, 2]}, {"/a": [1, 2]}, ()),
        ({"a": [1]}, {"a": [True]}, {"/a": [True]}, ()),
        ({"a": [1]}, {"a": 1}, {"/a": 1}, ()),
        ({"a": 1}, {"a": [1]}, {"/a": [1]}, ()),
        ({"m": {"x": 1}}, {"m": {"x": 1, "y": 2}}, {"/m/y": 2}, ()),
        ({"m": {"x": 1, "y": 2}}, {"m": {"y": 2}}, {}, ("/m/x",)),
        ({"m": {"x": {"k": 1}}}, {"m": {"x": {"k": 1}}}, {}, ()),
        ({"m": {"x": {"k": 1}}}, {"m": {"x": {"k": True}}}, {"/m/x": {"k": True}}, ()),
        ({"m": {"x": {"k": 1}}}, {"m": {"x": {"j": 1}}}, {"/m/x": {"j": 1}}, ()),
        ({"m": {"x": {}}}, {"m": {"x": 1}}, {"/m/x": 1}, ()),
        ({"m": {"x": 1}}, {"m": {"x": {}}}, {"/m/x": {}}, ()),
        ({"m": 1}, {"m": {"x": 1}}, {"/m": {"x": 1}}, ()),
    ],
)
def test_a_difference_is_what_differs_as_json_and_nothing_else(before, after, values, removals):
    change = difference(before, after)
    assert (change.values, change.removals, change.bump) == (values, removals, True)
    assert all(type(item) is type(values[name]) for name, item in change.values.items())
    assert bool(change) is bool(values or removals)


@pytest.mark.parametrize("name", ["serial", "occ_lock_version", "created_at", "modified_at", "extra"])
def test_what_only_the_server_sets_is_named_by_no_pointer(name):
    with pytest.raises(InvalidRecord, match="set by the server only"):
        pointer_keys(f"/{name}")


def test_a_change_leaves_the_record_before_as_it_was():
    before = from_json(Job, {**to_json(BASE), "metadata": {"kept": 1}, "unknown": {"y": 1}, "nothing": None})
    written = to_json(before)
    change = Change(values={"/metadata/a": 1, "/unknown/x": 2, "/nothing/z": 3})
    after = apply(before, change)
    assert (after.metadata, after.extra) == ({"kept": 1, "a": 1}, {"unknown": {"y": 1, "x": 2}, "nothing": {"z": 3}})
    assert to_json(before) == written


@pytest.mark.parametrize("also", [{}, {"/unknown": 1}])
@pytest.mark.parametrize(
    ("kind", "values"),
    [(Job, {"/metadata": 5}), (Job, {"/metadata": [1]}), (Task, {"/inputs": [1]}), (Task, {"/inputs": {"a": 1}})],
)
def test_what_is_no_object_or_no_list_of_objects_is_refused_where_one_belongs(kind, values, also):
    with pytest.raises(InvalidRecord):
        apply(from_json(kind, {"serial": 1, "task_serial": 1, "workflow_serial": 1, "task_type_serial": 1}), Change(
            values={**values, **also}
        ))  # fmt: skip


def test_nothing_is_put_below_what_is_no_object():
    before = from_json(Job, {**to_json(BASE), "unknown": 5})
    with pytest.raises(InvalidRecord, match=r"'/unknown/x': unknown is not an object"):
        apply(before, Change(values={"/unknown/x": 1}))


def test_tildes_and_slashes_in_keys_are_escaped():
    assert pointer("a~b/c", "~1") == "/a~0b~1c/~01"
    assert pointer_keys("/a~0b~1c/~01") == ("a~b/c", "~1")
