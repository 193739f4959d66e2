from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.conversion import (
    converter,
    format_time,
    from_json,
    from_own_json,
    parse_time,
    read_fields,
    structured,
    to_json,
)
from xfworker.domain.digests import Digests
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.records import RECORD_KINDS, Job, Project, Task, Worker

JOB = {"serial": 17, "task_serial": 1, "workflow_serial": 2, "project_serial": 3}


@pytest.fixture(params=[from_json, from_own_json])
def read(request):
    return request.param


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.dictionaries(st.text(), json_values, max_size=4))
def test_a_record_survives_a_round_trip_with_its_unknown_keys(inputs, unknown):
    wire = {**unknown, **JOB, "inputs": inputs}
    wire = {
        key: value for key, value in wire.items() if key in {*JOB, "inputs"} or key not in to_json(from_json(Job, JOB))
    }

    there = to_json(from_json(Job, wire))

    assert {key: there[key] for key in wire} == wire
    assert to_json(from_json(Job, there)) == there
    assert from_own_json(Job, there) == from_json(Job, wire)


def test_an_unset_optional_input_stays_present_as_none(read):
    assert read(Job, {**JOB, "inputs": {"mask": None}}).inputs == {"mask": None}


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"task_serial": "1"}, "task_serial: expected int, got '1'"),
        ({"task_serial": True}, "task_serial: expected int, got True"),
        ({"task_serial": 1.0}, "task_serial: expected int, got 1.0"),
        ({"inputs": [1]}, "inputs: expected object, got [1]"),
        ({"state": "Sleeping"}, "state: expected one of Waiting, Ready"),
        ({"started_at": "yesterday"}, "started_at: expected time (RFC 3339), got 'yesterday'"),
        ({"name": None}, "name: expected string, got None"),
        ({"name": ["x" * 56]}, f"name: expected string, got ['{'x' * 56}']"),
        ({"name": ["x" * 57]}, f"name: expected string, got ['{'x' * 55}..."),
        ({"started_at": 5}, "started_at: expected time, got 5"),
    ],
)
def test_a_fault_names_record_path_and_value(read, wrong, fault):
    with pytest.raises(InvalidRecord, match=r"^job 17: ") as caught:
        read(Job, {**JOB, **wrong})

    assert any(line.startswith(fault) for line in caught.value.faults)


def test_all_faults_are_told_at_once(read):
    with pytest.raises(InvalidRecord) as caught:
        read(Job, {"serial": 4, "inputs": 3, "name": 5})

    assert set(caught.value.faults) == {
        "task_serial: is missing",
        "name: expected string, got 5",
        "inputs: expected object, got 3",
    }


def test_a_fault_in_a_list_names_its_index(read):
    with pytest.raises(InvalidRecord, match=r"inputs\[1\]: expected object, got 3"):
        read(Task, {"workflow_serial": 1, "task_type_serial": 1, "inputs": [{}, 3]})


@pytest.mark.parametrize("value", [None, 3, "job", [JOB]])
def test_what_is_no_object_is_no_record(read, value):
    with pytest.raises(InvalidRecord, match="expected object"):
        read(Job, value)


def test_a_record_shares_nothing_with_the_json_it_came_from():
    wire = {**JOB, "inputs": {"image": {"size": [1, 2, 3]}}}
    record = from_json(Job, wire)
    wire["inputs"]["image"]["size"].append(4)
    to_json(record)["inputs"]["image"]["size"].append(5)

    assert record.inputs == {"image": {"size": [1, 2, 3]}}


@pytest.mark.parametrize("moment", ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00"])
def test_a_time_is_in_utc_however_it_was_written(read, moment):
    record = read(Job, {**JOB, "started_at": moment})
    assert record.started_at == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert record.started_at.tzinfo is UTC


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])))
def test_times_keep_their_moment_and_sort_as_text(moment):
    if not datetime(2, 1, 1, tzinfo=UTC) < moment < datetime(9998, 1, 1, tzinfo=UTC):
        return
    assert parse_time(format_time(moment)) == moment
    assert format_time(moment) < format_time(moment + timedelta(microseconds=1))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_no_calendar_has_in_utc_is_none(text):
    with pytest.raises(ValueError, match="is not a time in UTC"):
        parse_time(text)


def test_every_kind_of_record_has_a_name_of_its_own():
    assert len({kind.noun for kind in RECORD_KINDS.values()}) == len(RECORD_KINDS) == 10


def test_what_is_no_list_of_objects_and_no_bool_is_refused_however_empty(read):
    task = {"workflow_serial": 1, "task_type_serial": 1}
    assert read(Task, {**task, "inputs": [{"key": "a"}]}).inputs == [{"key": "a"}]
    for wrong in ({}, "", 0, None):
        with pytest.raises(InvalidRecord, match=r"^task: inputs: expected array, got"):
            read(Task, {**task, "inputs": wrong})
    with pytest.raises(InvalidRecord, match=r"^project: obsolete: expected bool, got 1$"):
        read(Project, {"obsolete": 1})


def test_a_key_that_is_called_extra_is_one_that_is_not_known(read):
    wire = {**JOB, "extra": {"extra": 1}}
    assert read(Job, wire).extra == {"extra": {"extra": 1}}
    assert to_json(read(Job, wire))["extra"] == {"extra": 1}


def test_what_nobody_else_holds_is_not_copied():
    moment = "2024-05-01T12:00:00.000000Z"
    full = {
        **JOB, "run_serial": 4, "state": "Running", "inputs": {"a": [1]}, "metadata": {}, "name": "n", "attempt": 1,
        "started_at": moment, "finished_at": None, "later": [1],
    }  # fmt: skip
    for wire in (full, {key: value for key, value in full.items() if key != "later"}):
        job = from_own_json(Job, wire)
        assert job == from_json(Job, wire)
        assert job.inputs is wire["inputs"]
        assert job.metadata is wire["metadata"]
    task = {"workflow_serial": 1, "task_type_serial": 1, "inputs": [{"key": "a"}], "initial_state": "Ready"}
    assert from_own_json(Task, task).inputs is task["inputs"]
    fields = {"max_concurrent_jobs": 2, "last_seen_at": moment}
    assert read_fields(Worker, fields) == {
        "max_concurrent_jobs": 2,
        "last_seen_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
    }
    with pytest.raises(TypeError):
        read_fields(Worker, {"max_concurrent_jobs": "2"})


def test_mappings_of_other_classes_are_objects_and_what_is_within_is_copied():
    inner = [[1], {"b": [2]}]
    metadata = MappingProxyType({"a": inner, "c": MappingProxyType({})})
    for project in (Project(metadata=metadata), from_json(Project, {"metadata": metadata})):
        written = to_json(project)["metadata"]
        assert written == {"a": [[1], {"b": [2]}], "c": {}}
        assert type(written) is type(written["c"]) is dict
        assert written["a"][0] is not inner[0]
        assert written["a"][1]["b"] is not inner[1]["b"]


def test_times_are_written_in_utc_with_microseconds():
    moment = datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(moment) == "2024-05-01T12:00:00.000000Z"
    assert to_json(Job(task_serial=1, started_at=moment))["started_at"] == "2024-05-01T12:00:00.000000Z"


def test_a_number_is_an_integer_or_a_float_and_is_read_as_a_float():
    for value in (2, 2.5):
        read = structured(converter(), float, value, "limit")
        assert (type(read), read) == (float, value)
    for wrong in (True, "2", None):
        with pytest.raises(InvalidRecord, match=r"^limit: expected number, got"):
            structured(converter(), float, wrong, "limit")


def test_a_converter_that_knows_every_key_names_those_it_does_not_know():
    strict = converter().copy(forbid_extra_keys=True)
    with pytest.raises(InvalidRecord, match=r"^digests: has unknown keys: md5, sha1$"):
        structured(strict, Digests, {"sha1": "a", "md5": "b"}, "digests")


def test_what_messages_hold_is_written_as_records_are():
    made = datetime(2024, 5, 1, 12, tzinfo=UTC)
    record = Task(
        workflow_serial=1, task_type_serial=2, inputs=[{"a": ([1],)}], metadata={"b": ([2],)}, created_at=made
    )  # fmt: skip
    written = converter().unstructure(record)
    assert written == {**to_json(record), "extra": {}}
    assert type(written["state"]) is str
    assert written["inputs"][0] is not record.inputs[0]
