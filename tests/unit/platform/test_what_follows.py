"""What follows from a job: what is made, made again or made to wait, what is kept of it, and what the log says."""

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Entity, Job, Run, Task, TaskType, TaskTypeKind, Workflow


@pytest.fixture
def lab():
    return SmallWorkflow(MemoryRecordStore())


def change(lab, record, **fields):
    return lab.server.update(
        type(record), record.serial, Change(values={f"/{name}": value for name, value in fields.items()})
    )


def set_obsolete(lab, run, *, value=True):
    change(lab, run, obsolete=value)


def without_task_type(lab, task):
    with lab.world.platform.records.transaction() as transaction:
        transaction.delete(TaskType, {"serial": transaction.get(Task, task).task_type_serial})


def logged(lab, action, kind="jobs"):
    """List what the log says of an action: the record's serial, and the states or the fields."""
    return [
        (event.payload["serial"], event.payload.get("state") or event.payload.get("fields"))
        for event in lab.server.find(ActivityEvent)
        if event.payload.get("action") == action and event.payload["record"] == kind
    ]


def run_all(lab, value=1.0):
    while (lease := lab.queue.claim(lab.worker)) is not None:
        script = lab.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": value}, "/state": "Done"}))
        lab.queue.end(lease, ENDED)


def test_a_job_that_can_never_start_is_made_as_failed_and_says_why(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan), low={"mode": "fixed", "fixed_value": 1.0})
    lab.start()
    without_task_type(lab, mask)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    [job] = lab.jobs(scan)
    assert (job.state.value, job.metadata.get("error_message")) == ("Done", None)


def test_a_follower_whose_task_has_inputs_that_nobody_can_use_fails_at_once(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan), low={"mode": "fixed", "fixed_value": 1.0})
    lab.start()
    lab.control.start_run(lab.workflow)
    spoil(lab, mask)
    lab.world.clock.advance(5)
    lab.work({"out": 1.0})
    [job] = lab.jobs(mask)
    assert job.state.value == "Failed"
    assert job.metadata["error_message"].startswith("the job cannot be started: ")
    assert job.finished_at == lab.world.clock.now()
    assert (job.serial, [None, "Failed"]) in logged(lab, "created")


def spoil(lab, task):
    """Write inputs into a task as nobody could by a request."""
    with lab.world.platform.records.transaction() as transaction:
        kept = transaction.get(Task, task)
        kept.inputs[-1]["mode"] = "guess"
        transaction.replace(kept)


def test_a_follower_that_is_ready_has_neither_ended_nor_an_error(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    [job] = lab.jobs(mask)
    assert (job.finished_at, job.metadata, job.occ_lock_version) == (None, {}, 1)
    assert (job.serial, [None, "Ready"]) in logged(lab, "created")


def test_a_job_that_goes_on_is_another_version_and_one_that_fails_instead_says_when_and_why(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    run_all(lab)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    [waiting] = lab.jobs(mask)
    lab.work({"out": 2.0})
    [ready] = lab.jobs(mask)
    assert (ready.state.value, ready.finished_at, ready.inputs) == ("Ready", None, {"image": 2.0})
    assert ready.occ_lock_version == waiting.occ_lock_version + 1
    assert (ready.serial, ["Waiting", "Ready"]) in logged(lab, "changed")
    run_all(lab)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    lab.world.clock.advance(5)
    lab.work({"other": 1.0})
    [failed] = lab.jobs(mask)
    assert (failed.state.value, failed.finished_at) == ("Failed", lab.world.clock.now())
    assert "made no output 'out'" in failed.metadata["error_message"]


def test_a_template_that_a_job_defines_is_a_new_version_of_task_and_workflow_and_in_the_log(lab):
    voi = lab.task("voi", box={"mode": "define_on_first", "template": None})
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(voi))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    task, workflow = lab.server.get(Task, voi), lab.server.get(Workflow, lab.workflow)
    lab.work({"box": 5.5, "out": 1.0})
    assert lab.server.get(Task, voi).occ_lock_version == task.occ_lock_version + 1
    assert lab.server.get(Workflow, lab.workflow).occ_lock_version == workflow.occ_lock_version + 1
    assert logged(lab, "changed", "tasks") == [(voi, ["/inputs"])]
    assert [job.inputs for job in lab.jobs(voi)][1:] == [{"box": 5.5}]
    assert lab.states(voi, chart) == [["Done", "Ready"], []]
    lab.work({"out": 2.0})
    assert lab.states(voi, chart) == [["Done", "Done"], ["Ready"]]


def test_a_run_that_is_about_what_its_source_made_is_another_version_and_what_begins_with_it_bears_its_name(lab):
    scan = lab.task("scan", "Source")
    alone, mask = lab.task("alone"), lab.task("mask", image=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow, name="mouse 1")
    assert lab.states(alone) == [[]]
    entity = {"type": "Entity", "uuid": "m-1", "name": "mouse 1"}
    lab.work({"out": 1.0, "mouse": entity})
    after = lab.server.get(Run, run.serial)
    assert lab.states(alone, mask) == [["Ready"], ["Ready"]]
    before = lab.server.get(Run, run.serial)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    run_all(lab)
    assert lab.server.get(Run, run.serial).occ_lock_version == before.occ_lock_version
    assert after.occ_lock_version - run.occ_lock_version == (after.entity != run.entity)


@pytest.mark.parametrize("how", ["fails", "is done in an obsolete run"])
def test_what_begins_with_a_source_does_not_begin_when_that(lab, how):
    scan, alone = lab.task("scan", "Source"), lab.task("alone")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow)
    if how == "fails":
        lab.fail()
    else:
        lease = lab.queue.claim(lab.worker)
        set_obsolete(lab, run)
        script = lab.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": 1.0}, "/state": "Done"}))
    assert lab.states(alone, chart) == [[], []]


def test_one_job_lets_both_a_follower_in_its_run_and_one_for_all_runs_begin(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    assert lab.states(chart, mask) == [["Ready"], ["Ready"]]


def test_what_was_made_from_a_job_for_all_runs_waits_for_that_to_be_made_again(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    report = lab.task("report", chart=output(chart))
    lab.start()
    lab.control.start_run(lab.workflow)
    run_all(lab)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 2.0})
    assert lab.states(chart, report) == [["Ready"], ["Waiting"]]
    assert lab.jobs(report)[0].outputs == {}


def test_what_runs_with_an_older_value_for_all_runs_runs_again_when_its_worker_is_done(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    report = lab.task("report", chart=output(chart))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    lab.work({"out": 1.0})
    lease = lab.queue.claim(lab.worker)
    assert lease.job.task_serial == report
    lab.control.start_run(lab.workflow)
    lab.work({"out": 2.0}, job=lab.jobs(scan)[1])
    lab.work({"out": 2.0}, job=lab.jobs(chart)[0])
    assert lab.states(chart, report) == [["Done"], ["Running"]]
    script = lab.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": 1.0}, "/state": "Done"}))
    lab.queue.end(lease, ENDED)
    [job] = lab.jobs(report)
    assert (job.state.value, job.inputs) == ("Ready", {"chart": 2.0})


def test_a_draft_lets_nothing_begin_when_a_task_for_all_runs_changes(lab):
    scan = lab.task("scan", "Source")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 1.0}))
    change(lab, lab.server.get(Task, chart), inputs=[{"key": "values", **output(scan, "second")}])
    assert lab.states(chart) == [[]]
    lab.start()
    assert lab.states(chart) == [["Ready"]]


def test_a_new_name_of_a_run_or_of_a_workflow_makes_nothing_again(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow)
    run_all(lab)
    before = lab.jobs(chart)
    change(lab, run, name="mouse 1")
    change(lab, lab.server.get(Workflow, lab.workflow), name="mice")
    assert lab.jobs(chart) == before


def test_entities_are_kept_from_new_and_changed_runs_and_from_what_jobs_made(lab):
    scan = lab.task("scan")
    lab.start()

    def mouse(name):
        return {"type": "Entity", "uuid": name, "name": name}

    def kept():
        return sorted(entity.uuid for entity in lab.server.find(Entity))

    run = lab.control.start_run(lab.workflow, entity=mouse("a"))
    assert kept() == ["a"]
    change(lab, lab.server.get(Run, run.serial), entity=mouse("b"))
    assert kept() == ["a", "b"]
    lab.work({"mouse": mouse("c")})
    assert kept() == ["a", "b", "c"]
    lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"mouse": mouse("d")}))
    assert kept() == ["a", "b", "c", "d"]


@pytest.mark.parametrize("way", ["abort", "directly"])
def test_a_running_job_is_asked_to_stop_by_whom_and_when_the_platform_says(lab, way):
    lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    if way == "abort":
        lab.control.abort_job(lease.job.serial)
    else:
        change(lab, lease.job, **{f"metadata/{ABORT_REQUESTED}": {"by": "somebody", "at": "never"}})
    job = lab.server.get(Job, lease.job.serial)
    asked = {"by": "admin", "at": format_time(lab.world.clock.now())}
    assert (job.state.value, job.metadata[ABORT_REQUESTED]) == ("Running", asked)


def test_a_new_task_is_a_new_version_of_its_workflow(lab):
    before = lab.server.get(Workflow, lab.workflow)
    lab.task("scan")
    assert lab.server.get(Workflow, lab.workflow).occ_lock_version == before.occ_lock_version + 1


def test_a_task_for_all_runs_that_is_appended_to_a_draft_begins_with_the_workflow(lab):
    scan = lab.task("scan", "Source")
    source = lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 1.0}))
    kind = lab.server.create(TaskType(name="Lab.chart", interface={"inputs": [{"key": "values", "type": "Sequence"}]}))
    chart = lab.control.append_task(source.serial, kind.serial, inputs=[{"key": "values", **output(scan)}]).serial
    assert lab.states(chart) == [[]]
    lab.start()
    assert lab.states(chart) == [["Ready"]]


def test_a_job_that_waited_for_a_template_goes_on_when_its_run_counts_again(lab):
    voi = lab.task("voi", box={"mode": "define_on_first", "template": None})
    lab.start()
    lab.control.start_run(lab.workflow)
    late = lab.control.start_run(lab.workflow)
    set_obsolete(lab, late)
    lab.work({"box": 5.5})
    assert lab.states(voi) == [["Done", "Waiting"]]
    set_obsolete(lab, late, value=False)
    assert lab.states(voi) == [["Done", "Ready"]]


def test_what_a_person_gave_a_first_job_stays_where_its_task_sets_nothing(lab):
    kind = lab.server.create(
        TaskType(
            name="Lab.scan",
            kind=TaskTypeKind.SOURCE,
            interface={"inputs": [{"key": "low", "type": "Float"}, {"key": "high", "type": "Float"}]},
        )
    )
    inputs = [{"key": "low", "mode": "ui"}]
    scan = lab.server.create(Task(workflow_serial=lab.workflow, task_type_serial=kind.serial, inputs=inputs)).serial
    lab.start()
    job = lab.server.create(Job(task_serial=scan, state=JobState.READY_FOR_INTERACTIVE, inputs={"high": 9.0}))
    lab.server.update(Job, job.serial, Change(values={"/inputs/low": 3.0, "/state": "Waiting"}))
    assert [(job.state.value, job.inputs) for job in lab.jobs(scan)] == [("Ready", {"low": 3.0, "high": 9.0})]


def test_a_person_who_says_that_all_is_given_leaves_optional_inputs_of_a_job_for_all_runs_without_values(lab):
    scan = lab.task("scan")
    fields = [{"key": "values", "type": "Sequence"}, {"key": "low", "type": "Float", "supported_modes": ["none", "ui"]}]
    kind = lab.server.create(TaskType(name="Lab.chart", interface={"inputs": fields}))
    inputs = [{"key": "values", **output(scan)}, {"key": "low", "mode": "ui"}]
    chart = lab.server.create(Task(workflow_serial=lab.workflow, task_type_serial=kind.serial, inputs=inputs)).serial
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    assert lab.states(chart) == [["ReadyForInteractive"]]
    change(lab, lab.jobs(chart)[0], state="Waiting")
    assert lab.states(chart) == [["Ready"]]


def test_the_end_of_a_job_whose_task_is_obsolete_still_lets_others_go_on(lab):
    scan, other = lab.task("scan"), lab.task("other")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker, job_serial=lab.jobs(other)[0].serial)
    change(lab, lab.server.get(Task, other), state="Obsolete")
    script = lab.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": 1.0}, "/state": "Done"}))
    lab.queue.end(lease, ENDED)
    titles = [event.title for event in lab.server.find(ActivityEvent) if event.level == "ERROR"]
    assert (titles, lab.states(scan, chart)) == ([], [["Ready"], []])
