"""How attempts end: what the log says of it, who may say so, and that nothing is left of the attempt."""

from datetime import timedelta

import pytest
from attrs import evolve

from tests.unit.platform.small_workflow import SmallWorkflow, output
from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.change import Change
from xfworker.domain.errors import LeaseLost, RecordNotFound
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Worker
from xfworker.ports.job_queue import HeldAttempt
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.principal import job_claims, job_principal
from xfworker.testing.contracts.worlds import DirectWorld, Setting

LONGEST_MESSAGE = 16_000


@pytest.fixture
def world():
    return DirectWorld.over(MemoryRecordStore())


@pytest.fixture
def setting(world):
    return Setting.make(world)


def last_event(world, lease):
    return world.admin.find(ActivityEvent, {"job_serial": lease.job.serial})[-1]


def leases(world):
    with world.platform.records.transaction(write=False) as transaction:
        return transaction.find(JobLease)


def test_a_claim_is_a_change_of_the_job_and_the_log_says_who_runs_it(world, setting):
    job = setting.job()
    lease = setting.leased(job)
    assert lease.job.occ_lock_version == job.occ_lock_version + 1
    event = last_event(world, lease)
    assert event.title == f"{lease.job}: Ready to Running"
    assert event.payload["values"] == {"/state": "Running", "/worker_serial": lease.job.worker_serial}


def test_the_log_says_that_a_job_was_given_back(world, setting):
    lease = setting.leased()
    world.queue.end(lease, Outcome(ending=Ending.PREEMPTED, message="the worker stops"))
    event = last_event(world, lease)
    assert event.title == f"{lease.job}: Running to Ready, preempted: the worker stops"
    assert (event.payload["action"], event.payload["state"]) == ("changed", ["Running", "Ready"])
    assert event.payload["outcome"]["ending"] == "preempted"


def test_the_log_says_how_a_script_ended(world, setting):
    lease = setting.leased()
    world.queue.end(lease, Outcome(ending=Ending.CRASHED, message="crash"))
    event = last_event(world, lease)
    assert event.title == f"{lease.job}: Running to Failed"
    assert event.payload["fields"] == ["/metadata/outcome"]


def test_the_log_says_of_a_job_that_was_to_stop_and_was_given_back_that_it_was_aborted(world, setting):
    lease = setting.leased()
    world.control.abort_job(lease.job.serial)
    world.queue.end(lease, Outcome(ending=Ending.PREEMPTED, message="the worker stops"))
    assert last_event(world, lease).title == f"{lease.job}: Running to Aborted"


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (Ending.FINISHED, "the script ended without calling finish()"),
        (Ending.OUT_OF_MEMORY, "the script ended: out of memory"),
    ],
)
def test_an_end_without_words_gets_some(world, setting, ending, message):
    job = world.queue.end(setting.leased(), Outcome(ending=ending))
    assert job.metadata["error_message"] == message


@pytest.mark.parametrize("left_out", [-1, 0, 1])
def test_a_message_that_nobody_would_read_to_its_end_is_cut_and_says_so(world, setting, left_out):
    said = "x" * (LONGEST_MESSAGE + left_out)
    job = world.queue.end(setting.leased(), Outcome(ending=Ending.CRASHED, message=said))
    cut = f"{said[:LONGEST_MESSAGE]}... ({left_out} characters left out)"
    assert job.metadata["error_message"] == (cut if left_out > 0 else said)


def test_a_job_that_a_person_takes_is_not_its_former_workers_any_more(world, setting):
    handed_over = setting.leased()
    job = handed_over.job.serial
    setting.script(handed_over).update(Job, job, Change(values={"/state": "ReadyForInteractive"}))
    persons = world.queue.claim(world.queue.register(Worker(name="desk")).serial, job_serial=job)
    assert [(lease.attempt, lease.worker_serial) for lease in leases(world)] == [(2, persons.job.worker_serial)]
    with pytest.raises(LeaseLost):
        world.queue.end(handed_over, Outcome(ending=Ending.HANDED_OVER))
    assert world.queue.end(persons, Outcome(ending=Ending.CRASHED)).state is JobState.FAILED


def test_a_job_that_nobody_runs_has_no_attempt_to_end(tmp_path):
    lab = Lab.at(tmp_path)
    _, anna = lab.person("anna")
    job = lab.job(anna)
    with pytest.raises(LeaseLost, match="attempt 0 at job"):
        lab.platform.queue_for(lab.platform.authenticate(anna)).end_attempt(
            HeldAttempt(job.serial, 0), Outcome(ending=Ending.CRASHED)
        )
    assert lab.server().get(Job, job.serial) == job


def test_whoever_does_not_see_a_job_learns_nothing_of_its_attempts(tmp_path):
    lab = Lab.at(tmp_path)
    (_, anna), (_, berta) = lab.person("anna"), lab.person("berta")
    job = lab.job(anna)
    stranger = lab.platform.queue_for(lab.platform.authenticate(berta))
    with pytest.raises(RecordNotFound, match=f"there is no job {job.serial}"):
        stranger.end_attempt(HeldAttempt(job.serial, 7), Outcome(ending=Ending.CRASHED))


def test_an_end_without_a_lease_counts_only_where_it_was_reported(world, setting):
    lease = setting.leased()
    setting.script(lease).update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    for _ in range(10):
        world.clock.advance(world.platform.options.lease_seconds / 8)
        world.platform.maintain()
    assert leases(world) == []
    with pytest.raises(LeaseLost):
        world.queue.end(lease, Outcome(ending=Ending.FINISHED))
    world.admin.update(Job, lease.job.serial, Change(values={"/state": "Ready"}))
    with pytest.raises(LeaseLost):
        world.queue.end(lease, Outcome(ending=Ending.FINISHED))


def test_an_attempt_of_before_a_restored_backup_is_not_taken_for_one_of_the_same_number(world, setting):
    lease = setting.leased()
    began = lease.job.started_at - timedelta(hours=1)
    earlier = evolve(lease, job=evolve(lease.job, started_at=began))
    [status] = world.queue.heartbeat([earlier])
    assert status.lost is not None
    with pytest.raises(LeaseLost, match="begun at"):
        world.queue.end(earlier, Outcome(ending=Ending.CRASHED))
    claims = job_claims(lease.job.serial, lease.job.workflow_serial, lease.job.project_serial, lease.attempt, began)
    script = world.platform.server_for(job_principal(claims))
    with pytest.raises(LeaseLost, match="begun at"):
        script.update(Job, lease.job.serial, Change(values={"/state": "Done"}))
    assert [status.lost for status in world.queue.heartbeat([lease])] == [None]
    setting.script(lease).update(Job, lease.job.serial, Change(values={"/state": "Done"}))


def test_what_waited_for_a_job_goes_on_when_its_script_fails():
    small = SmallWorkflow(MemoryRecordStore())
    source = small.task("Source", kind="Source")
    single = small.task("Single", taken=output(source))
    group = small.task("Group", types={"values": "Sequence"}, values=output(single))
    small.start()
    for _ in range(2):
        small.control.start_run(small.workflow)
    small.work({"out": 1.0}, job=small.jobs(source)[0])
    small.work({"out": 2.0}, job=small.jobs(source)[1])
    small.work({"out": 3.0}, job=small.jobs(single)[0])
    assert small.states(group) == [[]]
    failed = small.queue.claim(small.worker, job_serial=small.jobs(single)[1].serial)
    small.queue.end(failed, Outcome(ending=Ending.CRASHED))
    assert small.states(single, group) == [["Done", "Failed"], ["Ready"]]


def test_a_claim_does_not_wait_for_a_lease_whose_file_is_just_being_stored():
    world = DirectWorld.over(MemoryRecordStore(), PlatformOptions(files_may_wait=True))
    setting = Setting.make(world)
    lease, other = setting.leased(), setting.job()
    resource = record_resource("job_result", lease.job.serial, "scan.omni")
    token = setting.script(lease).file_token([Scope("write", resource)])
    for _ in range(6):
        world.clock.advance(world.platform.options.lease_seconds / 8)
        world.platform.maintain()
    with world.platform.held_file_rights(token):
        world.clock.advance(world.platform.options.lease_seconds / 8)
        world.platform.maintain()
        world.clock.advance(world.platform.options.lease_seconds / 6)
        claimed = world.queue.claim(world.queue.register(Worker(name="second")).serial)
        assert claimed.job.serial == other.serial
        assert world.admin.get(Job, lease.job.serial).state is JobState.RUNNING
