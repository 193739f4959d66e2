"""Restarts, groups and obsolete runs: what is taken back is made again, and nothing waits for what will not come."""

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidRecord
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, Workflow


@pytest.fixture(params=["memory", "sqlite"])
def lab(request, tmp_path):
    if request.param == "memory":
        yield SmallWorkflow(MemoryRecordStore())
        return
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield SmallWorkflow(records)
    records.close()


def work_all(lab: SmallWorkflow, value: float = 1.0) -> None:
    while (lease := lab.queue.claim(lab.worker)) is not None:
        script = lab.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": value}, "/state": "Done"}))
        lab.queue.end(lease, ENDED)


def obsolete(lab: SmallWorkflow, run: Run, *, value: bool = True) -> None:
    lab.server.update(Run, run.serial, Change(values={"/obsolete": value}))


def grouped(lab: SmallWorkflow) -> tuple[int, int]:
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    lab.start()
    return scan, chart


def mixed(lab: SmallWorkflow) -> tuple[int, int, int]:
    """A task that takes a value of its own run and a sequence over all runs."""
    own, other = lab.task("own"), lab.task("other")
    both = lab.task("both", types={"all": "Sequence"}, x=output(own), all=output(other))
    lab.start()
    return own, other, both


def test_a_task_with_a_value_and_a_sequence_is_made_again_after_a_restart_in_the_sequence(lab):
    own, other, both = mixed(lab)
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    work_all(lab)
    assert lab.states(both) == [["Done", "Done"]]
    lab.control.restart_job(lab.jobs(other)[0].serial)
    assert lab.states(own, other, both) == [["Done"] * 2, ["Ready", "Done"], ["Waiting"] * 2]
    work_all(lab, 2.0)
    assert lab.states(both) == [["Done", "Done"]]
    assert [job.outputs["out"] for job in lab.jobs(both)] == [2.0, 2.0]


def test_a_task_with_a_value_and_a_sequence_waits_until_no_more_values_are_to_come(lab):
    own, other, both = mixed(lab)
    lab.control.start_run(lab.workflow)
    lab.work({"out": 1}, job=lab.jobs(own)[0])
    assert lab.states(both) == [["Waiting"]]
    lab.work({"out": 2}, job=lab.jobs(other)[0])
    assert lab.states(both) == [["Ready"]]


def test_what_such_a_task_has_made_stays_when_a_later_run_brings_more(lab):
    _, _, both = mixed(lab)
    lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.control.start_run(lab.workflow)
    assert lab.states(both) == [["Done"]]
    work_all(lab)
    assert lab.states(both) == [["Done", "Done"]]


def test_a_group_is_made_when_the_run_with_the_last_open_job_becomes_obsolete(lab):
    _, chart = grouped(lab)
    lab.control.start_run(lab.workflow)
    last = lab.control.start_run(lab.workflow)
    lab.work({"out": 1})
    assert lab.states(chart) == [[]]
    obsolete(lab, last)
    assert lab.states(chart) == [["Ready"]]


def test_a_run_that_comes_back_counts_again(lab):
    scan, chart = grouped(lab)
    first = lab.control.start_run(lab.workflow)
    lab.control.start_run(lab.workflow)
    obsolete(lab, first)
    work_all(lab)
    assert lab.states(scan, chart) == [["Ready", "Done"], ["Done"]]
    obsolete(lab, first, value=False)
    assert lab.states(chart) == [["Done"]]
    work_all(lab, 2.0)
    assert lab.states(scan, chart) == [["Done", "Done"], ["Done"]]
    assert lab.jobs(chart)[0].outputs == {"out": 2.0}


def test_what_was_done_in_a_run_while_it_was_obsolete_is_followed_when_it_comes_back(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    obsolete(lab, run)
    lab.world.as_bearer(lease.server_auth).update(
        Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"})
    )
    assert lab.states(mask) == [[]]
    obsolete(lab, run, value=False)
    assert lab.states(mask) == [["Ready"]]


def test_what_was_done_in_a_workflow_while_it_was_obsolete_is_followed_when_it_comes_back(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    lease = lab.queue.claim(lab.worker)
    lab.server.update(Workflow, lab.workflow, Change(values={"/obsolete": True}))
    lab.world.as_bearer(lease.server_auth).update(
        Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"})
    )
    assert lab.states(mask) == [[]]
    lab.server.update(Workflow, lab.workflow, Change(values={"/obsolete": False}))
    assert lab.states(mask) == [["Ready"]]


def test_a_workflow_that_comes_back_keeps_what_was_made_of_all_values(lab):
    _, chart = grouped(lab)
    lab.control.start_run(lab.workflow)
    work_all(lab)
    before = lab.jobs(chart)
    lab.world.clock.advance(60)
    for value in (True, False):
        lab.server.update(Workflow, lab.workflow, Change(values={"/obsolete": value}))
    assert lab.jobs(chart) == before


def test_nothing_is_restarted_in_what_is_obsolete_and_no_result_is_taken_back_for_it(lab):
    scan, chart = grouped(lab)
    run = lab.control.start_run(lab.workflow)
    lab.control.start_run(lab.workflow)
    work_all(lab)
    obsolete(lab, run)
    with pytest.raises(IllegalTransition, match=f"run {run.serial} is obsolete"):
        lab.control.restart_job(lab.jobs(scan)[0].serial)
    lab.server.update(Workflow, lab.workflow, Change(values={"/obsolete": True}))
    with pytest.raises(IllegalTransition, match=r"workflow \d+ is obsolete"):
        lab.control.restart_job(lab.jobs(scan)[1].serial)
    assert lab.states(scan, chart) == [["Done", "Done"], ["Done"]]


def test_a_template_is_not_waited_for_in_an_obsolete_run(lab):
    voi = lab.task("voi", box={"mode": "define_on_first", "template": None})
    lab.start()
    first = lab.control.start_run(lab.workflow)
    lab.control.start_run(lab.workflow)
    assert lab.states(voi) == [["Ready", "Waiting"]]
    obsolete(lab, first)
    assert lab.states(voi) == [["Ready", "Ready"]]


@pytest.mark.parametrize("is_root", [True, False])
def test_a_job_that_is_restarted_waits_for_the_template_that_another_is_about_to_define(lab, is_root):
    scan = lab.task("scan")
    inputs = {} if is_root else {"image": output(scan)}
    voi = lab.task("voi", **inputs, box={"mode": "define_on_first", "template": None})
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    for job in lab.jobs(scan):
        lab.work({"out": 1}, job=job)
    first, second = lab.jobs(voi)
    lab.fail()
    assert lab.states(voi) == [["Failed", "Ready"]]
    lab.control.restart_job(first.serial)
    assert lab.states(voi) == [["Waiting", "Ready"]]
    lab.work({"box": 5.5}, job=second)
    assert lab.states(voi) == [["Ready", "Done"]]
    assert lab.jobs(voi)[0].inputs["box"] == 5.5


def test_a_group_keeps_its_result_when_a_later_run_fails(lab):
    scan, chart = grouped(lab)
    lab.control.start_run(lab.workflow)
    work_all(lab)
    before = lab.jobs(chart)[0]
    lab.control.start_run(lab.workflow)
    lab.fail()
    assert lab.states(scan, chart) == [["Done", "Failed"], ["Done"]]
    assert lab.jobs(chart)[0] == before
    failed = lab.jobs(scan)[1]
    lab.control.restart_job(failed.serial)
    assert lab.jobs(chart)[0] == before
    lab.work({"nothing": 1})
    assert lab.jobs(chart)[0] == before
    lab.control.restart_job(failed.serial)
    lab.work({"out": 5})
    assert lab.states(chart) == [["Ready"]]


def test_a_group_is_made_of_the_rest_when_a_restart_fails(lab):
    scan = lab.task("scan", "Source")
    mean = lab.task("mean", image=output(scan))
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(mean))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    assert lab.states(scan, mean, chart) == [["Ready", "Done"], ["Waiting", "Done"], ["Waiting"]]
    lab.fail()
    assert lab.states(scan, mean, chart) == [["Failed", "Done"], ["Waiting", "Done"], ["Ready"]]


def test_a_job_whose_input_is_not_made_any_more_fails_instead_of_waiting(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    lab.work({"other": 1})
    [job] = lab.jobs(mask)
    assert job.state is JobState.FAILED
    assert "input image has no value, because job 1 made no output 'out'" in job.metadata["error_message"]
    with pytest.raises(IllegalTransition, match="input image has no value"):
        lab.control.restart_job(job.serial)
    lab.control.restart_job(lab.jobs(scan)[0].serial)
    work_all(lab)
    assert lab.states(mask) == [["Done"]]


def test_a_task_may_follow_a_task_for_all_runs(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    report = lab.task("report", chart=output(chart))
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    work_all(lab)
    assert lab.states(scan, chart, report) == [["Done", "Done"], ["Done"], ["Done"]]
    lab.control.start_run(lab.workflow)
    work_all(lab, 7.0)
    [job] = lab.jobs(report)
    assert (job.state, job.inputs) == (JobState.DONE, {"chart": 7.0})


def test_a_value_for_all_runs_is_not_mixed_with_one_of_a_single_run(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan))
    with pytest.raises(InvalidRecord, match="one job for all runs"):
        lab.task("both", a=output(scan), b=output(chart))


def test_an_interactive_group_goes_on_when_a_person_gave_its_inputs(lab):
    scan = lab.task("scan")
    chart = lab.task("chart", types={"values": "Sequence"}, values=output(scan), low={"mode": "ui"})
    lab.start()
    lab.control.start_run(lab.workflow)
    work_all(lab)
    [job] = lab.jobs(chart)
    assert job.state is JobState.READY_FOR_INTERACTIVE
    lab.server.update(Job, job.serial, Change(values={"/inputs/low": 3.5, "/state": "Waiting"}))
    [job] = lab.jobs(chart)
    assert (job.state, job.inputs["low"]) == (JobState.READY, 3.5)


def test_a_source_job_goes_on_when_a_person_gave_its_inputs(lab):
    scan = lab.task("scan", "Source", low={"mode": "ui"})
    lab.start()
    job = lab.server.create(Job(task_serial=scan, state=JobState.READY_FOR_INTERACTIVE))
    lab.server.update(Job, job.serial, Change(values={"/inputs/low": 3.5, "/state": "Waiting"}))
    [job] = lab.jobs(scan)
    assert (job.state, job.inputs) == (JobState.READY, {"low": 3.5})


def test_a_job_that_is_set_waiting_after_its_end_runs_again(lab):
    scan = lab.task("scan")
    lab.start()
    lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.server.update(Job, lab.jobs(scan)[0].serial, Change(values={"/state": "Waiting"}))
    assert lab.states(scan) == [["Ready"]]


def test_waiting_jobs_go_on_when_their_task_is_mended(lab):
    scan = lab.task("scan")
    voi = lab.task("voi", image=output(scan), box={"mode": "define_on_first", "template": None})
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    for job in lab.jobs(scan):
        lab.work({"out": 1}, job=job)
    assert lab.states(voi) == [["Ready", "Waiting"]]
    inputs = [{"key": "image", **output(scan)}, {"key": "box", "mode": "fixed", "fixed_value": 2.0}]
    lab.server.update(Task, voi, Change(values={"/inputs": inputs}))
    assert lab.states(voi) == [["Ready", "Ready"]]


def test_a_person_who_answers_in_an_obsolete_run_or_task_lets_nothing_begin(lab):
    scan = lab.task("scan")
    voi = lab.task("voi", image=output(scan), low={"mode": "ui"})
    lab.start()
    runs = [lab.control.start_run(lab.workflow, name=f"mouse {n}") for n in range(2)]
    work_all(lab)
    first, second = lab.jobs(voi)
    obsolete(lab, runs[0])
    answer = Change(values={"/inputs/low": 3.0, "/state": "Waiting"})
    assert lab.server.update(Job, first.serial, answer).state is JobState.WAITING
    lab.server.update(Task, voi, Change(values={"/state": "Obsolete"}))
    assert lab.server.update(Job, second.serial, answer).state is JobState.WAITING


def test_a_job_whose_upstream_is_not_done_yet_waits_for_it_when_a_person_answers_or_restarts_it(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan), low={"mode": "ui"})
    lab.start()
    run = lab.control.start_run(lab.workflow, name="mouse 1")
    early = Job(task_serial=mask, run_serial=run.serial, state=JobState.READY_FOR_INTERACTIVE)
    job = lab.server.create(early)
    answer = Change(values={"/inputs/low": 3.0, "/state": "Waiting"})
    assert lab.server.update(Job, job.serial, answer).state is JobState.WAITING
    lab.control.abort_job(job.serial)
    restarted = lab.control.restart_job(job.serial)
    assert (restarted.state, restarted.inputs["low"]) == (JobState.WAITING, 3.0)
    work_all(lab, 2.0)
    [again] = lab.jobs(mask)
    assert (again.state, again.inputs) == (JobState.DONE, {"image": 2.0, "low": 3.0})


def test_a_job_is_not_restarted_where_the_task_before_it_has_no_job_in_its_run(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    job = lab.server.create(Job(task_serial=mask, state=JobState.READY))
    lab.fail()
    with pytest.raises(IllegalTransition, match=rf"task {scan}, whose output it takes as image, has no job in its run"):
        lab.control.restart_job(job.serial)
    assert lab.states(mask) == [["Failed"]]


def test_a_restart_counts_lost_workers_anew(lab):
    lab.task("first")
    lab.start()
    lab.control.start_run(lab.workflow)
    for _ in range(4):
        lab.fail()
        [job] = lab.server.find(Job)
        lab.control.restart_job(job.serial)
    lease = lab.queue.claim(lab.worker)
    assert lease.attempt == 5
    lab.world.clock.advance(61)
    assert lab.queue.claim(lab.worker).attempt == 6


def test_a_run_that_counts_again_begins_nothing_that_was_done(lab):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    run = lab.control.start_run(lab.workflow)
    work_all(lab)
    before = [*lab.jobs(scan), *lab.jobs(mask)]
    obsolete(lab, run)
    obsolete(lab, run, value=False)
    assert [*lab.jobs(scan), *lab.jobs(mask)] == before
    assert lab.states(scan, mask) == [["Done"], ["Done"]]


def test_a_job_for_all_runs_is_restarted_as_long_as_there_are_values_for_it(lab):
    _, chart = grouped(lab)
    run = lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.control.restart_job(lab.jobs(chart)[0].serial)
    assert lab.states(chart) == [["Ready"]]
    work_all(lab)
    obsolete(lab, run)
    before = lab.jobs(chart)
    with pytest.raises(IllegalTransition, match="its sequences have no values"):
        lab.control.restart_job(before[0].serial)
    assert lab.jobs(chart) == before


@pytest.mark.parametrize(("asked", "becomes"), [("ReadyForInteractive", "ReadyForInteractive"), ("Waiting", "Ready")])
def test_a_job_with_all_its_inputs_waits_for_a_person_only_where_that_was_asked_for(lab, asked, becomes):
    scan = lab.task("scan")
    mask = lab.task("mask", image=output(scan))
    lab.start()
    lab.control.start_run(lab.workflow)
    work_all(lab)
    lab.server.update(Job, lab.jobs(mask)[0].serial, Change(values={"/state": asked}))
    assert lab.states(mask) == [[becomes]]
    assert lab.jobs(mask)[0].inputs == {"image": 1.0}
