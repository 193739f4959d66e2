"""A message of the wire is read as it was written, refused by path, and described by its own class."""

from datetime import UTC, datetime

import attrs
import pytest

from xfworker.adapters.wire.accounts import AccountChange, NewAccount, NewTokenRequest
from xfworker.adapters.wire.codec import read, read_answer, write
from xfworker.adapters.wire.disk_space import FileDeletionRequest
from xfworker.adapters.wire.files import FileEntry, Listing
from xfworker.adapters.wire.problem import Problem, error_from_answer, problem_body
from xfworker.adapters.wire.queries import CombinedQueryBody, FileToken, FileTokenRequest
from xfworker.adapters.wire.queue import Claim, Claimed, End, Heartbeat, HeldLease, LeaseStatuses
from xfworker.adapters.wire.records import Items, Page, RecordChange
from xfworker.adapters.wire.runs import RunStart
from xfworker.adapters.wire.schema import schema
from xfworker.domain.disk_space import DiskUse, FreedFiles, SourceUse, WorkflowUse
from xfworker.domain.errors import ChecksumMismatch, InvalidRecord, ProtocolViolation, RecordConflict
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Entity, Job, RunPriority, Task, TaskType
from xfworker.ports.job_queue import Lease, LeaseStatus
from xfworker.ports.sns_server import Measurement

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LEASE = Lease(
    job=Job(serial=1, task_serial=2),
    task=Task(serial=2, workflow_serial=3, task_type_serial=4),
    task_type=TaskType(serial=4, name="scan"),
    server_auth="token",
    expires_at=NOON,
)
MEASUREMENT = Measurement(
    patient_index=1,
    measurement_index=2,
    site=3,
    scanner_id=4,
    created_at=NOON,
    size=(5, 6, 7),
    spacing_mm=(0.1, 0.2, 0.3),
    filename="a.isq",
    size_bytes=8,
)
FREED = FreedFiles(
    workflow_serial=1, run_serial=None, name="w", files=2, bytes=3, kept_jobs=[4], reason="r", deleted=True
)
USE = DiskUse(
    measured_at=NOON,
    workflows=[
        WorkflowUse(workflow_serial=1, workflow_name="w", project_serial=2, project_name="p", bytes=3, obsolete_bytes=1)
    ],
    sources=[SourceUse(source="userdata", bytes=5)],
    is_complete=True,
)
MESSAGES = [
    (RecordChange, RecordChange(expected_occ_lock_version=3, values={"/name": "a"}, removals=["/metadata/b"])),
    (Page[Entity], Page(items=[Entity(serial=1, uuid="u", extra={"later": 1})], next="cursor")),
    (Items[Measurement], Items(items=[MEASUREMENT])),
    (Claim, Claim(worker_serial=1)),
    (Claimed, Claimed(lease=LEASE)),
    (Claimed, Claimed(lease=None)),
    (Heartbeat, Heartbeat(worker_serial=3, leases=[HeldLease(job_serial=1, attempt=2)])),
    (LeaseStatuses, LeaseStatuses(leases=[LeaseStatus(job_serial=1, lost="it ended")])),
    (End, End(job_serial=1, attempt=2, outcome=Outcome(ending=Ending.KILLED, signal="SIGKILL"))),
    (CombinedQueryBody, CombinedQueryBody(parts={"jobs": "all"}, job_serial=4)),
    (FileTokenRequest, FileTokenRequest(scopes=[("read", "job_result/1")])),
    (FileToken, FileToken(url="/fss/v1", token="t", expires_at=NOON, scopes=[("read", "userdata")])),
    (RunStart, RunStart(inputs={"a": 1}, priority=RunPriority.HIGH)),
    (NewAccount, NewAccount(name="ada", password="long enough")),
    (NewTokenRequest, NewTokenRequest(days=1.5)),
    (FileDeletionRequest, FileDeletionRequest(runs=[1, 2], dry_run=True)),
    (Items[FreedFiles], Items(items=[FREED])),
    (DiskUse, USE),
    (Listing, Listing(files=[FileEntry(resource="userdata/a", size=1)], folders=["b"])),
    (Problem, Problem(type="about:blank", title="t", status=409, detail="d", faults=["f"])),
]


@pytest.mark.parametrize(("kind", "message"), MESSAGES)
def test_a_message_is_read_as_it_was_written(kind, message):
    assert read(kind, write(message), "message") == message


@pytest.mark.parametrize(("kind", "message"), MESSAGES)
def test_a_written_message_has_the_fields_that_its_schema_describes(kind, message):
    described = schema(kind, answered=True)
    written = write(message)
    assert set(written) <= set(described["properties"])
    assert set(described["required"]) <= set(written)


@pytest.mark.parametrize(
    ("kind", "value", "violation"),
    [
        (RecordChange, {"values": [1]}, "values: expected object, got [1]"),
        (RecordChange, {"removals": "/name"}, "removals: expected array, got '/name'"),
        (RecordChange, {"removals": ["/name", 3]}, "removals[1]: expected string, got 3"),
        (RecordChange, {"volues": {}}, "has unknown keys: volues"),
        (Claim, {"worker_serial": True}, "worker_serial: expected int, got True"),
        (Claim, {"worker_serial": 2**63}, f"worker_serial: expected int, got {2**63}"),
        (Claim, {}, "worker_serial: is missing"),
        (Claim, 5, "expected object, got 5"),
        (NewTokenRequest, {"name": "a", "days": "1"}, "days: expected number, got '1'"),
        (End, {"job_serial": 1, "attempt": 1, "outcome": 5}, "outcome: expected object, got 5"),
        (FileTokenRequest, {"scopes": [["read"]]}, "scopes[0]: expected array of 2, got ['read']"),
        (FileTokenRequest, {"scopes": 5}, "scopes: expected array, got 5"),
        # What is in them is not looked at.
        (FileTokenRequest, {"scopes": [[]] * 10_001}, "scopes: has 10001 items, and at most 10000 are taken"),
        (Heartbeat, {"worker_serial": 1, "leases": [0] * 1001}, "leases: has 1001 items, and at most 1000 are taken"),
        (CombinedQueryBody, {"parts": {"jobs": 3}}, "parts: expected object of strings, got {'jobs': 3}"),
        (NewAccount, {"name": "a\x00", "password": "p"}, r"name: expected string, got 'a\x00'"),
        (RunStart, {"priority": "Urgent"}, "priority: expected one of Paused, Normal, High, got 'Urgent'"),
    ],
)
def test_what_is_wrong_with_a_message_is_named_by_its_path(kind, value, violation):
    with pytest.raises(InvalidRecord) as refused:
        read(kind, value, "the message")
    assert refused.value.faults == (violation,)
    assert str(refused.value) == f"the message: {violation}"


@pytest.mark.parametrize(("field", "kind", "most"), [("scopes", FileTokenRequest, 10_000), ("leases", Heartbeat, 1000)])
def test_a_bounded_array_may_be_as_long_as_its_schema_says(field, kind, most):
    item = {"scopes": ["read", "userdata"], "leases": {"job_serial": 1, "attempt": 1}}[field]
    message = read(kind, {"worker_serial": 1, field: [item] * most}, "the message")
    assert len(getattr(message, field)) == most == schema(kind)["properties"][field]["maxItems"]


def test_an_answer_of_the_wrong_shape_names_what_was_being_done():
    with pytest.raises(ProtocolViolation, match=r"could not claim a job: .*lease: expected object, got 5"):
        read_answer(Claimed, {"lease": 5}, "claim a job")


def test_null_is_as_good_as_absent_where_a_message_is_sparse():
    assert read(AccountChange, {"password": None, "disabled": True}, "change") == AccountChange(disabled=True)
    assert write(AccountChange(disabled=True)) == {"disabled": True}


def test_keys_that_are_not_known_are_passed_over_unless_the_message_is_closed():
    assert read(Claim, {"worker_serial": 1, "later": 2}, "claim") == Claim(worker_serial=1)


@pytest.mark.parametrize(
    "error",
    [RecordConflict("it moved on", current={"serial": 3}), ChecksumMismatch("damaged"), InvalidRecord("x", ["y"])],
)
def test_an_error_comes_back_from_its_problem_document_as_it_was(error):
    back = error_from_answer(error.status, "application/problem+json", problem_body(error), doing="get job 1")
    assert (type(back), str(back), back.details()) == (type(error), str(error), error.details())


def test_no_message_is_mutable():
    assert all(attrs.fields(type(message)) and _is_frozen(message) for _, message in MESSAGES)


def _is_frozen(message):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(message, attrs.fields(type(message))[0].name, None)
    return True
