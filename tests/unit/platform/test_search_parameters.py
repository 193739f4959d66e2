"""Parameters of a search that are not what they should be: refused by name, never an error of the server."""

import base64
import json

import attrs
import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.web.xf_routes.search import conditions, page_limit, read_cursor
from xfworker.domain.errors import InvalidParameter, RecordNotFound, UsageError
from xfworker.domain.queries import CombinedQuery
from xfworker.domain.records import DependencyPackage, Job
from xfworker.testing.contracts.worlds import DirectWorld, Setting


def cursor(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


@pytest.mark.parametrize("limit", ["0", "1001", "000000001999", "1" * 5000, "-1", "1.0", "", "²", "\u0661"])
def test_a_limit_is_a_number_from_1_to_1000(limit):
    with pytest.raises(UsageError, match="limit"):
        page_limit(limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "\ud800",
        cursor(b"[" * 100_000),
        cursor(["\ud800", 1]),
        cursor(["a\x00", 1]),
        cursor(["a", 2**63]),
        cursor(["a", 1.5]),
        cursor(["a", True]),
        cursor(["a", -1]),
        cursor([1, 1]),
        cursor([None, 1]),
        cursor({"a": 1, "b": 2}),
        cursor(["a", 1, 2]),
        cursor(b'["a", ' + b"1" * 5000 + b"]"),
        cursor(b"\xff\xfe"),
    ],
)
def test_a_cursor_is_taken_as_it_was_given_only(text):
    with pytest.raises(UsageError, match="cursor"):
        read_cursor(text)


@pytest.mark.parametrize("value", ["1" * 30, str(2**63), "1" + "0" * 5000, "--1", "-", "1e3", "٣"])
def test_an_integer_is_read_whole_or_refused(value):
    with pytest.raises(UsageError, match="integer"):
        conditions(Job, [("task_serial", value)])


def test_integers_are_read():
    assert conditions(Job, [("task_serial", "17"), ("task_serial", "-1")]) == {"task_serial": (17, -1)}


def test_a_combined_query_is_narrowed_to_one_dependency_package():
    server = DirectWorld.over(MemoryRecordStore()).admin
    packages = [server.create(DependencyPackage(name=name, version="1.0.0.0")) for name in ("Lab.A", "Lab.B")]
    query = CombinedQuery(parts={"dependency_packages": "narrowed"}, dependency_package_serial=packages[1].serial)
    assert server.combined_query(query) == {"dependency_packages": [packages[1]]}
    with pytest.raises(RecordNotFound):
        server.combined_query(attrs.evolve(query, dependency_package_serial=4711))


def test_a_combined_query_is_narrowed_to_all_that_was_given_at_once():
    first = Setting.make(DirectWorld.over(MemoryRecordStore()))
    setting = Setting.make(first.world, task_type_name="Test.Other")
    jobs = [first.job().serial, setting.job().serial]
    parts = dict.fromkeys(("projects", "workflows", "tasks", "jobs"), "narrowed")
    server = first.world.admin

    def found(**narrowed):
        answer = server.combined_query(CombinedQuery(parts=parts, **narrowed))
        return {part: [record.serial for record in records] for part, records in answer.items()}

    of_project = found(project_serial=setting.project.serial)
    assert of_project == {
        "projects": [setting.project.serial],
        "workflows": [setting.workflow.serial],
        "tasks": [setting.task.serial],
        "jobs": jobs[1:],
    }
    assert found(project_serial=setting.project.serial, task_type_serial=setting.task_type.serial) == of_project
    assert found(project_serial=setting.project.serial, job_serial=jobs[1]) == of_project
    assert found(project_serial=first.project.serial, job_serial=jobs[1])["projects"] == []
    assert found(project_serial=setting.project.serial, task_type_serial=first.task_type.serial)["tasks"] == []


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"cages": "all"}, "'cages' is not a part of a combined query"),
        ({"jobs": "narrowed"}, "jobs: no serial is given that narrows them"),
        ({"jobs": "17;18"}, "jobs: '17;18' is not a selector"),
    ],
)
def test_a_combined_query_that_asks_for_what_there_is_not_is_refused(parts, sentence):
    with pytest.raises(InvalidParameter, match=sentence):
        DirectWorld.over(MemoryRecordStore()).admin.combined_query(CombinedQuery(parts=parts))
