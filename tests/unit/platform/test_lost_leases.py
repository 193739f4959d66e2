"""Jobs whose workers fell silent: handed out again so many times, then failed, and every step is in the log."""

import pytest

from tests.unit.platform.test_file_rights import Lab
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def fall_silent(lab):
    """Let time go by as it does on a server that runs, until no lease of a silent worker is left."""
    for _ in range(12):
        lab.clock.advance(lab.platform.options.lease_seconds / 8)
        lab.platform.maintain()


def states_in_log(lab, job):
    events = lab.server().find(ActivityEvent, {"job_serial": job.serial})
    changes = [event.payload.get("values", {}) for event in events if event.payload.get("action") == "changed"]
    return [values["/state"] for values in changes if "/state" in values]


def leases(lab):
    with lab.platform.records.transaction(write=False) as transaction:
        return transaction.find(JobLease)


def test_a_job_is_handed_out_three_times_and_then_fails_and_says_why(lab):
    job = lab.job()
    for attempt in (1, 2):
        lease = lab.leased(job)
        assert lease.job.attempt == attempt
        fall_silent(lab)
        again = lab.server().get(Job, job.serial)
        assert (again.state, again.worker_serial, again.started_at) == (JobState.READY, None, None)
        assert again.occ_lock_version == lease.job.occ_lock_version + 1
        assert leases(lab) == []
    last = lab.leased(job)
    fall_silent(lab)
    failed = lab.server().get(Job, job.serial)
    assert failed.state is JobState.FAILED
    assert failed.occ_lock_version == last.job.occ_lock_version + 1
    assert failed.finished_at is not None
    message = "worker bench stopped answering during attempt 3, the last of 3 allowed"
    assert failed.metadata["error_message"].startswith(message)
    assert leases(lab) == []
    assert states_in_log(lab, job) == ["Running", "Ready", "Running", "Ready", "Running", "Failed"]


def test_a_job_that_was_to_stop_is_aborted_when_its_worker_falls_silent_and_not_asked_to_stop_again(lab):
    job = lab.job()
    lab.leased(job)
    lab.platform.control_for(lab.admin).abort_job(job.serial)
    asked = lab.server().get(Job, job.serial)
    assert asked.state is JobState.RUNNING
    fall_silent(lab)
    aborted = lab.server().get(Job, job.serial)
    assert aborted.state is JobState.ABORTED
    assert set(asked.metadata) - set(aborted.metadata) != set()
    assert states_in_log(lab, job)[-1] == "Aborted"
    restarted = lab.platform.control_for(lab.admin).restart_job(job.serial)
    assert restarted.state is JobState.READY
    assert lab.leased(job).job.state is JobState.RUNNING


def test_one_lost_lease_does_not_end_those_that_were_renewed(lab):
    lost, kept = lab.job(), lab.job()
    lab.leased(lost)
    lease = lab.leased(kept)
    lab.clock.advance(lab.platform.options.lease_seconds - 1)
    lab.platform.maintain()
    lab.platform.queue_for(lab.admin).heartbeat([lease])
    lab.clock.advance(5)
    lab.platform.maintain()
    assert lab.server().get(Job, lost.serial).state is JobState.READY
    assert lab.server().get(Job, kept.serial).state is JobState.RUNNING
