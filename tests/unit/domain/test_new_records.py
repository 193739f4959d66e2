"""What a record is called, and what it begins with where nothing else is said of it."""

import re
from pathlib import Path

import pytest

from xfworker.domain.bookkeeping import (
    BOOKKEEPING_KINDS,
    Account,
    JobLease,
    MemberRole,
    PersonalToken,
    ProjectMember,
    SecondFactor,
)
from xfworker.domain.conversion import from_json, from_own_json, to_json
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.record import Record
from xfworker.domain.records import (
    INSTANCE,
    RECORD_KINDS,
    ActivityEvent,
    DependencyPackage,
    Entity,
    Job,
    Project,
    Run,
    RunPriority,
    Task,
    TaskState,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)

_PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"
NOON = "2026-01-02T12:00:00.000000Z"
COMMON = {"serial": 0, "occ_lock_version": 1, "metadata": {}, "created_at": None, "modified_at": None}
BEGINNINGS = [
    (Project, "project", {}, {"name": "", "obsolete": False}),
    (
        Workflow,
        "workflow",
        {"project_serial": 1},
        {"name": "", "state": "Draft", "obsolete": False, "locked": False},
    ),
    (
        Task,
        "task",
        {"workflow_serial": 1, "task_type_serial": 2},
        {"name": "", "inputs": [], "spawn_key": None, "state": "Active", "initial_state": None},
    ),
    (
        Job,
        "job",
        {"task_serial": 1},
        {
            "workflow_serial": 0, "project_serial": 0, "run_serial": None, "source_job_serial": None,
            "state": "Waiting", "inputs": {}, "outputs": {}, "sort_order": "", "name": "", "spawn_key": None,
            "started_at": None, "finished_at": None, "worker_serial": None, "attempt": 0,
        },
    ),
    (
        Run,
        "run",
        {"workflow_serial": 1},
        {"source_job_serial": None, "entity": None, "priority": "Normal", "obsolete": False, "name": ""},
    ),
    (
        TaskType,
        "task type",
        {"name": "t"},
        {"version": "0.0.0.0", "kind": "Processing", "interface": {}, "obsolete": False},
    ),
    (
        DependencyPackage,
        "dependency package",
        {"name": "d"},
        {"version": "0.0.0.0", "install": None, "dependencies": [], "parameter_types": []},
    ),
    (Worker, "worker", {"name": "w"}, {"dependency_packages": [], "max_concurrent_jobs": 1, "last_seen_at": None}),
    (Entity, "entity", {"uuid": "u"}, {"name": ""}),
    (
        ActivityEvent,
        "activity event",
        {"title": "t"},
        {
            "level": "INFO", "type": "Message", "source": "XamFlowTaskType", "payload": {}, "user": None,
            "job_serial": None, "project_serial": None,
        },
    ),
    (
        JobLease,
        "lease",
        {"job_serial": 1, "worker_serial": 2, "attempt": 3, "expires_at": NOON},
        {"claim_key": None},
    ),
    (Account, "account", {"name": "a"}, {"password_hash": "", "administrator": False, "disabled": False}),
    (
        PersonalToken,
        "personal token",
        {"account_serial": 1},
        {"name": "", "key": "", "expires_at": None, "last_used_at": None, "address": None},
    ),
    (
        SecondFactor,
        "second factor",
        {"account_serial": 1},
        {"sealed_secret": "", "confirmed_at": None, "last_step": None, "recovery_hashes": []},
    ),
    (ProjectMember, "project member", {"project_serial": 1, "account_serial": 2}, {"role": "Member"}),
]  # fmt: skip
_KINDS = [kind for kind, *_ in BEGINNINGS]


@pytest.mark.parametrize(("kind", "noun", "required", "rest"), BEGINNINGS, ids=[kind.__name__ for kind in _KINDS])
@pytest.mark.parametrize("read", [from_json, from_own_json])
def test_a_record_begins_with_what_is_documented(read, kind, noun, required, rest):
    assert kind.noun == noun
    assert to_json(read(kind, required)) == {**COMMON, **required, **rest}
    for key in required:
        with pytest.raises(InvalidRecord, match=rf"^{noun}: {key}: is missing$"):
            read(kind, {name: value for name, value in required.items() if name != key})


def test_collections_are_those_of_the_protocol():
    documented = re.search(r"^Collections: (.*)\.$", _PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)
    assert documented
    assert list(RECORD_KINDS) == re.findall(r"`([a-z-]+)`", documented[1])
    assert list(RECORD_KINDS.values()) == _KINDS[:10]
    assert {
        "job-leases": JobLease, "accounts": Account, "personal-tokens": PersonalToken, "second-factors": SecondFactor,
        "project-members": ProjectMember,
    } == BOOKKEEPING_KINDS  # fmt: skip
    assert all(kind.collection == name for name, kind in (RECORD_KINDS | BOOKKEEPING_KINDS).items())
    assert INSTANCE == "instance"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (WorkflowState, ["Draft", "Active", "Stopped"]), (TaskState, ["Active", "Obsolete"]),
        (RunPriority, ["Paused", "Normal", "High"]), (TaskTypeKind, ["Processing", "Interactive", "Source"]),
        (MemberRole, ["Owner", "Member"]),
    ],
)  # fmt: skip
def test_states_and_kinds_are_kept_as_their_words(kind, values):
    assert [member.value for member in kind] == values


def test_messages_name_a_record_by_its_serial_or_as_a_new_one():
    assert (str(Job(task_serial=1)), str(Job(task_serial=1, serial=3))) == ("new job", "job 3")
    assert (TaskType.nouns(), TaskType.a_noun(), ActivityEvent.a_noun()) == (
        "task types",
        "a task type",
        "an activity event",
    )
    assert (Record.noun, Record.collection) == ("record", "")


@pytest.mark.parametrize(
    "record",
    [
        Account(name="a", password_hash="SECRET"), PersonalToken(account_serial=1, key="SECRET"),
        SecondFactor(account_serial=1, sealed_secret="SECRET", recovery_hashes=["SECRET"]),
    ],
)  # fmt: skip
def test_what_is_secret_in_a_record_is_not_shown(record):
    assert "SECRET" not in repr(record)
