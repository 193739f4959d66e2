"""Which jobs a worker gets that says what it has free, and until when."""

from datetime import timedelta

import attrs
import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import Offer, Pilot, worker_offer, worker_pilot
from xfworker.testing.contracts.worlds import DirectWorld, Setting

PACKAGE = {"archive": "a.xfp", "sha256": "0" * 64, "complete": True}
ENOUGH = Offer(cores=8, memory_mib=64_000)
HOUR = attrs.evolve(ENOUGH, seconds=3600.0, walltime_seconds=3600.0)


@pytest.fixture
def world():
    return DirectWorld.over(MemoryRecordStore())


@pytest.fixture
def new_task(world):
    server = world.admin
    workflow = server.create(
        Workflow(project_serial=server.create(Project(name="bones")).serial, state=WorkflowState.ACTIVE)
    )

    def new_task(**described):
        metadata = {"package_format": "XFP-TT1.0", "name": "Lab.Some", "version": "1.0.0.0", **described}
        task_type = server.create(TaskType(name="Lab.Some", metadata={"package": {**PACKAGE, "metadata": metadata}}))
        return server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial)).serial

    return new_task


def ready(world, task):
    return world.admin.create(Job(task_serial=task, state=JobState.READY)).serial


def registered(world, offer=ENOUGH, pilot=None):
    metadata = {"resources": offer.to_json(), "pilot": pilot and pilot.to_json()}
    return world.queue.register(Worker(name="w", metadata=metadata)).serial


def reason(world, job):
    world.platform.maintain()
    return world.admin.get(Job, job).metadata.get("worker_missing")


def test_a_worker_without_an_end_gets_jobs_of_any_length(world, new_task):
    ready(world, new_task(limits={"time_seconds": 10**6}))
    assert world.queue.claim(registered(world), offer=ENOUGH)


def test_what_is_expected_comes_before_the_limit(world, new_task):
    ready(world, new_task(limits={"time_seconds": 10**6}, resources={"time_seconds": 3000}))
    assert world.queue.claim(registered(world), offer=HOUR)


def test_a_job_of_unknown_length_fits_while_half_of_the_time_is_left(world, new_task):
    worker = registered(world)
    ready(world, new_task())
    assert world.queue.claim(worker, offer=attrs.evolve(HOUR, seconds=1799.0)) is None
    assert world.queue.claim(worker, offer=attrs.evolve(HOUR, seconds=1800.0))


def test_earlier_jobs_of_the_task_say_how_long_the_next_one_takes(world, new_task):
    worker, task = registered(world), new_task()
    for seconds in (1000, 400):
        ready(world, task)
        lease = world.queue.claim(worker, offer=ENOUGH)
        world.clock.advance(seconds)
        world.admin.update(Job, lease.job.serial, Change(values={"/outputs": {}, "/state": "Done"}))
        world.queue.end(lease, Outcome(ending=Ending.FINISHED))
    job = ready(world, task)
    assert world.queue.claim(worker, offer=attrs.evolve(HOUR, seconds=1249.0)) is None
    pilot = Pilot(system="slurm", job="7", ends_at=world.clock.now())
    registered(world, pilot=pilot)
    assert reason(world, job) == "Worker missing [1,250 s of time]"
    assert world.queue.claim(worker, offer=attrs.evolve(HOUR, seconds=1250.0)).job.serial == job


def test_what_a_worker_frees_is_used_at_once(world, new_task):
    worker = registered(world)
    job = ready(world, new_task(resources={"cores": 8}))
    busy = attrs.evolve(ENOUGH, cores=7)
    assert [world.queue.claim(worker, offer=busy) for _ in range(2)] == [None, None]
    assert world.queue.claim(worker, offer=ENOUGH).job.serial == job


@pytest.mark.parametrize(
    ("offer", "missing"),
    [
        (ENOUGH, "Worker missing [16 cores, 2 GPUs, local scratch]"),
        (Offer(), "Worker missing [16 cores, 32000 MiB of memory, 2 GPUs, local scratch]"),
    ],
)
def test_a_job_that_no_worker_can_hold_says_what_is_missing(world, new_task, offer, missing):
    job = ready(world, new_task(resources={"cores": 16, "memory_mib": 32_000, "gpus": 2, "scratch": "local"}))
    registered(world, offer)
    assert reason(world, job) == missing


def test_an_older_worker_which_says_nothing_gets_what_declares_nothing(world, new_task):
    job, plain = ready(world, new_task(resources={"cores": 1})), ready(world, new_task())
    worker = world.queue.register(Worker(name="older")).serial
    assert [world.queue.claim(worker).job.serial, world.queue.claim(worker)] == [plain, None]
    assert reason(world, job) == "Worker missing [1 core]"


def test_a_pilot_that_has_left_is_not_there(world, new_task):
    job = ready(world, new_task(resources={"cores": 2}))
    registered(world, pilot=Pilot(system="slurm", job="7"))
    assert reason(world, job) is None
    registered(world, pilot=Pilot(system="slurm", job="7", left=True))
    assert reason(world, job) == "Worker missing [2 cores]"


def test_a_task_type_whose_needs_cannot_be_read_fails_its_jobs_and_nobody_elses(world, new_task):
    worker = registered(world)
    job, plain = ready(world, new_task()), ready(world, new_task())
    with world.platform.records.transaction() as transaction:
        for task_type in transaction.find(TaskType):
            if task_type.serial == 1:
                package = {**PACKAGE, "metadata": {"resources": {"cores": "many"}}}
                transaction.replace(attrs.evolve(task_type, metadata={"package": package}))
    assert world.queue.claim(worker, offer=ENOUGH).job.serial == plain
    assert world.admin.get(Job, job).state is JobState.FAILED


def test_what_cannot_be_needed_is_refused_when_the_package_is_installed(new_task):
    with pytest.raises(Exception, match=r"resources\.cores"):
        new_task(resources={"cores": 0})
    with pytest.raises(Exception, match="nodes"):
        new_task(resources={"nodes": 2})


@pytest.mark.parametrize(
    "metadata", [{}, {"resources": 5}, {"resources": {"cores": "many"}}, {"resources": {"scratch": "remote"}}]
)
def test_a_worker_whose_record_says_nothing_that_can_be_read_offers_nothing(world, metadata):
    assert worker_offer(Worker(name="w", metadata=metadata), world.clock.now()) is None


@pytest.mark.parametrize(
    "pilot",
    [5, {}, {"system": "slurm"}, {"system": "slurm", "job": "7", "ends_at": "soon"}, {"job": "7", "ends_at": 5}],
)
def test_a_worker_whose_batch_job_cannot_be_read_is_none(pilot):
    assert worker_pilot(Worker(name="w", metadata={"pilot": pilot})) is None


def test_a_worker_says_of_which_batch_jobs_it_was_before(world):
    def earlier(job):
        pilot = None if job is None else Pilot(system="slurm", job=job)
        return world.admin.get(Worker, registered(world, pilot=pilot)).metadata.get("earlier_pilots")

    assert [earlier(job) for job in ("7", "7", "8", None, "9")] == [None, None, ["slurm:7"], ["slurm:7", "slurm:8"],
                                                                   ["slurm:7", "slurm:8"]]  # fmt: skip
    with world.platform.records.transaction() as transaction:
        [worker] = transaction.find(Worker)
        transaction.replace(attrs.evolve(worker, metadata={**worker.metadata, "earlier_pilots": "many"}))
    assert earlier("10") == ["slurm:9"]
    for number in range(111):
        latest = earlier(str(100 + number))
    assert len(latest) == 100
    assert latest[-1] == f"slurm:{100 + number - 1}"


def test_a_worker_with_time_enough_for_a_job_lacks_nothing_for_it(world, new_task):
    job = ready(world, new_task(resources={"time_seconds": 600}))
    pilot = Pilot(system="slurm", job="7", ends_at=world.clock.now() + timedelta(seconds=1200))
    registered(world, pilot=pilot)
    assert reason(world, job) is None
    world.clock.advance(601)
    registered(world, pilot=pilot)
    assert reason(world, job) == "Worker missing [600 s of time]"


class TakenMeanwhile(MemoryRecordStore):
    """Records of which a job is claimed right before the next transaction about its workflow."""

    claim = None

    def transaction(self, *, of=None, **options):
        if of is not None and of[0] is Workflow and self.claim is not None:
            claim, self.claim = self.claim, None
            claim()
        return super().transaction(of=of, **options)


def test_a_job_that_is_claimed_while_maintenance_looks_at_it_lacks_nothing():
    world = DirectWorld.over(TakenMeanwhile())
    setting = Setting.make(world)
    job = setting.job()
    records = world.platform.records
    with records.transaction() as transaction:
        package = {**PACKAGE, "metadata": {"resources": {"cores": 2}}}
        transaction.replace(attrs.evolve(setting.task_type, metadata={"package": package}))
    records.claim = lambda: setting.leased(job)
    world.platform.maintain()
    assert records.claim is None
    running = world.admin.get(Job, job.serial)
    assert running.state is JobState.RUNNING
    assert "worker_missing" not in running.metadata


def test_an_unusable_job_that_is_aborted_while_maintenance_looks_at_it_stays_aborted():
    world = DirectWorld.over(TakenMeanwhile())
    setting = Setting.make(world)
    job = setting.job()
    records = world.platform.records
    with records.transaction() as transaction:
        transaction.replace(attrs.evolve(setting.task, task_type_serial=4711))
    records.claim = lambda: world.control.abort_job(job.serial)
    world.platform.maintain()
    assert records.claim is None
    assert world.admin.get(Job, job.serial).state is JobState.ABORTED
