"""Restarts, groups and obsolete runs: what is taken back is made again, and nothing waits for what will not come."""

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidRecord
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, Workflow


def work_all(flow: SmallWorkflow, value: float = 1.0) -> None:
    while (lease := flow.queue.claim(flow.worker)) is not None:
        script = flow.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": value}, "/state": "Done"}))
        flow.queue.end(lease, ENDED)


def obsolete(flow: SmallWorkflow, run: Run, *, value: bool = True) -> None:
    flow.server.update(Run, run.serial, Change(values={"/obsolete": value}))


def grouped(flow: SmallWorkflow) -> tuple[int, int]:
    scan = flow.task("scan")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    flow.start()
    return scan, chart


def mixed(flow: SmallWorkflow) -> tuple[int, int, int]:
    """A task that takes a value of its own run and a sequence over all runs."""
    own, other = flow.task("own"), flow.task("other")
    both = flow.task("both", types={"all": "Sequence"}, x=output(own), all=output(other))
    flow.start()
    return own, other, both


def test_a_task_with_a_value_and_a_sequence_is_made_again_after_a_restart_in_the_sequence(flow):
    own, other, both = mixed(flow)
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    work_all(flow)
    assert flow.states(both) == [["Done", "Done"]]
    flow.control.restart_job(flow.jobs(other)[0].serial)
    assert flow.states(own, other, both) == [["Done"] * 2, ["Ready", "Done"], ["Waiting"] * 2]
    work_all(flow, 2.0)
    assert flow.states(both) == [["Done", "Done"]]
    assert [job.outputs["out"] for job in flow.jobs(both)] == [2.0, 2.0]


def test_a_task_with_a_value_and_a_sequence_waits_until_no_more_values_are_to_come(flow):
    own, other, both = mixed(flow)
    flow.control.start_run(flow.workflow)
    flow.work({"out": 1}, job=flow.jobs(own)[0])
    assert flow.states(both) == [["Waiting"]]
    flow.work({"out": 2}, job=flow.jobs(other)[0])
    assert flow.states(both) == [["Ready"]]


def test_what_such_a_task_has_made_stays_when_a_later_run_brings_more(flow):
    _, _, both = mixed(flow)
    flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.control.start_run(flow.workflow)
    assert flow.states(both) == [["Done"]]
    work_all(flow)
    assert flow.states(both) == [["Done", "Done"]]


def test_a_group_is_made_when_the_run_with_the_last_open_job_becomes_obsolete(flow):
    _, chart = grouped(flow)
    flow.control.start_run(flow.workflow)
    last = flow.control.start_run(flow.workflow)
    flow.work({"out": 1})
    assert flow.states(chart) == [[]]
    obsolete(flow, last)
    assert flow.states(chart) == [["Ready"]]


def test_a_run_that_comes_back_counts_again(flow):
    scan, chart = grouped(flow)
    first = flow.control.start_run(flow.workflow)
    flow.control.start_run(flow.workflow)
    obsolete(flow, first)
    work_all(flow)
    assert flow.states(scan, chart) == [["Ready", "Done"], ["Done"]]
    obsolete(flow, first, value=False)
    assert flow.states(chart) == [["Done"]]
    work_all(flow, 2.0)
    assert flow.states(scan, chart) == [["Done", "Done"], ["Done"]]
    assert flow.jobs(chart)[0].outputs == {"out": 2.0}


def test_what_was_done_in_a_run_while_it_was_obsolete_is_followed_when_it_comes_back(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    run = flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    obsolete(flow, run)
    flow.world.as_bearer(lease.server_auth).update(
        Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"})
    )
    assert flow.states(mask) == [[]]
    obsolete(flow, run, value=False)
    assert flow.states(mask) == [["Ready"]]


def test_what_was_done_in_a_workflow_while_it_was_obsolete_is_followed_when_it_comes_back(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    flow.server.update(Workflow, flow.workflow, Change(values={"/obsolete": True}))
    flow.world.as_bearer(lease.server_auth).update(
        Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"})
    )
    assert flow.states(mask) == [[]]
    flow.server.update(Workflow, flow.workflow, Change(values={"/obsolete": False}))
    assert flow.states(mask) == [["Ready"]]


def test_a_workflow_that_comes_back_keeps_what_was_made_of_all_values(flow):
    _, chart = grouped(flow)
    flow.control.start_run(flow.workflow)
    work_all(flow)
    before = flow.jobs(chart)
    flow.world.clock.advance(60)
    for value in (True, False):
        flow.server.update(Workflow, flow.workflow, Change(values={"/obsolete": value}))
    assert flow.jobs(chart) == before


def test_nothing_is_restarted_in_what_is_obsolete_and_no_result_is_taken_back_for_it(flow):
    scan, chart = grouped(flow)
    run = flow.control.start_run(flow.workflow)
    flow.control.start_run(flow.workflow)
    work_all(flow)
    obsolete(flow, run)
    with pytest.raises(IllegalTransition, match=f"run {run.serial} is obsolete"):
        flow.control.restart_job(flow.jobs(scan)[0].serial)
    flow.server.update(Workflow, flow.workflow, Change(values={"/obsolete": True}))
    with pytest.raises(IllegalTransition, match=r"workflow \d+ is obsolete"):
        flow.control.restart_job(flow.jobs(scan)[1].serial)
    assert flow.states(scan, chart) == [["Done", "Done"], ["Done"]]


def test_a_template_is_not_waited_for_in_an_obsolete_run(flow):
    voi = flow.task("voi", box={"mode": "define_on_first", "template": None})
    flow.start()
    first = flow.control.start_run(flow.workflow)
    flow.control.start_run(flow.workflow)
    assert flow.states(voi) == [["Ready", "Waiting"]]
    obsolete(flow, first)
    assert flow.states(voi) == [["Ready", "Ready"]]


@pytest.mark.parametrize("is_root", [True, False])
def test_a_job_that_is_restarted_waits_for_the_template_that_another_is_about_to_define(flow, is_root):
    scan = flow.task("scan")
    inputs = {} if is_root else {"image": output(scan)}
    voi = flow.task("voi", **inputs, box={"mode": "define_on_first", "template": None})
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    for job in flow.jobs(scan):
        flow.work({"out": 1}, job=job)
    first, second = flow.jobs(voi)
    flow.fail()
    assert flow.states(voi) == [["Failed", "Ready"]]
    flow.control.restart_job(first.serial)
    assert flow.states(voi) == [["Waiting", "Ready"]]
    flow.work({"box": 5.5}, job=second)
    assert flow.states(voi) == [["Ready", "Done"]]
    assert flow.jobs(voi)[0].inputs["box"] == 5.5


def test_a_group_keeps_its_result_when_a_later_run_fails(flow):
    scan, chart = grouped(flow)
    flow.control.start_run(flow.workflow)
    work_all(flow)
    before = flow.jobs(chart)[0]
    flow.control.start_run(flow.workflow)
    flow.fail()
    assert flow.states(scan, chart) == [["Done", "Failed"], ["Done"]]
    assert flow.jobs(chart)[0] == before
    failed = flow.jobs(scan)[1]
    flow.control.restart_job(failed.serial)
    assert flow.jobs(chart)[0] == before
    flow.work({"nothing": 1})
    assert flow.jobs(chart)[0] == before
    flow.control.restart_job(failed.serial)
    flow.work({"out": 5})
    assert flow.states(chart) == [["Ready"]]


def test_a_group_is_made_of_the_rest_when_a_restart_fails(flow):
    scan = flow.task("scan", "Source")
    mean = flow.task("mean", image=output(scan))
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(mean))
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.control.restart_job(flow.jobs(scan)[0].serial)
    assert flow.states(scan, mean, chart) == [["Ready", "Done"], ["Waiting", "Done"], ["Waiting"]]
    flow.fail()
    assert flow.states(scan, mean, chart) == [["Failed", "Done"], ["Waiting", "Done"], ["Ready"]]


def test_a_job_whose_input_is_not_made_any_more_fails_instead_of_waiting(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.control.restart_job(flow.jobs(scan)[0].serial)
    flow.work({"other": 1})
    [job] = flow.jobs(mask)
    assert job.state is JobState.FAILED
    assert "input image has no value, because job 1 made no output 'out'" in job.metadata["error_message"]
    with pytest.raises(IllegalTransition, match="input image has no value"):
        flow.control.restart_job(job.serial)
    flow.control.restart_job(flow.jobs(scan)[0].serial)
    work_all(flow)
    assert flow.states(mask) == [["Done"]]


def test_a_task_may_follow_a_task_for_all_runs(flow):
    scan = flow.task("scan")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    report = flow.task("report", chart=output(chart))
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    work_all(flow)
    assert flow.states(scan, chart, report) == [["Done", "Done"], ["Done"], ["Done"]]
    flow.control.start_run(flow.workflow)
    work_all(flow, 7.0)
    [job] = flow.jobs(report)
    assert (job.state, job.inputs) == (JobState.DONE, {"chart": 7.0})


def test_a_value_for_all_runs_is_not_mixed_with_one_of_a_single_run(flow):
    scan = flow.task("scan")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan))
    with pytest.raises(InvalidRecord, match="one job for all runs"):
        flow.task("both", a=output(scan), b=output(chart))


def test_an_interactive_group_goes_on_when_a_person_gave_its_inputs(flow):
    scan = flow.task("scan")
    chart = flow.task("chart", types={"values": "Sequence"}, values=output(scan), low={"mode": "ui"})
    flow.start()
    flow.control.start_run(flow.workflow)
    work_all(flow)
    [job] = flow.jobs(chart)
    assert job.state is JobState.READY_FOR_INTERACTIVE
    flow.server.update(Job, job.serial, Change(values={"/inputs/low": 3.5, "/state": "Waiting"}))
    [job] = flow.jobs(chart)
    assert (job.state, job.inputs["low"]) == (JobState.READY, 3.5)


def test_a_source_job_goes_on_when_a_person_gave_its_inputs(flow):
    scan = flow.task("scan", "Source", low={"mode": "ui"})
    flow.start()
    job = flow.server.create(Job(task_serial=scan, state=JobState.READY_FOR_INTERACTIVE))
    flow.server.update(Job, job.serial, Change(values={"/inputs/low": 3.5, "/state": "Waiting"}))
    [job] = flow.jobs(scan)
    assert (job.state, job.inputs) == (JobState.READY, {"low": 3.5})


def test_a_job_that_is_set_waiting_after_its_end_runs_again(flow):
    scan = flow.task("scan")
    flow.start()
    flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.server.update(Job, flow.jobs(scan)[0].serial, Change(values={"/state": "Waiting"}))
    assert flow.states(scan) == [["Ready"]]


def test_waiting_jobs_go_on_when_their_task_is_mended(flow):
    scan = flow.task("scan")
    voi = flow.task("voi", image=output(scan), box={"mode": "define_on_first", "template": None})
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    for job in flow.jobs(scan):
        flow.work({"out": 1}, job=job)
    assert flow.states(voi) == [["Ready", "Waiting"]]
    inputs = [{"key": "image", **output(scan)}, {"key": "box", "mode": "fixed", "fixed_value": 2.0}]
    flow.server.update(Task, voi, Change(values={"/inputs": inputs}))
    assert flow.states(voi) == [["Ready", "Ready"]]


def test_a_person_who_answers_in_an_obsolete_run_or_task_lets_nothing_begin(flow):
    scan = flow.task("scan")
    voi = flow.task("voi", image=output(scan), low={"mode": "ui"})
    flow.start()
    runs = [flow.control.start_run(flow.workflow, name=f"mouse {n}") for n in range(2)]
    work_all(flow)
    first, second = flow.jobs(voi)
    obsolete(flow, runs[0])
    answer = Change(values={"/inputs/low": 3.0, "/state": "Waiting"})
    assert flow.server.update(Job, first.serial, answer).state is JobState.WAITING
    flow.server.update(Task, voi, Change(values={"/state": "Obsolete"}))
    assert flow.server.update(Job, second.serial, answer).state is JobState.WAITING


def test_a_job_whose_upstream_is_not_done_yet_waits_for_it_when_a_person_answers_or_restarts_it(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan), low={"mode": "ui"})
    flow.start()
    run = flow.control.start_run(flow.workflow, name="mouse 1")
    early = Job(task_serial=mask, run_serial=run.serial, state=JobState.READY_FOR_INTERACTIVE)
    job = flow.server.create(early)
    answer = Change(values={"/inputs/low": 3.0, "/state": "Waiting"})
    assert flow.server.update(Job, job.serial, answer).state is JobState.WAITING
    flow.control.abort_job(job.serial)
    restarted = flow.control.restart_job(job.serial)
    assert (restarted.state, restarted.inputs["low"]) == (JobState.WAITING, 3.0)
    work_all(flow, 2.0)
    [again] = flow.jobs(mask)
    assert (again.state, again.inputs) == (JobState.DONE, {"image": 2.0, "low": 3.0})


def test_a_job_is_not_restarted_where_the_task_before_it_has_no_job_in_its_run(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    job = flow.server.create(Job(task_serial=mask, state=JobState.READY))
    flow.fail()
    with pytest.raises(IllegalTransition, match=rf"task {scan}, whose output it takes as image, has no job in its run"):
        flow.control.restart_job(job.serial)
    assert flow.states(mask) == [["Failed"]]


def test_a_restart_counts_lost_workers_anew(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    for _ in range(4):
        flow.fail()
        [job] = flow.server.find(Job)
        flow.control.restart_job(job.serial)
    lease = flow.queue.claim(flow.worker)
    assert lease.attempt == 5
    flow.world.clock.advance(61)
    assert flow.queue.claim(flow.worker).attempt == 6


def test_a_run_that_counts_again_begins_nothing_that_was_done(flow):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    run = flow.control.start_run(flow.workflow)
    work_all(flow)
    before = [*flow.jobs(scan), *flow.jobs(mask)]
    obsolete(flow, run)
    obsolete(flow, run, value=False)
    assert [*flow.jobs(scan), *flow.jobs(mask)] == before
    assert flow.states(scan, mask) == [["Done"], ["Done"]]


def test_a_job_for_all_runs_is_restarted_as_long_as_there_are_values_for_it(flow):
    _, chart = grouped(flow)
    run = flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.control.restart_job(flow.jobs(chart)[0].serial)
    assert flow.states(chart) == [["Ready"]]
    work_all(flow)
    obsolete(flow, run)
    before = flow.jobs(chart)
    with pytest.raises(IllegalTransition, match="its sequences have no values"):
        flow.control.restart_job(before[0].serial)
    assert flow.jobs(chart) == before


@pytest.mark.parametrize(("asked", "becomes"), [("ReadyForInteractive", "ReadyForInteractive"), ("Waiting", "Ready")])
def test_a_job_with_all_its_inputs_waits_for_a_person_only_where_that_was_asked_for(flow, asked, becomes):
    scan = flow.task("scan")
    mask = flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    work_all(flow)
    flow.server.update(Job, flow.jobs(mask)[0].serial, Change(values={"/state": asked}))
    assert flow.states(mask) == [[becomes]]
    assert flow.jobs(mask)[0].inputs == {"image": 1.0}
