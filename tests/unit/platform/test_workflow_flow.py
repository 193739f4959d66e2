"""Workflows flow: what a finished, failed, restarted or aborted job makes of the others."""

import attrs
import pytest

from tests.unit.platform.small_workflow import ENDED, output
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter, InvalidRecord
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    ActivityEvent,
    Entity,
    Job,
    Run,
    RunPriority,
    Task,
    TaskType,
    Worker,
)


def test_a_follower_becomes_ready_with_the_value_in_the_same_transaction(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan), low={"mode": "fixed", "fixed_value": 220})
    flow.start()
    run = flow.control.start_run(flow.workflow, name="mouse 1")
    assert flow.states(scan, mask) == [["Ready"], []]
    source = flow.work({"out": 7.5})
    [job] = flow.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY, {"image": 7.5, "low": 220})
    assert (job.run_serial, job.source_job_serial, job.name) == (run.serial, source.serial, "mouse 1")
    assert job.sort_order == source.sort_order


def test_a_task_waits_for_all_its_inputs(flow):
    scan = flow.task("scan", "Source")
    left, right = flow.task("left", a=output(scan)), flow.task("right", a=output(scan))
    both = flow.task("both", left=output(left), right=output(right))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    flow.work({"out": 2})
    assert flow.states(both) == [[]]
    flow.work({"out": 3})
    assert [job.inputs for job in flow.jobs(both)] == [{"left": 2, "right": 3}]


def test_runs_do_not_mix(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    runs = [flow.control.start_run(flow.workflow, name=f"mouse {n}").serial for n in range(3)]
    for n, source in enumerate(flow.jobs(scan)):
        flow.work({"out": n}, job=source)
    assert [(job.run_serial, job.inputs["image"]) for job in flow.jobs(mask)] == list(zip(runs, range(3), strict=True))


def test_a_missing_output_starts_nothing_that_needs_it(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.work({"other": 1})
    assert flow.states(mask) == [[]]


def test_a_failed_job_starts_nothing(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.fail()
    assert flow.states(scan, mask) == [["Failed"], []]


def test_an_interactive_task_waits_for_a_person(flow):
    scan = flow.task("scan", "Source")
    voi = flow.task("voi", "Interactive", image=output(scan))
    mean = flow.task("mean", voi=output(voi))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    assert flow.states(voi, mean) == [["ReadyForInteractive"], []]
    assert flow.queue.claim(flow.worker) is None
    [job] = flow.jobs(voi)
    flow.server.update(Job, job.serial, Change(values={"/outputs": {"out": 9}, "/state": "Done"}))
    assert [job.inputs for job in flow.jobs(mean)] == [{"voi": 9}]


def test_an_input_that_a_person_gives_is_waited_for(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan), low={"mode": "ui"})
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    [job] = flow.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY_FOR_INTERACTIVE, {"image": 1, "low": None})
    flow.server.update(Job, job.serial, Change(values={"/inputs/low": 300, "/state": "Waiting"}))
    [job] = flow.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY, {"image": 1, "low": 300})


@pytest.mark.parametrize("how", ["inputs", "outputs"])
def test_the_first_job_defines_the_template_and_later_jobs_reuse_it(flow, how):
    scan = flow.task("scan", "Source")
    voi = flow.task("voi", "Interactive", image=output(scan), box={"mode": "define_on_first", "template": None})
    flow.start()
    for n in range(3):
        flow.control.start_run(flow.workflow)
        flow.work({"out": n})
    assert flow.states(voi) == [["ReadyForInteractive", "Waiting", "Waiting"]]
    first = flow.jobs(voi)[0]
    flow.server.update(Job, first.serial, Change(values={f"/{how}/box": 5.5, "/state": "Done"}))
    assert flow.server.get(Task, voi).inputs[1] == {"key": "box", "mode": "define_on_first", "template": 5.5}
    assert flow.states(voi) == [["Done", "ReadyForInteractive", "ReadyForInteractive"]]
    assert [job.inputs["box"] for job in flow.jobs(voi)][1:] == [5.5, 5.5]
    flow.control.start_run(flow.workflow)
    flow.work({"out": 3})
    assert flow.jobs(voi)[3].inputs == {"image": 3, "box": 5.5}


def test_when_the_first_job_defines_nothing_the_next_one_may(flow):
    scan = flow.task("scan", "Source")
    voi = flow.task("voi", "Interactive", image=output(scan), box={"mode": "define_on_first", "template": None})
    flow.start()
    for n in range(3):
        flow.control.start_run(flow.workflow)
        flow.work({"out": n})
    flow.control.abort_job(flow.jobs(voi)[0].serial)
    assert flow.states(voi) == [["Aborted", "ReadyForInteractive", "Waiting"]]


def test_a_job_that_is_done_without_a_template_leaves_it_to_the_next_one(flow):
    scan = flow.task("scan", "Source")
    voi = flow.task("voi", "Interactive", image=output(scan), box={"mode": "define_on_first", "template": None})
    flow.start()
    for n in range(2):
        flow.control.start_run(flow.workflow)
        flow.work({"out": n})
    first, _ = flow.jobs(voi)
    before = flow.server.get(Task, voi)
    flow.server.update(Job, first.serial, Change(values={"/outputs": {"other": 1}, "/state": "Done"}))
    assert flow.server.get(Task, voi) == before
    assert flow.states(voi) == [["Done", "ReadyForInteractive"]]


def test_a_group_job_runs_when_no_more_values_are_to_come(flow):
    scan = flow.task("scan", "Source")
    mean = flow.task("mean", image=output(scan))
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(mean))
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    for n in (1, 10, 2):
        flow.work({"out": n})
    assert flow.states(chart) == [[]]
    flow.work({"out": 20})
    [job] = flow.jobs(chart)
    assert (job.state, job.run_serial) == (JobState.READY, None)
    assert job.inputs == {"values": {"type": "Sequence", "task_serial": mean, "key": "out"}}
    flow.work({"chart": 1}, job=job)
    flow.control.start_run(flow.workflow)
    flow.work({"out": 3})
    assert flow.states(chart) == [["Done"]]
    flow.work({"out": 30})
    assert flow.states(chart) == [["Ready"]]


def test_a_group_job_that_runs_while_values_come_runs_again(flow):
    scan = flow.task("scan", "Source")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    lease = flow.queue.claim(flow.worker)
    assert lease.job.task_serial == chart
    flow.control.start_run(flow.workflow, outputs={"out": 2})
    script = flow.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    assert flow.states(chart) == [["Done"]]
    flow.control.start_run(flow.workflow, outputs={"out": 3})
    assert flow.states(chart) == [["Done"]]
    job = flow.queue.end(lease, ENDED)
    assert (job.state, job.outputs) == (JobState.READY, {})
    assert "error_message" not in job.metadata
    flow.work()
    assert flow.states(chart) == [["Done"]]


def fall_silent(flow):
    """Let time go by as it does on a server that runs, until no lease of a silent worker is left."""
    for _ in range(12):
        flow.world.clock.advance(flow.world.platform.options.lease_seconds / 8)
        flow.world.platform.maintain()


def test_a_group_job_that_is_done_runs_again_with_later_values_once_its_silent_worker_has_lost_its_lease(flow):
    scan = flow.task("scan", "Source")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow, outputs={"out": 1})
    lease = flow.queue.claim(flow.worker)
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    flow.control.start_run(flow.workflow, outputs={"out": 2})
    assert flow.states(chart) == [["Done"]]
    fall_silent(flow)
    assert flow.states(chart) == [["Ready"]]


def test_a_job_that_was_made_from_an_older_value_for_all_runs_waits_until_its_worker_is_done_with_it(flow):
    scan = flow.task("scan", "Source")
    mean = flow.task("mean", types={"values": "Sequence"}, values=output(scan))
    chart = flow.task("chart", value=output(mean))
    flow.start()
    flow.control.start_run(flow.workflow, outputs={"out": 1})
    flow.work({"out": 1})
    lease = flow.queue.claim(flow.worker)
    assert lease.job.task_serial == chart
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    flow.control.start_run(flow.workflow, outputs={"out": 2})
    assert flow.states(mean, chart) == [["Ready"], ["Done"]]
    flow.work({"out": 2}, job=flow.jobs(mean)[0])
    assert flow.states(mean, chart) == [["Done"], ["Done"]]
    flow.queue.end(lease, ENDED)
    assert [(job.state, job.inputs) for job in flow.jobs(chart)] == [(JobState.READY, {"value": 2})]


def test_a_group_waits_no_longer_for_a_job_that_is_aborted_because_its_worker_is_silent(flow):
    scan = flow.task("scan", "Source")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    lease = flow.queue.claim(flow.worker)
    assert lease.job.task_serial == scan
    flow.control.abort_job(lease.job.serial)
    assert flow.states(chart) == [[]]
    fall_silent(flow)
    assert flow.states(scan, chart) == [["Done", "Aborted"], ["Ready"]]


def test_a_workflow_without_source_task_starts_with_its_first_tasks(flow):
    first = flow.task("first", low={"mode": "fixed", "fixed_value": 1})
    second = flow.task("second", a=output(first))
    flow.start()
    flow.control.start_run(flow.workflow)
    assert flow.states(first, second) == [["Ready"], []]
    flow.work({"out": 4})
    assert [job.inputs for job in flow.jobs(second)] == [{"a": 4}]


def test_an_entity_that_a_run_is_about_later_is_kept_and_one_without_a_uuid_is_not(flow):
    run = flow.server.create(Run(workflow_serial=flow.workflow, entity={"name": "mouse 1"}))
    assert flow.server.find(Entity) == []
    flow.server.update(Run, run.serial, Change(values={"/entity": {"uuid": "m-1", "name": "mouse 1"}}))
    flow.server.update(Run, run.serial, Change(values={"/name": "the first"}))
    assert [(entity.uuid, entity.name) for entity in flow.server.find(Entity)] == [("m-1", "mouse 1")]


def test_a_draft_whose_tasks_are_changed_starts_nothing(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan), low={"mode": "ui"})
    kind = flow.server.get(Task, mask).task_type_serial
    source = flow.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 1}))
    low = {"key": "low", "mode": "fixed", "fixed_value": 3.0}
    flow.server.update(Task, mask, Change(values={"/inputs": [{"key": "image", **output(scan)}, low]}))
    appended = flow.control.append_task(source.serial, kind, inputs=[{"key": "image", **output(scan)}, low])
    assert flow.states(mask, appended.serial) == [[], []]
    flow.start()
    assert flow.states(mask, appended.serial) == [["Ready"], ["Ready"]]


def test_a_task_behind_a_job_without_a_run_begins_nothing(flow):
    first = flow.task("first")
    flow.start()
    job = flow.server.create(Job(task_serial=first, state=JobState.DONE, outputs={"out": 1}))
    kind = flow.server.get(Task, flow.task("mask", image=output(first))).task_type_serial
    appended = flow.control.append_task(job.serial, kind, inputs=[{"key": "image", **output(first)}])
    assert flow.states(appended.serial) == [[]]


def test_a_change_of_tasks_leaves_source_jobs_that_wait_for_a_person_alone(flow):
    scan = flow.task("scan", "Source", low={"mode": "ui"})
    mask = flow.task("mask", image=output(scan))
    flow.start()
    run = flow.control.start_run(flow.workflow, inputs={"low": 1.0})
    [ready] = flow.jobs(scan)
    waiting = flow.server.create(Job(task_serial=scan, run_serial=run.serial, state=JobState.WAITING))
    flow.server.update(Task, mask, Change(values={"/state": "Obsolete"}))
    assert flow.server.get(Job, waiting.serial) == waiting
    assert flow.server.get(Job, ready.serial) == ready


def test_a_script_ends_although_its_task_became_obsolete_meanwhile(flow):
    scan = flow.task("scan", "Source")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    flow.server.update(Task, scan, Change(values={"/state": "Obsolete"}))
    script = flow.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"}))
    assert flow.queue.end(lease, ENDED).state is JobState.DONE


def test_what_follows_from_a_change_and_cannot_be_worked_out_is_in_the_log_and_the_change_stands(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    run = flow.control.start_run(flow.workflow, name="mouse 1")
    with flow.world.platform.records.transaction() as transaction:
        transaction.replace(attrs.evolve(transaction.get(Run, run.serial), source_job_serial=4711))
    job = flow.work({"out": 1})
    assert flow.states(scan, mask) == [["Done"], []]
    events = flow.server.find(ActivityEvent, {"job_serial": job.serial})
    [event] = [event for event in events if event.level == "ERROR"]
    assert event.title == f"what follows from job {job.serial} could not be worked out"
    assert event.payload["reason"] == "there is no job 4711"


def test_a_draft_starts_nothing_and_catches_up(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    with pytest.raises(IllegalTransition, match="draft"):
        flow.control.start_run(flow.workflow)
    flow.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 3}))
    assert flow.states(mask) == [[]]
    flow.start()
    assert [job.inputs for job in flow.jobs(mask)] == [{"image": 3}]


def test_a_spawned_source_job_starts_a_run(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    source = flow.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 3}, name="mouse 9"))
    [job] = flow.jobs(mask)
    assert (job.state, job.source_job_serial) == (JobState.READY, source.serial)
    assert flow.server.get(Run, job.run_serial).name == "mouse 9"


def test_the_entity_of_a_source_job_is_what_its_run_is_about(flow):
    scan = flow.task("scan", "Source")
    flow.start()
    run = flow.control.start_run(flow.workflow)
    flow.work({"who": {"type": "Entity", "uuid": "u-1", "name": "mouse"}})
    assert flow.server.get(Run, run.serial).entity == {"uuid": "u-1", "name": "mouse"}
    assert scan


def test_a_paused_run_waits_and_an_obsolete_one_starts_nothing_more(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    run = flow.control.start_run(flow.workflow, priority=RunPriority.PAUSED)
    assert flow.queue.claim(flow.worker) is None
    flow.server.update(Run, run.serial, Change(values={"/priority": "High"}))
    lease = flow.queue.claim(flow.worker)
    flow.server.update(Run, run.serial, Change(values={"/obsolete": True}))
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    assert flow.states(mask) == [[]]


def test_the_source_task_must_be_named_where_there_are_several(flow):
    first, second = flow.task("first", "Source"), flow.task("second", "Source")
    flow.start()
    with pytest.raises(InvalidParameter, match="several"):
        flow.control.start_run(flow.workflow)
    flow.control.start_run(flow.workflow, task_serial=second)
    assert flow.states(first, second) == [[], ["Ready"]]


def test_a_run_with_wrong_inputs_leaves_nothing_behind(flow):
    flow.task("scan", "Source", low={"mode": "ui"})
    flow.start()
    with pytest.raises(InvalidParameter, match=r"inputs\.low"):
        flow.control.start_run(flow.workflow, inputs={"low": "many"})
    assert flow.server.find(Run) == []
    assert flow.server.find(Job) == []


def test_a_run_is_started_once_by_one_key(flow):
    flow.task("first")
    flow.start()
    first = flow.control.start_run(flow.workflow, idempotency_key="r")
    assert flow.control.start_run(flow.workflow, idempotency_key="r") == first
    assert len(flow.server.find(Job)) == 1


@pytest.mark.parametrize(
    ("source", "violation"),
    [
        ({"mode": "sometimes"}, "mode"),
        ({"mode": "output"}, "task_serial"),
        ({"mode": "output", "task_serial": 4711, "output_key": "out"}, "4711"),
    ],
)
def test_inputs_that_cannot_be_scheduled_are_refused(flow, source, violation):
    with pytest.raises(InvalidRecord, match=violation):
        flow.task("mask", image=source)


def test_a_task_never_follows_itself(flow):
    first = flow.task("first", a={"mode": "none"})
    second = flow.task("second", a=output(first))
    with pytest.raises(InvalidRecord, match="itself"):
        flow.server.update(Task, first, Change(values={"/inputs": [{"key": "a", **output(second)}]}))


def test_who_did_it_is_in_the_activity_log(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    source = flow.work({"out": 1})
    [job] = flow.jobs(mask)
    [event] = flow.server.find(ActivityEvent, {"job_serial": job.serial})
    assert (event.user, event.payload["state"]) == (f"job {source.serial}", [None, "Ready"])


def test_a_job_that_no_worker_can_run_says_what_is_missing(flow):
    needs = [{"name": "Core.IPL", "version": "1.0.0.0"}, {"name": "Core.Python", "version": "3.11.0.0"}]
    task_type = flow.server.create(TaskType(name="Lab.IPL", metadata={"dependencies": needs}))
    task = flow.server.create(Task(workflow_serial=flow.workflow, task_type_serial=task_type.serial)).serial
    flow.start()
    flow.control.start_run(flow.workflow)
    flow.queue.register(Worker(name="half", dependency_packages=needs[1:]))
    flow.world.platform.maintain()
    assert flow.jobs(task)[0].metadata["worker_missing"] == "Worker missing [Core.IPL 1.0.0.0]"
    assert flow.jobs(task)[0].occ_lock_version == 1
    worker = flow.queue.register(Worker(name="whole", dependency_packages=needs)).serial
    flow.world.platform.maintain()
    assert "worker_missing" not in flow.jobs(task)[0].metadata
    assert flow.queue.claim(worker) is not None


def test_maintenance_ends_leases_and_deletes_old_keys(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow, idempotency_key="old")
    lease = flow.queue.claim(flow.worker)
    flow.world.clock.advance(61)
    flow.world.platform.maintain()
    assert flow.server.get(Job, lease.job.serial).state is JobState.READY
    flow.world.clock.advance(25 * 3600)
    flow.world.platform.maintain()
    flow.control.start_run(flow.workflow, idempotency_key="old")
    assert len(flow.server.find(Run)) == 2


def test_a_group_job_whose_task_became_obsolete_while_values_came_does_not_run_again(flow):
    scan = flow.task("scan", "Source")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow, outputs={"out": 1})
    lease = flow.queue.claim(flow.worker)
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    flow.control.start_run(flow.workflow, outputs={"out": 2})
    flow.server.update(Task, chart, Change(values={"/state": "Obsolete"}))
    assert flow.queue.end(lease, ENDED).state is JobState.DONE
    assert flow.states(chart) == [["Done"]]


def test_a_task_for_all_runs_that_is_appended_begins_at_once_with_the_values_that_are_there(flow):
    scan = flow.task("scan", "Source")
    flow.start()
    for value in (1, 2):
        flow.control.start_run(flow.workflow, outputs={"out": value})
    interface = {"inputs": [{"key": "values", "type": "Sequence"}]}
    chart_type = flow.server.create(TaskType(name="Lab.chart", interface=interface)).serial
    source = {"key": "values", **output(scan)}
    chart = flow.control.append_task(flow.jobs(scan)[0].serial, chart_type, inputs=[source]).serial
    [job] = flow.jobs(chart)
    assert (job.state, job.run_serial) == (JobState.READY, None)
    assert job.inputs == {"values": {"type": "Sequence", "task_serial": scan, "key": "out"}}


def test_a_group_job_is_not_made_where_another_group_job_made_no_value_that_it_needs(flow):
    scan = flow.task("scan", "Source")
    mean = flow.task("mean", types={"values": "Sequence"}, values=output(scan))
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan), mean=output(mean))
    flow.start()
    flow.control.start_run(flow.workflow, outputs={"out": 1})
    flow.work({"other": 7})
    assert flow.states(mean, chart) == [["Done"], []]


def test_a_new_task_takes_no_input_that_its_task_type_does_not_declare(flow):
    scan = flow.task("scan", "Source")
    interface = {"inputs": [{"key": "image", "type": "Float"}]}
    mask_type = flow.server.create(TaskType(name="Lab.mask", interface=interface)).serial
    mask = Task(workflow_serial=flow.workflow, task_type_serial=mask_type, inputs=[{"key": "imgae", **output(scan)}])
    with pytest.raises(InvalidRecord, match=r"'imgae' is not an input of Lab\.mask; its inputs are image"):
        flow.server.create(mask)


def test_a_new_job_is_not_in_the_middle_of_its_work(flow):
    scan = flow.task("scan", "Source")
    flow.start()
    with pytest.raises(InvalidRecord, match="a new job can be Waiting, Ready, ReadyForInteractive, Done, not Running"):
        flow.server.create(Job(task_serial=scan, state=JobState.RUNNING))


def test_a_job_that_another_one_started_belongs_to_its_run(flow):
    scan, mask = flow.task("scan", "Source"), flow.task("mask")
    flow.start()
    run = flow.control.start_run(flow.workflow, outputs={"out": 1})
    job = Job(task_serial=mask, source_job_serial=flow.jobs(scan)[0].serial, state=JobState.READY)
    assert flow.server.create(job).run_serial == run.serial


def test_what_somebody_writes_into_the_activity_log_is_there_once(flow):
    flow.server.create(ActivityEvent(title="the scanner was serviced"))
    assert [event.title for event in flow.server.find(ActivityEvent)].count("the scanner was serviced") == 1
    assert not [event for event in flow.server.find(ActivityEvent) if "created activity" in event.title]
