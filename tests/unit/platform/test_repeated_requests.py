"""Requests that come twice, or at the same time as another's: each does what it says once, for who sent it."""

import pytest

from tests.unit.platform.small_workflow import SmallWorkflow, output
from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Job, Project, TaskType
from xfworker.services.platform.idempotency import IdempotentRequest


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def test_two_callers_with_one_key_do_not_meet(lab):
    (_, anna), (_, berta) = lab.person("anna"), lab.person("berta")
    annas, bertas = (lab.server(who).create(Project(name="bones"), idempotency_key="k") for who in (anna, berta))
    assert annas.serial != bertas.serial
    assert lab.server(anna).create(Project(name="bones"), idempotency_key="k") == annas
    assert lab.server(berta).create(Project(name="bones"), idempotency_key="k") == bertas


def test_a_key_is_kept_for_as_long_as_it_is_said_and_then_a_new_one(lab):
    first = lab.server().create(Project(name="bones"), idempotency_key="k")
    lab.clock.advance(lab.platform.options.idempotency_key_seconds)
    lab.platform.maintain()
    assert lab.server().create(Project(name="bones"), idempotency_key="k") == first
    lab.clock.advance(lab.platform.options.idempotency_key_seconds)
    lab.platform.maintain()
    assert lab.server().create(Project(name="bones"), idempotency_key="k").serial != first.serial


def test_a_key_stands_for_what_was_asked_in_whatever_order_it_is_written(lab):
    first = lab.server().create(Project(name="bones", metadata={"a": 1, "b": 2}), idempotency_key="k")
    assert lab.server().create(Project(name="bones", metadata={"b": 2, "a": 1}), idempotency_key="k") == first
    with pytest.raises(UsageError, match="another request"):
        lab.server().create(Project(name="bones", metadata={"a": 2, "b": 1}), idempotency_key="k")
    values = {"/name": "hips", "/metadata/a": 3}
    changed = lab.server().update(Project, first.serial, Change(values=values), idempotency_key="c")
    turned = Change(values=dict(reversed(values.items())))
    assert lab.server().update(Project, first.serial, turned, idempotency_key="c") == changed


@pytest.mark.parametrize(
    "other", [Change(values={"/name": "teeth"}), Change(values={"/name": "hips"}, expected_version=9)]
)
def test_a_key_of_one_change_is_not_for_another(lab, other):
    project = lab.server().create(Project(name="bones"))
    change = Change(values={"/name": "hips"})
    changed = lab.server().update(Project, project.serial, change, idempotency_key="k")
    with pytest.raises(UsageError, match="another request"):
        lab.server().update(Project, project.serial, other, idempotency_key="k")
    assert lab.server().update(Project, project.serial, change, idempotency_key="k") == changed


def test_what_is_asked_under_a_key_is_shown_nowhere():
    assert "hidden" not in repr(IdempotentRequest("k", ["hidden"]))


def started_workflow():
    """Give a workflow of one step, with a run."""
    small = SmallWorkflow(MemoryRecordStore())
    small.task("Scan")
    small.start()
    small.control.start_run(small.workflow)
    return small


def test_a_restart_that_comes_again_leaves_what_the_job_did_since():
    small = started_workflow()
    job = small.fail()
    small.control.restart_job(job.serial, idempotency_key="k")
    assert small.fail().attempt == 2
    again = small.control.restart_job(job.serial, idempotency_key="k")
    assert (again.state.value, again.attempt) == ("Failed", 2)
    assert small.control.restart_job(job.serial, idempotency_key="another").state.value == "Ready"


def test_an_abort_that_comes_again_does_not_abort_what_was_restarted_since():
    small = started_workflow()
    [job] = small.server.find(Job)
    small.control.abort_job(job.serial, idempotency_key="k")
    small.control.restart_job(job.serial)
    assert small.control.abort_job(job.serial, idempotency_key="k").state.value == "Ready"
    assert small.server.get(Job, job.serial).state.value == "Ready"


def test_a_key_of_a_restart_is_not_one_of_an_abort():
    small = started_workflow()
    job = small.fail()
    small.control.restart_job(job.serial, idempotency_key="k")
    with pytest.raises(UsageError, match="another request"):
        small.control.abort_job(job.serial, idempotency_key="k")
    assert small.server.get(Job, job.serial).state.value == "Ready"


class CountingRecords(MemoryRecordStore):
    """Records in memory, with the number of transactions that could write."""

    writing = 0

    def transaction(self, *, write=True, **options):
        self.writing += write
        return super().transaction(write=write, **options)


_REQUESTS = {
    "create": lambda small, _: small.server.create(Project(name="teeth"), idempotency_key="k"),
    "change": lambda small, job: small.server.update(
        Job, job, Change(values={"/state": "Aborted"}), idempotency_key="k"
    ),
    "start a run": lambda small, _: small.control.start_run(small.workflow, idempotency_key="k"),
    "copy a run": lambda small, job: small.control.copy_run(small.server.get(Job, job).run_serial, idempotency_key="k"),
    "abort": lambda small, job: small.control.abort_job(job, idempotency_key="k"),
    "append a task": lambda small, job: small.control.append_task(
        job,
        small.server.find(TaskType)[0].serial,
        inputs=[{"key": "in", **output(small.server.get(Job, job).task_serial)}],
        idempotency_key="k",
    ),
}


@pytest.mark.parametrize("request_", _REQUESTS.values(), ids=list(_REQUESTS))
def test_a_request_is_looked_up_carried_out_and_kept_under_its_key_in_one_transaction(request_):
    # Else a server that dies in between, or the same request at another server, carries it out twice.
    small = SmallWorkflow(records := CountingRecords())
    small.task("Scan")
    small.start()
    small.control.start_run(small.workflow)
    [job] = small.server.find(Job)
    before = records.writing
    answer = request_(small, job.serial)
    made = records.writing - before
    before = records.writing
    assert request_(small, job.serial) == answer
    assert (made, records.writing - before) == (1, 1)


def test_a_restart_is_looked_up_carried_out_and_kept_under_its_key_in_one_transaction():
    small = SmallWorkflow(records := CountingRecords())
    small.task("Scan")
    small.start()
    small.control.start_run(small.workflow)
    job = small.fail()
    before = records.writing
    small.control.restart_job(job.serial, idempotency_key="k")
    assert records.writing - before == 1
