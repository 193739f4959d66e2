"""Workflows flow: what a finished, failed, restarted or aborted job makes of the others."""

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter, InvalidRecord, JobAborted, LeaseLost
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    ActivityEvent,
    Job,
    Run,
    RunPriority,
    Task,
    TaskType,
    Worker,
)


@pytest.fixture(params=["memory", "sqlite"])
def lab(request, tmp_path):
    if request.param == "memory":
        yield SmallWorkflow(MemoryRecordStore())
        return
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield SmallWorkflow(records)
    records.close()


def test_a_follower_becomes_ready_with_the_value_in_the_same_transaction(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan), low={"mode": "fixed", "fixed_value": 220})
    lab.start()
    run = lab.control.start_run(lab.workflow, name="mouse 1")
    assert lab.states(scan, mask) == [["Ready"], []]
    source = lab.work({"out": 7.5})
    [job] = lab.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY, {"image": 7.5, "low": 220})
    assert (job.run_serial, job.source_job_serial, job.name) == (run.serial, source.serial, "mouse 1")
    assert job.sort_order == source.sort_order


def test_a_task_waits_for_all_its_inputs(lab):
    scan = lab.task("scan", "Source")
    left, right = lab.task("left", a=output(scan)), lab.task("right", a=output(scan))
    both = lab.task("both", left=output(left), right=output(right))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1})
    lab.work({"out": 2})
    assert lab.states(both) == [[]]
    lab.work({"out": 3})
    assert [job.inputs for job in lab.jobs(both)] == [{"left": 2, "right": 3}]


def test_runs_do_not_mix(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    runs = [lab.control.start_run(lab.workflow, name=f"mouse {n}").serial for n in range(3)]
    for n, source in enumerate(lab.jobs(scan)):
        lab.work({"out": n}, job=source)
    assert [(job.run_serial, job.inputs["image"]) for job in lab.jobs(mask)] == list(zip(runs, range(3), strict=True))


def test_a_missing_output_starts_nothing_that_needs_it(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"other": 1})
    assert lab.states(mask) == [[]]


def test_a_failed_job_starts_nothing(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.fail()
    assert lab.states(scan, mask) == [["Failed"], []]


def test_an_interactive_task_waits_for_a_person(lab):
    scan = lab.task("scan", "Source")
    voi = lab.task("voi", "Interactive", image=output(scan))
    mean = lab.task("mean", voi=output(voi))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1})
    assert lab.states(voi, mean) == [["ReadyForInteractive"], []]
    assert lab.queue.claim(lab.worker) is None
    [job] = lab.jobs(voi)
    lab.server.update(Job, job.serial, Change(values={"/outputs": {"out": 9}, "/state": "Done"}))
    assert [job.inputs for job in lab.jobs(mean)] == [{"voi": 9}]


def test_an_input_that_a_person_gives_is_waited_for(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan), low={"mode": "ui"})
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1})
    [job] = lab.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY_FOR_INTERACTIVE, {"image": 1, "low": None})
    lab.server.update(Job, job.serial, Change(values={"/inputs/low": 300, "/state": "Waiting"}))
    [job] = lab.jobs(mask)
    assert (job.state, job.inputs) == (JobState.READY, {"image": 1, "low": 300})


@pytest.mark.parametrize("how", ["inputs", "outputs"])
def test_the_first_job_defines_the_template_and_later_jobs_reuse_it(lab, how):
    scan = lab.task("scan", "Source")
    voi = lab.task("voi", "Interactive", image=output(scan), box={"mode": "define_on_first", "template": None})
    lab.start()
    for n in range(3):
        lab.control.start_run(lab.workflow)
        lab.work({"out": n})
    assert lab.states(voi) == [["ReadyForInteractive", "Waiting", "Waiting"]]
    first = lab.jobs(voi)[0]
    lab.server.update(Job, first.serial, Change(values={f"/{how}/box": 5.5, "/state": "Done"}))
    assert lab.server.get(Task, voi).inputs[1] == {"key": "box", "mode": "define_on_first", "template": 5.5}
    assert lab.states(voi) == [["Done", "ReadyForInteractive", "ReadyForInteractive"]]
    assert [job.inputs["box"] for job in lab.jobs(voi)][1:] == [5.5, 5.5]
    lab.control.start_run(lab.workflow)
    lab.work({"out": 3})
    assert lab.jobs(voi)[3].inputs == {"image": 3, "box": 5.5}


def test_when_the_first_job_defines_nothing_the_next_one_may(lab):
    scan = lab.task("scan", "Source")
    voi = lab.task("voi", "Interactive", image=output(scan), box={"mode": "define_on_first", "template": None})
    lab.start()
    for n in range(3):
        lab.control.start_run(lab.workflow)
        lab.work({"out": n})
    lab.control.abort_job(lab.jobs(voi)[0].serial)
    assert lab.states(voi) == [["Aborted", "ReadyForInteractive", "Waiting"]]


def test_a_group_job_runs_when_no_more_values_are_to_come(lab):
    scan = lab.task("scan", "Source")
    mean = lab.task("mean", image=output(scan))
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(mean))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    for n in (1, 10, 2):
        lab.work({"out": n})
    assert lab.states(chart) == [[]]
    lab.work({"out": 20})
    [job] = lab.jobs(chart)
    assert (job.state, job.run_serial) == (JobState.READY, None)
    assert job.inputs == {"values": {"type": "Sequence", "task_serial": mean, "key": "out"}}
    lab.work({"chart": 1}, job=job)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 3})
    assert lab.states(chart) == [["Done"]]
    lab.work({"out": 30})
    assert lab.states(chart) == [["Ready"]]


def test_a_group_job_that_runs_while_values_come_runs_again(lab):
    scan = lab.task("scan", "Source")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1})
    lease = lab.queue.claim(lab.worker)
    assert lease.job.task_serial == chart
    lab.control.start_run(lab.workflow, outputs={"out": 2})
    script = lab.world.as_bearer(lease.server_auth)
    script.update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    assert lab.states(chart) == [["Done"]]
    lab.control.start_run(lab.workflow, outputs={"out": 3})
    assert lab.states(chart) == [["Done"]]
    job = lab.queue.end(lease, ENDED)
    assert (job.state, job.outputs) == (JobState.READY, {})
    assert "error_message" not in job.metadata
    lab.work()
    assert lab.states(chart) == [["Done"]]


def test_a_workflow_without_source_task_starts_with_its_first_tasks(lab):
    first = lab.task("first", low={"mode": "fixed", "fixed_value": 1})
    second = lab.task("second", a=output(first))
    lab.start()
    lab.control.start_run(lab.workflow)
    assert lab.states(first, second) == [["Ready"], []]
    lab.work({"out": 4})
    assert [job.inputs for job in lab.jobs(second)] == [{"a": 4}]


def test_a_draft_starts_nothing_and_catches_up(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    with pytest.raises(IllegalTransition, match="draft"):
        lab.control.start_run(lab.workflow)
    lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 3}))
    assert lab.states(mask) == [[]]
    lab.start()
    assert [job.inputs for job in lab.jobs(mask)] == [{"image": 3}]


def test_a_spawned_source_job_starts_a_run(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    source = lab.server.create(Job(task_serial=scan, state=JobState.DONE, outputs={"out": 3}, name="mouse 9"))
    [job] = lab.jobs(mask)
    assert (job.state, job.source_job_serial) == (JobState.READY, source.serial)
    assert lab.server.get(Run, job.run_serial).name == "mouse 9"


def test_the_entity_of_a_source_job_is_what_its_run_is_about(lab):
    scan = lab.task("scan", "Source")
    lab.start()
    run = lab.control.start_run(lab.workflow)
    lab.work({"who": {"type": "Entity", "uuid": "u-1", "name": "mouse"}})
    assert lab.server.get(Run, run.serial).entity == {"uuid": "u-1", "name": "mouse"}
    assert scan


def test_a_restart_holds_back_all_that_follows(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    mean = lab.task("mean", mask=output(mask))
    other = lab.task("other", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    for n in range(4):
        lab.work({"out": n})
    assert lab.states(scan, mask, mean, other) == [["Done"]] * 4
    [job] = lab.jobs(mask)
    again = lab.control.restart_job(job.serial)
    assert (again.state, again.outputs, again.inputs) == (JobState.READY, {}, {"image": 0})
    assert "outcome" not in again.metadata
    assert lab.states(scan, mask, mean, other) == [["Done"], ["Ready"], ["Waiting"], ["Done"]]
    lab.work({"out": 50})
    [follower] = lab.jobs(mean)
    assert (follower.state, follower.inputs) == (JobState.READY, {"mask": 50})


def test_nothing_is_restarted_under_a_running_follower(lab):
    scan = lab.task("scan", "Source")
    lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    source = lab.work({"out": 1})
    lab.queue.claim(lab.worker)
    with pytest.raises(IllegalTransition, match="running"):
        lab.control.restart_job(source.serial)
    assert lab.server.get(Job, source.serial).state is JobState.DONE


def test_a_job_is_not_restarted_while_its_script_may_still_run(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    lab.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    with pytest.raises(IllegalTransition, match="worker"):
        lab.control.restart_job(lease.job.serial)
    lab.queue.end(lease, ENDED)
    assert lab.control.restart_job(lease.job.serial).state is JobState.READY


def test_an_open_job_is_not_restarted_and_an_ended_one_not_aborted(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    [job] = lab.server.find(Job)
    with pytest.raises(IllegalTransition):
        lab.control.restart_job(job.serial)
    assert lab.control.abort_job(job.serial).state is JobState.ABORTED
    with pytest.raises(IllegalTransition):
        lab.control.abort_job(job.serial)


def test_a_running_job_is_asked_to_stop_and_takes_nothing_more(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    asked = lab.control.abort_job(lease.job.serial)
    assert (asked.state, asked.metadata["abort_requested"]["by"]) == (JobState.RUNNING, "admin")
    assert lab.queue.heartbeat(lease).abort_requested
    with pytest.raises(JobAborted):
        lab.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    job = lab.queue.end(lease, Outcome(ending=Ending.KILLED, message="SIGTERM", signal="SIGTERM"))
    assert (job.state, job.metadata["error_message"]) == (JobState.ABORTED, "SIGTERM")
    assert "abort_requested" not in job.metadata


def test_a_silent_worker_loses_its_job_and_its_results_are_refused(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    lost = lab.queue.claim(lab.worker)
    lab.world.clock.advance(61)
    other = lab.queue.register(Worker(name="other")).serial
    again = lab.queue.claim(other)
    assert (again.job.serial, again.attempt) == (lost.job.serial, 2)
    with pytest.raises(LeaseLost):
        lab.world.as_bearer(lost.server_auth).update(Job, lost.job.serial, Change(values={"/state": "Done"}))
    with pytest.raises(LeaseLost):
        lab.queue.heartbeat(lost)
    with pytest.raises(LeaseLost):
        lab.queue.end(lost, ENDED)
    assert "bench" in again.job.metadata["lost_attempts"][0]


def test_heartbeats_keep_the_lease(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    for _ in range(5):
        lab.world.clock.advance(50)
        lab.queue.heartbeat(lease)
        assert lab.queue.claim(lab.worker) is None
    assert lab.server.get(Job, lease.job.serial).state is JobState.RUNNING


def test_after_too_many_lost_workers_a_job_fails(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    for attempt in range(1, 4):
        assert lab.queue.claim(lab.worker).attempt == attempt
        lab.world.clock.advance(61)
    assert lab.queue.claim(lab.worker) is None
    [job] = lab.server.find(Job)
    assert job.state is JobState.FAILED
    assert "bench" in job.metadata["error_message"]


def test_an_aborted_job_of_a_lost_worker_is_aborted(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    lab.control.abort_job(lease.job.serial)
    lab.world.clock.advance(61)
    assert lab.queue.claim(lab.worker) is None
    assert lab.server.get(Job, lease.job.serial).state is JobState.ABORTED


def test_a_claim_that_is_repeated_gives_the_same_lease(lab):
    lab.task("first")
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    leases = [lab.queue.claim(lab.worker, claim_key="c-1") for _ in range(2)]
    assert leases[0].job == leases[1].job
    assert lab.queue.claim(lab.worker, claim_key="c-2").job.serial != leases[0].job.serial


def test_a_paused_run_waits_and_an_obsolete_one_starts_nothing_more(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow, priority=RunPriority.PAUSED)
    assert lab.queue.claim(lab.worker) is None
    lab.server.update(Run, run.serial, Change(values={"/priority": "High"}))
    lease = lab.queue.claim(lab.worker)
    lab.server.update(Run, run.serial, Change(values={"/obsolete": True}))
    lab.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    assert lab.states(mask) == [[]]


def test_the_source_task_must_be_named_where_there_are_several(lab):
    first, second = lab.task("first", "Source"), lab.task("second", "Source")
    lab.start()
    with pytest.raises(InvalidParameter, match="several"):
        lab.control.start_run(lab.workflow)
    lab.control.start_run(lab.workflow, task_serial=second)
    assert lab.states(first, second) == [[], ["Ready"]]


def test_a_run_with_wrong_inputs_leaves_nothing_behind(lab):
    lab.task("scan", "Source", low={"mode": "ui"})
    lab.start()
    with pytest.raises(InvalidParameter, match=r"inputs\.low"):
        lab.control.start_run(lab.workflow, inputs={"low": "many"})
    assert lab.server.find(Run) == []
    assert lab.server.find(Job) == []


def test_a_run_is_started_once_by_one_key(lab):
    lab.task("first")
    lab.start()
    first = lab.control.start_run(lab.workflow, idempotency_key="r")
    assert lab.control.start_run(lab.workflow, idempotency_key="r") == first
    assert len(lab.server.find(Job)) == 1


@pytest.mark.parametrize(
    ("source", "violation"),
    [
        ({"mode": "sometimes"}, "mode"),
        ({"mode": "output"}, "task_serial"),
        ({"mode": "output", "task_serial": 4711, "output_key": "out"}, "4711"),
    ],
)
def test_inputs_that_cannot_be_scheduled_are_refused(lab, source, violation):
    with pytest.raises(InvalidRecord, match=violation):
        lab.task("mask", image=source)


def test_a_task_never_follows_itself(lab):
    first = lab.task("first", a={"mode": "none"})
    second = lab.task("second", a=output(first))
    with pytest.raises(InvalidRecord, match="itself"):
        lab.server.update(Task, first, Change(values={"/inputs": [{"key": "a", **output(second)}]}))


def test_who_did_it_is_in_the_activity_log(lab):
    scan = lab.task("scan", "Source")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    source = lab.work({"out": 1})
    [job] = lab.jobs(mask)
    [event] = lab.server.find(ActivityEvent, {"job_serial": job.serial})
    assert (event.user, event.payload["state"]) == (f"job {source.serial}", [None, "Ready"])


def test_a_job_that_no_worker_can_run_says_what_is_missing(lab):
    needs = [{"name": "Core.IPL", "version": "1.0.0.0"}, {"name": "Core.Python", "version": "3.11.0.0"}]
    task_type = lab.server.create(TaskType(name="Lab.IPL", metadata={"dependencies": needs}))
    task = lab.server.create(Task(workflow_serial=lab.workflow, task_type_serial=task_type.serial)).serial
    lab.start()
    lab.control.start_run(lab.workflow)
    lab.queue.register(Worker(name="half", dependency_packages=needs[1:]))
    lab.world.platform.maintain()
    assert lab.jobs(task)[0].metadata["worker_missing"] == "Worker missing [Core.IPL 1.0.0.0]"
    assert lab.jobs(task)[0].occ_lock_version == 1
    worker = lab.queue.register(Worker(name="whole", dependency_packages=needs)).serial
    lab.world.platform.maintain()
    assert "worker_missing" not in lab.jobs(task)[0].metadata
    assert lab.queue.claim(worker) is not None


def test_maintenance_ends_leases_and_deletes_old_keys(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow, idempotency_key="old")
    lease = lab.queue.claim(lab.worker)
    lab.world.clock.advance(61)
    lab.world.platform.maintain()
    assert lab.server.get(Job, lease.job.serial).state is JobState.READY
    lab.world.clock.advance(25 * 3600)
    lab.world.platform.maintain()
    lab.control.start_run(lab.workflow, idempotency_key="old")
    assert len(lab.server.find(Run)) == 2
