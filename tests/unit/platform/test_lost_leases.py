"""Jobs whose workers fell silent: handed out again so many times, then failed, and every step is in the log."""

from datetime import timedelta

import attrs
import pytest
from structlog.testing import capture_logs

from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job
from xfworker.testing.contracts.worlds import DirectWorld, Setting


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def fall_silent(lab):
    """Let time go by as it does on a server that runs, until no lease of a silent worker is left."""
    for _ in range(12):
        lab.clock.advance(lab.platform.options.lease_seconds / 8)
        lab.platform.maintain()


def changes_in_log(lab, job):
    """List to which state who brought a job."""
    events = lab.server().find(ActivityEvent, {"job_serial": job.serial})
    changes = [(event, event.payload.get("values", {})) for event in events if event.payload["action"] == "changed"]
    return [(event.user, values["/state"]) for event, values in changes if "/state" in values]


def states_in_log(lab, job):
    return [state for _, state in changes_in_log(lab, job)]


def lease_log(logs):
    return [(line["job"], line["attempt"], line["state"]) for line in logs if line["event"] == "xfworker.lease_expired"]


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
    lost = [("admin", "Running"), ("server", "Ready")]
    assert changes_in_log(lab, job) == [*lost, *lost, ("admin", "Running"), ("server", "Failed")]


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


def test_each_lease_that_ends_is_in_the_servers_log_with_what_its_job_became(lab):
    lost, finished = lab.job(), lab.job()
    lab.leased(lost)
    script = lab.server(lab.leased(finished).server_auth)
    script.update(Job, finished.serial, Change(values={"/state": "Done"}))
    with capture_logs() as logs:
        fall_silent(lab)
    assert sorted(lease_log(logs)) == [(lost.serial, 1, "Ready"), (finished.serial, 1, "Done")]


class MeanwhileRecords(MemoryRecordStore):
    """Records in memory, where something happens right before the next transaction about a job begins."""

    def __init__(self):
        super().__init__()
        self.meanwhile = []

    def transaction(self, *, of=None, **options):
        if of is not None and of[0] is Job and self.meanwhile:
            self.meanwhile.pop()()
        return super().transaction(of=of, **options)


@pytest.fixture
def meanwhile():
    """Give a workflow with two jobs whose leases have run out, but nobody looked yet."""
    world = DirectWorld.over(MeanwhileRecords())
    setting = Setting.make(world)
    held = [setting.leased() for _ in range(2)]
    world.platform.maintain()
    for _ in range(6):
        world.clock.advance(10)
        world.platform.maintain()
    world.clock.advance(1)
    assert {world.admin.get(Job, lease.job.serial).state for lease in held} == {JobState.RUNNING}
    return world, held


def test_a_lease_that_is_renewed_while_others_end_is_left_alone(meanwhile):
    world, (lost, kept) = meanwhile
    world.platform.records.meanwhile.append(lambda: world.queue.heartbeat([kept]))
    with capture_logs() as logs:
        world.platform.maintain()
    assert lease_log(logs) == [(lost.job.serial, 1, "Ready")]
    assert world.admin.get(Job, kept.job.serial).state is JobState.RUNNING
    assert world.queue.heartbeat([kept])[0].expires_at == world.clock.now() + timedelta(seconds=60)


def test_no_lease_ends_after_the_server_was_suspended_while_it_ended_them(meanwhile):
    world, held = meanwhile
    world.platform.records.meanwhile.append(lambda: world.clock.advance(3600))
    with capture_logs() as logs:
        world.platform.maintain()
    assert lease_log(logs) == []
    assert {world.admin.get(Job, lease.job.serial).state for lease in held} == {JobState.RUNNING}
    for _ in range(7):
        world.clock.advance(10)
        world.platform.maintain()
    assert {world.admin.get(Job, lease.job.serial).state for lease in held} == {JobState.READY}


def test_a_job_whose_worker_is_gone_fails_says_why_and_is_in_the_log(lab):
    job = lab.job()
    lab.leased(job)
    with lab.platform.records.transaction() as transaction:
        [lease] = transaction.find(JobLease)
        transaction.replace(attrs.evolve(lease, worker_serial=4711))
    with capture_logs() as logs:
        fall_silent(lab)
    assert lease_log(logs) == [(job.serial, 1, "Failed")]
    assert leases(lab) == []
    failed = lab.server().get(Job, job.serial)
    assert failed.metadata["error_message"] == "the job cannot be handled: there is no worker 4711"
    assert states_in_log(lab, job)[-1] == "Failed"
