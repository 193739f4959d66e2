"""What a restart, an abort or a lost lease makes of a job and of all that follows it."""

import pytest

from tests.unit.platform.small_workflow import ENDED, output
from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, JobAborted, LeaseLost
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    Job,
    Worker,
)
from xfworker.testing.contracts.worlds import heartbeat


def test_a_restart_holds_back_all_that_follows(flow):
    scan = flow.task("scan", "Source")
    mask = flow.task("mask", image=output(scan))
    mean = flow.task("mean", mask=output(mask))
    other = flow.task("other", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    for n in range(4):
        flow.work({"out": n})
    assert flow.states(scan, mask, mean, other) == [["Done"]] * 4
    [job] = flow.jobs(mask)
    again = flow.control.restart_job(job.serial)
    assert (again.state, again.outputs, again.inputs) == (JobState.READY, {}, {"image": 0})
    assert "outcome" not in again.metadata
    assert flow.states(scan, mask, mean, other) == [["Done"], ["Ready"], ["Waiting"], ["Done"]]
    flow.work({"out": 50})
    [follower] = flow.jobs(mean)
    assert (follower.state, follower.inputs) == (JobState.READY, {"mask": 50})


def test_nothing_is_restarted_under_a_running_follower(flow):
    scan = flow.task("scan", "Source")
    flow.task("mask", image=output(scan))
    flow.start()
    flow.control.start_run(flow.workflow)
    source = flow.work({"out": 1})
    flow.queue.claim(flow.worker)
    with pytest.raises(IllegalTransition, match="running"):
        flow.control.restart_job(source.serial)
    assert flow.server.get(Job, source.serial).state is JobState.DONE


def test_a_job_is_not_restarted_while_its_script_may_still_run(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    with pytest.raises(IllegalTransition, match="worker"):
        flow.control.restart_job(lease.job.serial)
    flow.queue.end(lease, ENDED)
    assert flow.control.restart_job(lease.job.serial).state is JobState.READY


def test_an_open_job_is_not_restarted_and_an_ended_one_not_aborted(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    [job] = flow.server.find(Job)
    with pytest.raises(IllegalTransition):
        flow.control.restart_job(job.serial)
    assert flow.control.abort_job(job.serial).state is JobState.ABORTED
    with pytest.raises(IllegalTransition):
        flow.control.abort_job(job.serial)


def test_a_running_job_is_asked_to_stop_and_takes_nothing_more(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    asked = flow.control.abort_job(lease.job.serial)
    assert (asked.state, asked.metadata["abort_requested"]["by"]) == (JobState.RUNNING, "admin")
    assert heartbeat(flow.queue, lease).abort_requested
    with pytest.raises(JobAborted):
        flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    job = flow.queue.end(lease, Outcome(ending=Ending.KILLED, message="SIGTERM", signal="SIGTERM"))
    assert (job.state, job.metadata["error_message"]) == (JobState.ABORTED, "SIGTERM")
    assert "abort_requested" not in job.metadata


def test_a_silent_worker_loses_its_job_and_its_results_are_refused(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    lost = flow.queue.claim(flow.worker)
    flow.world.clock.advance(61)
    other = flow.queue.register(Worker(name="other")).serial
    again = flow.queue.claim(other)
    assert (again.job.serial, again.attempt) == (lost.job.serial, 2)
    with pytest.raises(LeaseLost):
        flow.world.as_bearer(lost.server_auth).update(Job, lost.job.serial, Change(values={"/state": "Done"}))
    with pytest.raises(LeaseLost):
        heartbeat(flow.queue, lost)
    with pytest.raises(LeaseLost):
        flow.queue.end(lost, ENDED)
    assert "bench" in again.job.metadata["lost_attempts"][0]


def test_heartbeats_keep_the_lease(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    for _ in range(5):
        flow.world.clock.advance(50)
        heartbeat(flow.queue, lease)
        assert flow.queue.claim(flow.worker) is None
    assert flow.server.get(Job, lease.job.serial).state is JobState.RUNNING


def test_after_too_many_lost_workers_a_job_fails(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    for attempt in range(1, 4):
        assert flow.queue.claim(flow.worker).attempt == attempt
        flow.world.clock.advance(61)
    assert flow.queue.claim(flow.worker) is None
    [job] = flow.server.find(Job)
    assert job.state is JobState.FAILED
    assert "bench" in job.metadata["error_message"]


def test_an_aborted_job_of_a_lost_worker_is_aborted(flow):
    flow.task("first")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    flow.control.abort_job(lease.job.serial)
    flow.world.clock.advance(61)
    assert flow.queue.claim(flow.worker) is None
    assert flow.server.get(Job, lease.job.serial).state is JobState.ABORTED


def test_a_claim_that_is_repeated_gives_the_same_lease(flow):
    flow.task("first")
    flow.start()
    for _ in range(2):
        flow.control.start_run(flow.workflow)
    leases = [flow.queue.claim(flow.worker, claim_key="c-1") for _ in range(2)]
    assert leases[0].job == leases[1].job
    assert flow.queue.claim(flow.worker, claim_key="c-2").job.serial != leases[0].job.serial


def test_a_job_that_ended_before_it_began_has_no_time_at_which_it_began(flow):
    scan = flow.task("scan", "Source")
    flow.start()
    flow.control.start_run(flow.workflow)
    lease = flow.queue.claim(flow.worker)
    flow.world.as_bearer(lease.server_auth).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    flow.queue.end(lease, ENDED)
    flow.control.restart_job(lease.job.serial)
    flow.world.clock.advance(1)
    [job] = flow.jobs(scan)
    aborted = flow.control.abort_job(job.serial)
    assert (aborted.state, aborted.started_at) == (JobState.ABORTED, None)
    assert aborted.finished_at is not None
