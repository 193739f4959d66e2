"""Which batch jobs are cancelled for a job, for a worker, and because a pilot does not answer."""

from contextlib import nullcontext

import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import RecordNotFound, UsageError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import Pilot
from xfworker.services.pilots.aborted_jobs import AbortedJobs
from xfworker.services.pilots.choice import Choice
from xfworker.services.pilots.known_pilot import ABSENT, silent_pilot_of
from xfworker.services.pilots.pilots import Pilots
from xfworker.testing.contracts.worlds import DirectWorld


class Batch:
    """A batch system that lists what it is set to list, and keeps what is cancelled."""

    name = "slurm"

    def __init__(self):
        self.jobs, self.cancelled = {}, []

    def listed(self):
        return self.jobs

    def cancel(self, jobs):
        self.cancelled += jobs


class NothingSubmitted:
    """Nothing was submitted from here."""

    def held(self):
        return nullcontext()

    def read(self):
        return []

    def write(self, pilots):
        assert not pilots


class Cluster:
    """A server, its pilots and their batch system."""

    def __init__(self):
        self.world, self.batch = DirectWorld.over(MemoryRecordStore()), Batch()
        server = self.server = self.world.admin
        project = server.create(Project(name="bones")).serial
        workflow = server.create(Workflow(project_serial=project, state=WorkflowState.ACTIVE)).serial
        task_type = server.create(TaskType(name="Lab.Some")).serial
        self.task = server.create(Task(workflow_serial=workflow, task_type_serial=task_type)).serial
        self.pilots = Pilots(
            server=server, submitted=NothingSubmitted(), systems={"slurm": self.batch}, clock=self.world.clock
        )

    def worker(self, job, name="node-1", **fields):
        pilot = {"pilot": Pilot(**{"system": "slurm", "job": job, **fields}).to_json()} if job else {}
        return self.world.queue.register(Worker(name=name, metadata=pilot)).serial

    def running(self, worker):
        job = self.server.create(Job(task_serial=self.task, state=JobState.READY)).serial
        lease = self.world.queue.claim(worker)
        assert lease.job.serial == job
        return job, lease

    def stop(self, **choice):
        ask = choice.get("unanswering", False)
        return [pilot.id for pilot in self.pilots.stop(Choice(**choice), ask=ask)]


@pytest.fixture
def cluster():
    return Cluster()


def test_a_running_job_names_its_pilot_and_no_other(cluster):
    worker, other = cluster.worker("7"), cluster.worker("8", name="node-2")
    job, _ = cluster.running(worker)
    cluster.running(other)
    assert cluster.stop(jobs=[job, job]) == ["slurm:7"]
    assert cluster.batch.cancelled == ["7"]


@pytest.mark.parametrize("named", ["node-1", "serial"])
def test_a_worker_names_its_pilot(cluster, named):
    serial = cluster.worker("7")
    cluster.worker("8", name="node-2")
    assert cluster.stop(workers=[str(serial) if named == "serial" else named]) == ["slurm:7"]


def test_an_aborted_job_names_its_pilot_once_that_does_not_answer(cluster):
    job, _ = cluster.running(cluster.worker("7"))
    cluster.server.update(Job, job, Change(values={"/state": "Aborted"}))
    cluster.world.clock.advance(61)
    cluster.world.platform.maintain()
    assert cluster.server.get(Job, job).state is JobState.ABORTED
    # A lease has ended, which may be a cut line: the pilot may well run other jobs.
    with pytest.raises(UsageError, match=r"counts as one that does not answer after five minutes.* stop slurm:7"):
        cluster.stop(jobs=[job])
    assert cluster.batch.cancelled == []
    cluster.world.clock.advance(300)
    assert cluster.stop(jobs=[job]) == ["slurm:7"]


def test_a_job_that_ended_well_does_not_cost_its_pilot(cluster):
    job, lease = cluster.running(cluster.worker("7"))
    cluster.server.update(Job, job, Change(values={"/outputs": {}, "/state": "Done"}))
    cluster.world.queue.end(lease, Outcome(ending=Ending.FINISHED))
    with pytest.raises(
        UsageError, match=rf"job {job} is Done, .* slurm:7 was last heard of at [-\dT]{{10}}.[:\d]{{8}}: it"
    ):
        cluster.stop(jobs=[job])
    assert cluster.batch.cancelled == []


def test_a_job_of_an_earlier_pilot_does_not_cost_the_one_that_has_its_record(cluster):
    job, _ = cluster.running(cluster.worker("7"))
    cluster.world.clock.advance(10)
    worker = cluster.worker("8")
    with pytest.raises(UsageError, match=r"before slurm:8.* ran on an earlier one \(slurm:7\)"):
        cluster.stop(jobs=[job])
    assert cluster.batch.cancelled == []
    own, _ = cluster.running(worker)
    cluster.world.clock.advance(10)
    assert cluster.worker("8") == worker
    assert cluster.stop(jobs=[own]) == ["slurm:8"]


@pytest.mark.parametrize("pilot", [None, "left"])
def test_what_is_no_pilot_or_has_left_cannot_be_cancelled(cluster, pilot):
    worker = cluster.worker(pilot and "7")
    job, _ = cluster.running(worker)
    if pilot:
        cluster.worker("7", left=True)
    for choice, what in (({"jobs": [job]}, rf"job {job} \(Running\)"), ({"workers": ["node-1"]}, "it")):
        with pytest.raises(UsageError, match=f"no batch job of {what} can be .* stop its process on its computer"):
            cluster.stop(**choice)


def test_a_job_that_nobody_runs_and_names_that_are_not_there_are_refused(cluster):
    cluster.worker("7")
    waiting = cluster.server.create(Job(task_serial=cluster.task, state=JobState.READY)).serial
    with pytest.raises(UsageError, match="it is Ready"):
        cluster.stop(jobs=[waiting])
    with pytest.raises(UsageError, match="there is no worker node-9"):
        cluster.stop(workers=["node-1", "node-9"])
    with pytest.raises(RecordNotFound):
        cluster.stop(jobs=[4711])
    assert cluster.batch.cancelled == []


def test_of_those_that_do_not_answer_only_what_the_batch_system_lists_is_cancelled(cluster):
    for job in ("7", "8"):
        cluster.worker(job, name=f"node-{job}")
    cluster.worker("9", name="node-9", left=True)
    cluster.world.clock.advance(301)
    cluster.worker("10", name="node-10")
    cluster.batch.jobs = dict.fromkeys(("8", "9", "10", "11"), "RUNNING")
    stopped = cluster.pilots.stop(Choice(unanswering=True), ask=True)
    assert {pilot.id: pilot.batch_state for pilot in stopped} == {"slurm:7": "absent", "slurm:8": "RUNNING"}
    assert cluster.batch.cancelled == ["8"]


def test_where_all_answer_nothing_is_cancelled(cluster):
    cluster.worker("7")
    cluster.batch.jobs = {"7": "RUNNING"}
    assert cluster.stop(unanswering=True) == []
    assert cluster.batch.cancelled == []


def test_a_job_that_nobody_aborted_runs_again(cluster):
    job, _ = cluster.running(cluster.worker("7"))
    assert cluster.pilots.handed_back([job]) == [job]
    cluster.server.update(Job, job, Change(values={"/state": "Aborted"}))
    assert cluster.pilots.handed_back([job]) == []


def test_an_abort_says_when_the_pilot_of_the_job_does_not_answer(cluster):
    job, _ = cluster.running(cluster.worker("7"))

    def said():
        return silent_pilot_of(cluster.server, cluster.server.get(Job, job), cluster.world.clock.now())

    cluster.world.clock.advance(61)
    assert said() == ""
    cluster.server.update(Job, job, Change(values={"/state": "Aborted"}))
    assert "its pilot slurm:7 (node-1) was last heard of at " in said()
    assert said().endswith(f"xfworker cluster stop --job {job}")
    cluster.worker("7")
    assert said() == ""


@pytest.fixture
def aborted(cluster):
    cluster.batch.jobs = {"7": "RUNNING", "8": "RUNNING"}
    return AbortedJobs(pilots=cluster.pilots)


def ask_to_abort(cluster, aborted, job):
    aborted.add(cluster.server.get(Job, job))
    cluster.world.control.abort_job(job)


@pytest.mark.parametrize("lease_ends", [False, True])
def test_the_batch_job_of_an_aborted_job_is_cancelled_where_its_pilot_is_not_heard_of(cluster, aborted, lease_ends):
    job, _ = cluster.running(cluster.worker("7"))
    cluster.running(cluster.worker("8", name="node-2"))
    ask_to_abort(cluster, aborted, job)
    if lease_ends:
        cluster.world.clock.advance(61)
        cluster.world.platform.maintain()
        assert cluster.server.get(Job, job).state is JobState.ABORTED
    began = cluster.world.clock.monotonic()
    assert [pilot.id for pilot in aborted.cancel_unanswering()] == ["slurm:7"]
    assert cluster.world.clock.monotonic() - began == 60
    assert cluster.batch.cancelled == ["7"]


def test_a_job_that_waits_or_has_ended_costs_no_pilot_and_no_wait_when_it_is_aborted(cluster, aborted):
    ended, lease = cluster.running(cluster.worker("7"))
    cluster.server.update(Job, ended, Change(values={"/outputs": {}, "/state": "Done"}))
    cluster.world.queue.end(lease, Outcome(ending=Ending.FINISHED))
    waiting = cluster.server.create(Job(task_serial=cluster.task, state=JobState.READY)).serial
    for serial in (ended, waiting):
        aborted.add(cluster.server.get(Job, serial))
    began = cluster.world.clock.monotonic()
    assert aborted.cancel_unanswering() == []
    assert cluster.world.clock.monotonic() == began
    assert cluster.batch.cancelled == []


def test_a_pilot_that_is_heard_of_after_an_abort_keeps_its_batch_job(cluster, aborted):
    job, lease = cluster.running(cluster.worker("7"))
    ask_to_abort(cluster, aborted, job)
    cluster.world.clock.advance(40)
    assert cluster.world.queue.heartbeat([lease])[0].abort_requested
    assert aborted.cancel_unanswering() == []
    assert cluster.batch.cancelled == []


def test_a_pilot_that_left_and_a_worker_that_is_none_keep_their_peace_after_an_abort(cluster, aborted):
    by_hand, _ = cluster.running(cluster.worker(None))
    job, _ = cluster.running(cluster.worker("7", name="node-2"))
    ask_to_abort(cluster, aborted, by_hand)
    ask_to_abort(cluster, aborted, job)
    cluster.worker("7", name="node-2", left=True)
    assert aborted.cancel_unanswering() == []


def test_a_job_of_an_earlier_pilot_that_is_aborted_does_not_cost_the_one_that_has_its_record(cluster, aborted):
    job, _ = cluster.running(cluster.worker("7"))
    cluster.world.clock.advance(10)
    cluster.worker("8")
    ask_to_abort(cluster, aborted, job)
    assert aborted.cancel_unanswering() == []
    assert cluster.batch.cancelled == []


def test_a_batch_job_that_ended_with_its_machine_is_not_cancelled_for_an_aborted_job(cluster, aborted):
    job, _ = cluster.running(cluster.worker("7"))
    ask_to_abort(cluster, aborted, job)
    cluster.batch.jobs = {}
    assert [pilot.batch_state for pilot in aborted.cancel_unanswering()] == [ABSENT]
    assert cluster.batch.cancelled == []
