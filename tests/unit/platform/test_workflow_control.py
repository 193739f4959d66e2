"""Workflow control: who may start, copy, extend, restart and abort, and what is refused before anything begins."""

import math

import attrs
import pytest

from tests.unit.platform.small_workflow import SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import InvalidParameter, InvalidRecord, PermissionDenied, UsageError
from xfworker.domain.records import ActivityEvent, Job, Run, RunPriority, Task, TaskType


@pytest.fixture
def lab():
    return SmallWorkflow(MemoryRecordStore())


def test_neither_a_script_nor_a_worker_controls_workflows(lab):
    lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    platform = lab.world.platform
    script = platform.authenticate(lease.server_auth)
    for caller in (script, attrs.evolve(script, kind=type(script.kind).WORKER)):
        with pytest.raises(PermissionDenied, match="start runs, restart or abort jobs"):
            platform.control_for(caller)


def test_a_run_that_is_not_given_a_name_has_none_and_a_copy_begins_like_the_first(lab):
    scan = lab.task("scan")
    lab.start()
    run = lab.control.start_run(lab.workflow, priority=RunPriority.HIGH)
    assert (run.name, run.source_job_serial) == ("", None)
    copy = lab.control.copy_run(run.serial)
    assert (copy.name, copy.priority, copy.source_job_serial) == ("", RunPriority.HIGH, None)
    assert lab.states(scan) == [["Ready", "Ready"]]


def test_a_copy_begins_with_the_source_task_and_the_inputs_of_the_first(lab):
    lab.task("other", "Source")
    scan = lab.task("scan", "Source", low={"mode": "ui"})
    lab.start()
    run = lab.control.start_run(lab.workflow, inputs={"low": 2.5}, task_serial=scan, name="mouse 1")
    lab.control.copy_run(run.serial, name="mouse 2")
    assert [(job.name, job.inputs) for job in lab.jobs(scan)] == [("mouse 1", {"low": 2.5}), ("mouse 2", {"low": 2.5})]


@pytest.mark.parametrize("also", [{}, {"outputs": {"out": 1.0}}])
def test_a_run_whose_inputs_do_not_fit_does_not_begin(lab, also):
    scan = lab.task("scan", "Source", low={"mode": "ui"})
    lab.start()
    with pytest.raises(InvalidParameter, match=r"the run cannot start: inputs\.low: "):
        lab.control.start_run(lab.workflow, inputs={"low": "much"}, **also)
    assert (lab.states(scan), lab.server.find(Run)) == ([[]], [])


def test_a_required_input_is_given_unless_the_outputs_are_there_already(lab):
    scan = lab.task("scan", "Source", low={"mode": "ui"})
    kind = lab.server.get(Task, scan).task_type_serial
    assert lab.server.get(TaskType, kind).interface["inputs"][0].get("required") is None
    lab.start()
    with pytest.raises(InvalidParameter, match=r"inputs\.low: is required"):
        lab.control.start_run(lab.workflow)
    lab.control.start_run(lab.workflow, outputs={"out": 1.0})
    assert lab.states(scan) == [["Done"]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"entity": {"uuid": "m", "size": math.nan}}, "entity.size"),
        ({"inputs": {"low": math.nan}}, "inputs.low"),
        ({"outputs": {"out": math.inf}}, "outputs.out"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_locked(given, said):
    lab = SmallWorkflow(Unlocked())
    lab.task("scan", "Source", low={"mode": "ui"})
    lab.start()
    lab.world.platform.records.is_locked = True
    with pytest.raises(InvalidRecord, match=said):
        lab.control.start_run(lab.workflow, **given)


class Unlocked(MemoryRecordStore):
    """Records that nobody may write once they are locked."""

    is_locked = False

    def transaction(self, *, write=True, **options):
        assert not (write and self.is_locked)
        return super().transaction(write=write, **options)


def test_inputs_of_an_appended_task_that_cannot_be_kept_are_refused_before_anything_is_locked():
    lab = SmallWorkflow(Unlocked())
    scan = lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    job = lab.work({"out": 1.0})
    kind = lab.server.get(Task, lab.task("mask", image=output(scan))).task_type_serial
    lab.world.platform.records.is_locked = True
    low = {"key": "low", "mode": "fixed", "fixed_value": math.nan}
    with pytest.raises(InvalidRecord, match=r"inputs\[1\]\.fixed_value: NaN"):
        lab.control.append_task(job.serial, kind, inputs=[{"key": "image", **output(scan)}, low])


def test_an_appended_task_works_with_what_the_job_s_own_task_makes(lab):
    scan, other = lab.task("scan"), lab.task("other")
    lab.start()
    lab.control.start_run(lab.workflow)
    job = lab.work({"out": 1.0})
    kind = lab.server.get(Task, lab.task("mask", image=output(scan))).task_type_serial
    fixed = {"key": "image", "mode": "fixed", "fixed_value": 1.0, "task_serial": scan}
    for source in ({"key": "image", **output(other)}, fixed):
        with pytest.raises(InvalidParameter, match=f"none of its inputs takes an output of task {scan}"):
            lab.control.append_task(job.serial, kind, inputs=[source])
    assert lab.control.append_task(job.serial, kind, inputs=[{"key": "image", **output(scan)}]).name == "mask"
    named = lab.control.append_task(job.serial, kind, inputs=[{"key": "image", **output(scan)}], name="second")
    assert lab.states(named.serial) == [["Ready"]]


def test_a_key_of_one_request_starts_no_other_run(lab):
    lab.task("scan")
    lab.start()
    run = lab.control.start_run(lab.workflow, name="mouse 1", idempotency_key="k")
    assert lab.control.start_run(lab.workflow, name="mouse 1", idempotency_key="k") == run
    with pytest.raises(UsageError, match="another request"):
        lab.control.start_run(lab.workflow, name="mouse 2", idempotency_key="k")


def test_an_interactive_job_that_is_restarted_waits_for_a_person_again(lab):
    look = lab.task("look", "Interactive")
    lab.start()
    lab.control.start_run(lab.workflow)
    assert lab.states(look) == [["ReadyForInteractive"]]
    lab.control.abort_job(lab.jobs(look)[0].serial)
    assert lab.control.restart_job(lab.jobs(look)[0].serial).state.value == "ReadyForInteractive"


def test_what_waits_for_a_restarted_job_is_another_version_and_the_log_says_so(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    lab.work({"out": 2.0})
    [before] = lab.jobs(mask)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    [after] = lab.jobs(mask)
    assert (after.state.value, after.outputs) == ("Waiting", {})
    assert after.occ_lock_version == before.occ_lock_version + 1
    logged = [event for event in lab.server.find(ActivityEvent) if event.title == f"{after}: Done to Waiting"]
    assert [(event.payload["action"], event.payload["state"]) for event in logged] == [("changed", ["Done", "Waiting"])]
    assert [event.job_serial for event in logged] == [lab.server.get(Job, after.serial).serial]
