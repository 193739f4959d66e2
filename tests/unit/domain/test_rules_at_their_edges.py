"""What the rules of the domain say at their edges, each in a sentence."""

import re
from datetime import UTC, datetime

import pytest

from xfworker.domain.address import Address
from xfworker.domain.change import Change, apply
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.digests import Digests
from xfworker.domain.errors import InvalidFilename, InvalidParameter, InvalidRecord
from xfworker.domain.files import parse_resource, record_resource, require_file, resource_reference
from xfworker.domain.job_logs import LOG_FILENAME, earlier_log
from xfworker.domain.json_value import is_larger, json_violations
from xfworker.domain.package import memory_limit_bytes
from xfworker.domain.parameters import sequence_tasks
from xfworker.domain.records import Entity, Job, Project, Task, Worker
from xfworker.domain.sampling import SAMPLE_BYTES, sample_offsets
from xfworker.domain.version import format_version, parse_version


@pytest.mark.parametrize("host", ["https://", "lab.example:80", "https://lab.example?a=b", "lab.example#top"])
def test_a_host_states_neither_a_port_nor_what_follows_a_path(host):
    with pytest.raises(ValueError, match=re.escape(host)):
        Address.of_host(host, 80)


def test_a_change_reaches_into_what_was_null_and_not_into_what_is_no_object():
    entity = Entity(uuid="", extra={"scan": None, "note": "text"})
    assert apply(entity, Change(values={"/scan/by": "anna"})).extra["scan"] == {"by": "anna"}
    with pytest.raises(InvalidRecord, match="note is not an object"):
        apply(entity, Change(values={"/note/by": "anna"}))


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Task, "inputs", {"a": 1}), (Task, "inputs", [1]), (Project, "metadata", [1]), (Job, "created_at", 5),
        (Job, "created_at", "yesterday"), (Worker, "name", 7), (Job, "serial", 1.5), (Job, "serial", True),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused_with_its_path(kind, field, value):
    fields = {"name": "x", "task_serial": 1, "workflow_serial": 1, "task_type_serial": 1, field: value}
    with pytest.raises(InvalidRecord, match=field):
        from_json(kind, fields)


def test_what_is_not_an_object_is_no_record():
    with pytest.raises(InvalidRecord, match="expected object"):
        from_json(Project, [1])


def test_tuples_and_mappings_in_a_record_become_arrays_and_objects():
    project = Project(name="p", metadata={"size": (1, 2), "deep": {"a": ({"b": 1},)}})
    assert to_json(project)["metadata"] == {"size": [1, 2], "deep": {"a": [{"b": 1}]}}


def test_digests_agree_where_no_kind_that_both_know_differs():
    assert Digests("a", None).agree(Digests(None, "b"))
    assert Digests("a", "b").agree(Digests("a", None))
    assert not Digests("a", "b").agree(Digests("a", "c"))
    assert not Digests("a", "b").agree(Digests("c", "b"))
    assert Digests("a", "b").fit(Digests("a", None))
    assert not Digests(None, "b").fit(Digests("a", None))
    assert (str(Digests("a", "b")), str(Digests())) == ("SHA-256 a, XXH3-128 b", "an unknown digest")


def test_files_of_a_record_need_its_serial():
    with pytest.raises(InvalidFilename, match="need the serial"):
        record_resource("job_result", "")


@pytest.mark.parametrize("text", ["job_result", "job_result/1", "userdata"])
def test_a_folder_is_not_a_file(text):
    with pytest.raises(InvalidFilename, match="name a file in it"):
        require_file(parse_resource(text))


@pytest.mark.parametrize("text", ["job_result/1/a.omni", "userdata/a.isq", "userdata/scans/a.isq"])
def test_a_file_and_its_reference_name_the_same(text):
    resource = require_file(parse_resource(text))
    assert resource_reference(resource)["filename"] == resource.filename


def test_what_is_not_json_has_no_size():
    assert is_larger("abc", 4)
    assert not is_larger("abc", 5)
    assert not is_larger({1, 2}, 0)


def test_the_memory_that_a_script_needs_is_its_limit_where_it_states_none():
    assert memory_limit_bytes({}) is None
    assert memory_limit_bytes({"resources": {"memory_mib": 2}}) == 2 << 20
    assert memory_limit_bytes({"limits": {"memory_mib": 1}, "resources": {"memory_mib": 2}}) == 1 << 20


def test_a_parameter_that_contains_itself_is_refused():
    value = {"type": "Sequence", "task_serial": 1}
    value["inner"] = [value]
    with pytest.raises(InvalidParameter, match="does it contain itself"):
        sequence_tasks(value)


def test_small_files_are_sampled_whole_and_large_ones_at_both_ends_and_between():
    assert sample_offsets(0) == []
    assert sample_offsets(SAMPLE_BYTES + 1) == [0, SAMPLE_BYTES]
    assert sample_offsets(8 * SAMPLE_BYTES) == [number * SAMPLE_BYTES for number in range(8)]
    size = 100 * SAMPLE_BYTES
    offsets = sample_offsets(size)
    assert (len(offsets), offsets[0], offsets[-1]) == (8, 0, size - SAMPLE_BYTES)
    assert offsets == sorted(set(offsets))


def test_versions_have_numbers_of_a_thousand_digits_at_most():
    longest = "9" * 1000
    assert format_version(parse_version(longest)) == longest
    for refused in ("1" * 1001, "", "1.", "1.x", "1.²", None):
        with pytest.raises(InvalidParameter):
            parse_version(refused)
    with pytest.raises(InvalidParameter, match="at most 1000 digits"):
        format_version((10**1000,))
    for parts in ((), (-1,), (True,), ("1",)):
        with pytest.raises(InvalidParameter):
            format_version(parts)


def test_messages_name_records_by_their_nouns():
    assert (Entity.nouns(), Job.nouns(), Entity.a_noun(), Job.a_noun()) == ("entities", "jobs", "an entity", "a job")


def test_a_value_that_is_no_json_is_kept_for_whoever_refuses_it_with_its_path():
    project = Project(name="p", metadata={"groups": [{1, 2}]})
    assert json_violations(to_json(project)) == ["metadata.groups[0]: a set is not a JSON value"]


def test_a_time_of_python_is_a_time():
    moment = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert from_json(Job, {"task_serial": 1, "created_at": moment}).created_at == moment


def test_each_attempt_that_another_one_followed_has_a_log_of_its_own():
    assert [earlier_log(attempt) for attempt in (1, 2)] == ["log-1.txt", "log-2.txt"]
    assert LOG_FILENAME not in {earlier_log(1), earlier_log(2)}
