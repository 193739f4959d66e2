"""Which jobs a worker gets that says what it has free, and until when."""

import attrs
import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import Offer, Pilot
from xfworker.testing.contracts.worlds import DirectWorld

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
