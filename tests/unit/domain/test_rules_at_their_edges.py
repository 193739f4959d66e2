"""What the rules of the domain say at their edges, each in a sentence."""

import math
import re
from datetime import UTC, datetime

import pytest

from xfworker.domain.activity_log_level import ActivityLogLevel
from xfworker.domain.address import Address
from xfworker.domain.board import JobCell, job_cell
from xfworker.domain.change import Change, apply
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.digests import Digests, not_as_sent
from xfworker.domain.disk_space import DiskUse, SourceUse, WorkflowUse
from xfworker.domain.errors import InvalidFilename, InvalidParameter, InvalidRecord
from xfworker.domain.files import parse_resource, record_resource, require_file, resource_reference
from xfworker.domain.job_logs import LOG_FILENAME, earlier_log
from xfworker.domain.job_outcome import Ending, Outcome, ProcessExit, reported_error
from xfworker.domain.job_state import JobState
from xfworker.domain.json_value import JsonWalk, clean_string, is_larger, json_violations
from xfworker.domain.package import memory_limit_bytes
from xfworker.domain.parameters import sequence_tasks
from xfworker.domain.queries import QUERY_PARTS, CombinedQuery, Sequence, parse_sequence
from xfworker.domain.records import Entity, Job, Project, Task, Worker
from xfworker.domain.result_references import folder_of, named_results
from xfworker.domain.sampling import SAMPLE_BYTES, sample_offsets
from xfworker.domain.script_exit import ScriptExit
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
    assert not is_larger("äbc", 5)
    assert is_larger({"a": [1, 2]}, 10)
    assert not is_larger({"a": [1, 2]}, 11)
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
    assert SAMPLE_BYTES == 65_536
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
    assert LOG_FILENAME == "log.txt"


def _nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _text(value):
    return type("Text", (str,), {})(value)


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        (_nested(64), []),
        (_nested(65), [f"{'[0]' * 64}: more than 64 levels deep (does it contain itself?)"]),
        ({"a": [10**308, -1.5, True, None, "ä\n"]}, []),
        ([10**309], ["[0]: a number of more than 308 digits is too large"]),
        (math.nan, ["$: NaN is not a JSON number; give null (None) where there is no value"]),
        ({"a": -math.inf}, ["a: an infinite number is not a JSON number; give null (None) where there is no value"]),
        ("a\x00b", ["$: 'a\\x00b' contains a NUL character"]),
        ({"a": {"b": ["\ud800"]}}, ["a.b[0]: '\\ud800' contains half of a surrogate pair"]),
        ({"a": {1: 2, "b": b"c"}}, ["a: the key 1 is not a string", "a.b: a bytes is not a JSON value"]),
        ({"x\x00": 1}, ["$: 'x\\x00' contains a NUL character"]),
        ("\x00" * 100, ["$: '" + "\\x00" * 19 + "\\x0 contains a NUL character"]),
        ("\ud800" * 100, ["$: '" + "\\ud800" * 13 + "\\ contains half of a surrogate pair"]),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_as_json_is_named_by_its_path(value, violations):
    assert json_violations(value) == violations


def test_a_walk_copies_what_is_json_as_the_plain_values_of_python():
    value = {"a": (1, True, False, 2.5), _text("b"): [_text("c")], "d": object()}
    walk = JsonWalk(deepest=3, unwrap=lambda _: {"stands": "for it"})
    plain = walk.plain(value, "")
    assert plain == {"a": [1, True, False, 2.5], "b": ["c"], "d": {"stands": "for it"}}
    assert walk.errors == []
    assert [type(item) for item in (*plain["a"], *plain["b"])] == [int, bool, bool, float, str]
    assert all(type(key) is str for key in plain)
    walk = JsonWalk(deepest=2, unwrap=lambda _: {"stands": "for it"})
    walk.plain(value, "")
    assert walk.errors == ["d: more than 2 levels deep (does it contain itself?)"]


def test_characters_that_cannot_be_kept_become_question_marks():
    assert clean_string("a\x00b\ud800ä") == "a?b?ä"


@pytest.mark.parametrize("serial", [1, 2**63 - 1])
@pytest.mark.parametrize("key", ["k", "k" * 1000])
def test_a_sequence_names_a_task_and_a_key(serial, key):
    sequence = Sequence(task_serial=serial, key=key)
    assert parse_sequence({"task_serial": serial, "key": key}) == sequence
    assert parse_sequence({"type": "Sequence", "task_serial": serial, "key": key}) == sequence


@pytest.mark.parametrize(
    "wrong",
    [
        *({"task_serial": serial} for serial in (0, 2**63, True, 1.5, "1", None)),
        *({"key": key} for key in ("", "k" * 1001, "a\x00", 1, None)),
        {"type": "Image"},
    ],
)  # fmt: skip
def test_what_is_no_sequence_is_refused(wrong):
    with pytest.raises(InvalidParameter, match="a sequence is"):
        parse_sequence({"type": "Sequence", "task_serial": 1, "key": "k"} | wrong)


def test_a_combined_query_asks_for_parts_and_narrows_nothing_by_itself():
    assert {part: kind.collection.replace("-", "_") for part, kind in QUERY_PARTS.items()} == {
        part: part
        for part in ("task_types", "dependency_packages", "projects", "workflows", "tasks", "jobs", "workers")
    }
    query = CombinedQuery(parts={"jobs": "all"})
    assert query.project_serial is query.job_serial is query.task_type_serial is query.dependency_package_serial is None


def test_what_arrived_wrong_is_said_beside_what_was_expected():
    words = "a.isq did not arrive as it was sent: 5 bytes, SHA-256 a arrived, {} bytes, XXH3-128 b was expected"
    for expected_size, stated in ((7, 7), (0, 0), (None, 5)):
        error = not_as_sent("a.isq", 5, Digests("a"), expected_size=expected_size, expected=Digests(xxh3="b"))
        assert str(error) == words.format(stated)


def test_a_cell_shows_the_progress_of_a_job_that_runs():
    began = datetime(2026, 1, 2, 12, tzinfo=UTC)
    metadata = {"progress_percentage": 40, "estimated_duration_seconds": 2.5}
    job = Job(serial=1, task_serial=2, run_serial=3, state=JobState.RUNNING, started_at=began, metadata=metadata)
    cell = job_cell(job)
    assert cell == JobCell(1, 2, 3, JobState.RUNNING, began, 40.0, 2.5)
    assert type(cell.progress) is float
    done = from_json(Job, to_json(job) | {"state": "Done"})
    assert job_cell(done) == (1, 2, 3, JobState.DONE, None, None, None)
    for wrong in (True, "40", None):
        metadata = dict.fromkeys(metadata, wrong)
        assert job_cell(from_json(Job, to_json(job) | {"metadata": metadata}))[4:] == (began, None, None)


def test_what_files_take_is_that_of_workflows_and_of_all_else():
    use = {"workflow_name": "w", "project_serial": 1, "project_name": "p", "obsolete_bytes": 1}
    workflows = [WorkflowUse(workflow_serial=serial, bytes=10**serial, **use) for serial in (1, 2)]
    sources = [SourceUse(source="userdata", bytes=3), SourceUse(source="task_type_config", bytes=4)]
    when = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert DiskUse(measured_at=when, workflows=workflows, sources=sources, is_complete=True).total == 117


def test_the_ways_in_which_a_script_ends_have_the_names_that_are_kept():
    assert [ending.value for ending in Ending] == [
        "finished", "error_reported", "crashed", "killed", "out_of_memory", "timed_out", "aborted", "no_finish",
        "not_started", "handed_over", "preempted", "handed_back", "server_lost",
    ]  # fmt: skip
    assert {ending for ending in Ending if ending.gives_back} == {Ending.PREEMPTED, Ending.HANDED_BACK}
    kept = {"ending": "killed", "message": "", "exit_code": None, "signal": "SIGKILL"}
    assert Outcome(ending=Ending.KILLED, signal="SIGKILL").to_json() == kept
    kept = {"ending": "crashed", "message": "m", "exit_code": 5, "signal": None}
    assert Outcome(ending=Ending.CRASHED, message="m", exit_code=5).to_json() == kept
    assert ProcessExit() == ProcessExit(out_of_memory=False, timed_out=False, aborted=False)
    assert (reported_error({"error_message": "m"}), reported_error({"error_message": 5}), reported_error({})) == (
        "m",
        "",
        "",
    )


def test_codes_and_levels_are_the_documented_ones():
    assert {code.name: code.value for code in ScriptExit} == {"FINISHED": 0, "ERROR_REPORTED": 81, "HANDED_OVER": 83}
    assert [level.value for level in ActivityLogLevel] == ["DEBUG", "INFO", "WARNING", "ERROR"]


def test_files_of_results_are_named_by_the_first_output_that_has_them():
    one = {"type": "Image", "source": "job_result", "job_serial": 7, "filename": "a.raw"}
    other = {**one, "filename": "b.raw"}
    outputs = {"x": [one], "y": [one, other], "z": {**one, "source": "userdata", "filename": "c.raw"}, "n": 5}
    named = named_results(outputs)
    assert {str(file): key for file, key in named.items()} == {
        "job_result/7/a.raw": "x",
        "job_result/7/b.raw": "y",
    }
    assert {str(folder_of(file)) for file in named} == {"job_result/7"}
