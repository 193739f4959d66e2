"""What follows from a job: what is made, made again or made to wait, what is kept of it, and what the log says."""

from datetime import timedelta

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import RecordNotFound
from xfworker.domain.job_metadata import ABORT_REQUESTED
from xfworker.domain.job_outcome import Ending, Outcome
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


def end(lab, lease, value=1.0):
    script = lab.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": value}, "/state": "Done"}))
    lab.queue.end(lease, ENDED)


def change_workflow(lab, **fields):
    lab.world.clock.advance(1)
    change(lab, lab.server.get(Workflow, lab.workflow), **fields)
    lab.world.clock.advance(1)


def run_all(lab, value=1.0):
    while (lease := lab.queue.claim(lab.worker)) is not None:
        end(lab, lease, value)


def test_a_job_that_can_never_start_is_made_as_failed_and_says_why(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan), low={"mode": "fixed", "fixed_value": 1.0})
    lab.start()
    without_task_type(lab, mask)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    [job] = lab.jobs(scan)
    assert (job.state.value, job.metadata.get("error_message")) == ("Done", None)
    [job] = lab.jobs(mask)
    kind = lab.server.get(Task, mask).task_type_serial
    error = f"the job cannot be started: there is no task type {kind}"
    assert (job.state.value, job.metadata["error_message"]) == ("Failed", error)


def test_a_job_whose_task_type_is_gone_is_not_done_by_what_stands_for_that(lab):
    scan = lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    without_task_type(lab, scan)
    with pytest.raises(RecordNotFound, match="no task type"):
        end(lab, lease)
    assert lab.states(scan) == [["Running"]]


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
    mask = lab.task("mask", image=output(voi))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    task, workflow = lab.server.get(Task, voi), lab.server.get(Workflow, lab.workflow)
    lab.work({"box": 5.5, "out": 1.0})
    assert lab.server.get(Task, voi).occ_lock_version == task.occ_lock_version + 1
    assert lab.server.get(Workflow, lab.workflow).occ_lock_version == workflow.occ_lock_version + 1
    assert logged(lab, "changed", "tasks") == [(voi, ["/inputs"])]
    assert [job.inputs for job in lab.jobs(voi)][1:] == [{"box": 5.5}]
    assert lab.states(voi, chart, mask) == [["Done", "Ready"], [], ["Ready"]]
    lab.work({"out": 2.0}, job=lab.jobs(voi)[1])
    assert lab.states(voi, chart, mask) == [["Done", "Done"], ["Ready"], ["Ready", "Ready"]]


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
    end(lab, lease)
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
    end(lab, lease)
    titles = [event.title for event in lab.server.find(ActivityEvent) if event.level == "ERROR"]
    assert (titles, lab.states(scan, chart)) == ([], [["Ready"], []])


def test_what_ran_with_a_value_for_all_runs_that_was_taken_back_meanwhile_runs_again_and_so_does_what_follows(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    flag = lab.task("flag", types={"charts": "Sequence"}, image=output(scan), charts=output(chart))
    after = lab.task("after", image=output(flag))
    lab.start()
    lab.control.start_run(lab.workflow)
    for _ in range(2):
        lab.work({"out": 1.0})
    lease = lab.queue.claim(lab.worker)
    lab.control.start_run(lab.workflow)
    for job in (lab.jobs(scan)[1], lab.jobs(chart)[0]):
        lab.work({"out": 2.0}, job=job)
    assert lab.states(chart, flag, after) == [["Done"], ["Running", "Ready"], []]
    end(lab, lease)
    assert lab.states(chart, flag, after) == [["Done"], ["Ready", "Ready"], ["Waiting"]]
    run_all(lab)
    assert lab.states(flag, after) == [["Done", "Done"], ["Done", "Done"]]


def test_what_ran_with_an_older_value_in_a_run_that_became_obsolete_keeps_its_result(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    flag = lab.task("flag", types={"charts": "Sequence"}, image=output(scan), charts=output(chart))
    lab.start()
    run = lab.control.start_run(lab.workflow)
    for _ in range(2):
        lab.work({"out": 1.0})
    lease = lab.queue.claim(lab.worker)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 2.0}, job=lab.jobs(scan)[1])
    set_obsolete(lab, run)
    end(lab, lease)
    assert lab.states(chart, flag) == [["Ready"], ["Done", "Waiting"]]


def test_what_ended_since_a_workflow_became_obsolete_is_followed_whatever_else_was_changed_of_it_meanwhile(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    for _ in range(2):
        lease = lab.queue.claim(lab.worker, job_serial=lab.jobs(scan)[-1].serial)
        change_workflow(lab, obsolete=True)
        change_workflow(lab, metadata={"note": "before"})
        end(lab, lease)
        change_workflow(lab, metadata={"note": "after"})
        change_workflow(lab, obsolete=False)
        lab.control.start_run(lab.workflow)
    assert lab.states(scan, mask) == [["Done", "Done", "Ready"], ["Ready", "Ready"]]


@pytest.mark.parametrize("way", ["obsolete", "an obsolete draft"])
def test_what_ended_while_a_workflow_was_stopped_is_followed_once_by_whatever_clock_it_ended(lab, way):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(mask))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    leases = [lab.queue.claim(lab.worker) for _ in range(2)]
    if way == "an obsolete draft":
        change_workflow(lab, state="Draft")
    change_workflow(lab, obsolete=True)
    stopped_at = lab.world.clock.now()
    lab.world.clock.set_time(stopped_at - timedelta(seconds=30))  # as the clock of another server says
    for lease in leases:
        end(lab, lease)
    lab.world.clock.set_time(stopped_at)
    if way == "an obsolete draft":
        change_workflow(lab, state="Active")
    change_workflow(lab, obsolete=False)
    assert lab.states(scan, mask, chart) == [["Done"] * 2, ["Ready"] * 2, []]
    run_all(lab)
    change_workflow(lab, obsolete=True)
    change_workflow(lab, obsolete=False)
    assert lab.states(scan, mask, chart) == [["Done"] * 2, ["Done"] * 2, ["Done"]]


def test_a_run_that_counts_again_while_its_workflow_is_obsolete_goes_on_when_that_comes_back(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    [run] = lab.server.find(Run)
    set_obsolete(lab, run)
    end(lab, lease)
    change_workflow(lab, obsolete=True)
    set_obsolete(lab, run, value=False)
    change_workflow(lab, obsolete=False)
    assert lab.states(scan, mask) == [["Done"], ["Ready"]]


@pytest.mark.parametrize("more", [[], [{"locked": True}]])
def test_a_draft_that_was_obsolete_when_it_was_started_catches_up_with_everything(lab, more):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 1.0}))
    for fields in ({"obsolete": True}, {"state": "Active"}, *more, {"obsolete": False}):
        change_workflow(lab, **fields)
    assert lab.states(scan, mask) == [["Done"], ["Ready"]]
    assert not [event for event in lab.server.find(ActivityEvent) if event.level == "ERROR"]


@pytest.mark.parametrize("way", ["by this version", "by an earlier version", "as a draft"])
def test_what_was_followed_before_a_workflow_was_stopped_is_not_followed_again(lab, way):
    scan, other = lab.task("scan"), lab.task("other")
    mask = lab.task("mask", image=output(scan))
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(other))
    lab.start()
    lab.control.start_run(lab.workflow)
    for task in (other, chart):
        lab.work({"out": 1.0}, job=lab.jobs(task)[0])
    lease = lab.queue.claim(lab.worker)
    if way == "as a draft":
        change_workflow(lab, state="Draft")
    change_workflow(lab, obsolete=True)
    if way == "by an earlier version":
        with lab.world.platform.records.transaction() as transaction:
            assert transaction.entry(f"stopped:workflows/{lab.workflow}")
            transaction.delete_entry(f"stopped:workflows/{lab.workflow}")
        change_workflow(lab, metadata={"note": "kept"})
    end(lab, lease)
    if way == "as a draft":
        change_workflow(lab, state="Active")
    change_workflow(lab, obsolete=False)
    assert lab.states(mask, chart) == [["Ready"], ["Done"]]
    with lab.world.platform.records.transaction(write=False) as transaction:
        assert transaction.entry(f"stopped:workflows/{lab.workflow}") is None


def test_a_job_for_all_runs_waits_for_what_a_source_lets_begin_that_was_done_while_the_workflow_was_obsolete(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(mask))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0}, job=lab.jobs(scan)[0])
    leases = [lab.queue.claim(lab.worker, job_serial=lab.jobs(task)[-1].serial) for task in (mask, scan)]
    change_workflow(lab, obsolete=True)
    for lease in leases:
        end(lab, lease)
    change_workflow(lab, obsolete=False)
    assert lab.states(scan, mask, chart) == [["Done", "Done"], ["Done", "Ready"], []]


def test_what_failed_while_the_workflow_was_obsolete_is_not_waited_for_any_more(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    lease = lab.queue.claim(lab.worker)
    change_workflow(lab, obsolete=True)
    lab.queue.end(lease, Outcome(ending=Ending.CRASHED))
    change_workflow(lab, obsolete=False)
    assert lab.states(scan, chart) == [["Done", "Failed"], ["Ready"]]


def test_a_job_for_all_runs_is_not_made_where_another_one_that_it_takes_a_value_of_failed(lab):
    scan = lab.task("scan")
    average = lab.task("average", types={"values": "Sequence"}, values=output(scan))
    report = lab.task("report", types={"values": "Sequence"}, values=output(scan), average=output(average))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    lab.fail()
    assert lab.states(scan, average, report) == [["Done"], ["Failed"], []]


def test_a_source_that_is_appended_to_a_job_is_begun_by_a_person_and_not_in_that_jobs_run(lab):
    scan = lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    interface = {"inputs": [{"key": "image", "type": "Float"}]}
    kind = lab.server.create(TaskType(name="Lab.more", kind=TaskTypeKind.SOURCE, interface=interface))
    inputs = [{"key": "image", **output(scan)}]
    more = lab.control.append_task(lab.jobs(scan)[0].serial, kind.serial, inputs=inputs)
    assert lab.states(more.serial) == [[]]


def test_a_task_that_is_appended_to_a_job_begins_in_no_other_run(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
        lab.work({"out": 1.0}, job=lab.jobs(scan)[-1])
    fields = [{"key": "image", "type": "Float"}, {"key": "values", "type": "Sequence"}]
    kind = lab.server.create(TaskType(name="Lab.rank", interface={"inputs": fields}))
    inputs = [{"key": "image", **output(scan)}, {"key": "values", **output(mask)}]
    rank = lab.control.append_task(lab.jobs(scan)[1].serial, kind.serial, inputs=inputs).serial
    run_all(lab)
    assert [job.run_serial for job in lab.jobs(rank)] == [lab.jobs(scan)[1].run_serial]


def test_an_optional_input_is_asked_of_a_person_in_each_run(lab):
    fields = [{"key": "low", "type": "Float", "supported_modes": ["none", "ui"]}]
    scan = lab.task("scan")
    kind = lab.server.create(TaskType(name="Lab.mask", interface={"inputs": [*fields, {"key": "of", "type": "Float"}]}))
    inputs = [{"key": "of", **output(scan)}, {"key": "low", "mode": "ui"}]
    mask = lab.server.create(Task(workflow_serial=lab.workflow, task_type_serial=kind.serial, inputs=inputs)).serial
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    assert lab.states(mask) == [["ReadyForInteractive"]]


def test_a_job_that_goes_on_waiting_has_the_newer_inputs_and_no_new_version_where_they_are_the_same(lab):
    scan = lab.task("scan")
    rank = lab.task("rank", types={"values": "Sequence"}, image=output(scan), values=output(scan))
    lab.start()
    for _ in range(3):
        lab.control.start_run(lab.workflow)
    lab.work({"out": 1.0})
    first = lab.jobs(rank)[0]
    assert (first.state.value, first.inputs["image"]) == ("Waiting", 1.0)
    lab.work({"out": 2.0})
    assert lab.jobs(rank)[0] == first
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    lab.work({"out": 5.0})
    again = lab.jobs(rank)[0]
    assert (again.state.value, again.inputs["image"], lab.states(scan)) == ("Waiting", 5.0, [["Done", "Done", "Ready"]])
