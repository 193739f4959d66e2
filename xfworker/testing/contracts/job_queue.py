"""What every JobQueue does."""

import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidRecord, LeaseLost, RecordNotFound
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.domain.resources import Offer, Scratch
from xfworker.testing.contracts.worlds import Setting, World, heartbeat

PREEMPTED = Outcome(ending=Ending.PREEMPTED, message="the worker stopped")
CRASHED = Outcome(ending=Ending.CRASHED, message="the script ended with exit code 1", exit_code=1)


class JobQueueContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your job queue.

    Fixtures to give:
        ``world``: a :class:`~xfworker.testing.contracts.worlds.World` with an empty server.
    """

    @pytest.fixture
    def world(self) -> Iterator[World]:
        raise NotImplementedError

    @pytest.fixture
    def setting(self, world: World) -> Setting:
        # What other tests left in the queue would be claimed first.
        for job in world.admin.find(Job, {"state": JobState.READY}):
            world.admin.update(Job, job.serial, Change(values={"/state": "Aborted"}))
        return Setting.make(world)

    @pytest.fixture
    def worker(self, world: World) -> Worker:
        return world.queue.register(Worker(name="bench", max_concurrent_jobs=4))

    def test_what_a_worker_says_of_itself_that_the_server_does_not_know_is_kept_as_it_said_it_last(
        self, world: World
    ) -> None:
        first = world.queue.register(Worker(name="rack", extra={"shelf": 1}))
        assert first.extra == {"shelf": 1}
        assert world.queue.register(Worker(name="rack", extra={"shelf": 2})).extra == {"shelf": 2}
        assert world.admin.get(Worker, first.serial).extra == {"shelf": 2}

    def test_a_worker_that_comes_back_is_the_same(self, world: World, worker: Worker) -> None:
        again = world.queue.register(
            Worker(name="bench", dependency_packages=[{"name": "Core.IPL", "version": "1.0.0.0"}])
        )
        assert again.serial == worker.serial
        assert again.dependency_packages == [{"name": "Core.IPL", "version": "1.0.0.0"}]
        assert again.last_seen_at is not None
        world.queue.register(Worker(name="bench"))

    def test_a_claimed_job_runs_in_its_first_attempt(self, setting: Setting, worker: Worker) -> None:
        job = setting.job(metadata={"error_message": "old"})
        lease = setting.world.queue.claim(worker.serial)
        assert lease is not None
        assert (lease.job.serial, lease.attempt, lease.job.state) == (job.serial, 1, JobState.RUNNING)
        assert lease.job.worker_serial == worker.serial
        assert lease.job.started_at is not None
        assert "error_message" not in lease.job.metadata
        assert (lease.task, lease.task_type) == (setting.task, setting.task_type)
        assert setting.world.admin.get(Job, job.serial) == lease.job
        assert lease.server_auth not in repr(lease)

    def test_an_empty_queue_gives_nothing(self, setting: Setting, worker: Worker) -> None:
        assert setting.world.queue.claim(worker.serial) is None

    def test_a_job_is_handed_out_once(self, setting: Setting, worker: Worker) -> None:
        jobs = {setting.job().serial for _ in range(12)}
        taken: list[int] = []
        errors: list[BaseException] = []

        def claim() -> None:
            try:
                while (lease := setting.world.queue.claim(worker.serial)) is not None:
                    taken.append(lease.job.serial)
            except BaseException as error:  # noqa: BLE001  shown by the test
                errors.append(error)

        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(taken) == 12
        assert set(taken) == jobs

    def test_a_worker_that_got_a_job_again_keeps_the_newer_lease_and_learns_that_the_older_is_lost(
        self, setting: Setting, worker: Worker
    ) -> None:
        setting.job()
        setting.job()
        other, older = setting.world.queue.claim(worker.serial), setting.world.queue.claim(worker.serial)
        assert other is not None
        assert older is not None
        setting.world.queue.end(older, PREEMPTED)
        newer = setting.world.queue.claim(worker.serial, job_serial=older.job.serial)
        assert newer is not None
        for leases in ([older, other, newer], [newer, other, older]):
            statuses = setting.world.queue.heartbeat(leases)
            assert [status.job_serial for status in statuses] == [lease.job.serial for lease in leases]
            assert [status.lost is not None for status in statuses] == [lease is older for lease in leases]

    def test_high_priority_comes_first_and_paused_not_at_all(self, setting: Setting, worker: Worker) -> None:
        def run(priority: RunPriority) -> int:
            return setting.world.admin.create(Run(workflow_serial=setting.workflow.serial, priority=priority)).serial

        normal = setting.job()
        setting.job(run_serial=run(RunPriority.PAUSED))
        high = setting.job(run_serial=run(RunPriority.HIGH))
        claimed = [setting.world.queue.claim(worker.serial) for _ in range(3)]
        assert [lease and lease.job.serial for lease in claimed] == [high.serial, normal.serial, None]

    def test_only_active_workflows_run(self, setting: Setting, worker: Worker) -> None:
        server, workflow = setting.world.admin, setting.workflow.serial
        setting.job()
        server.update(Workflow, workflow, Change(values={"/state": WorkflowState.STOPPED.value}))
        assert setting.world.queue.claim(worker.serial) is None
        server.update(Workflow, workflow, Change(values={"/state": WorkflowState.ACTIVE.value}))
        assert setting.world.queue.claim(worker.serial) is not None

    def test_obsolete_runs_do_not_run(self, setting: Setting, worker: Worker) -> None:
        setting.job()
        setting.world.admin.update(Run, setting.run.serial, Change(values={"/obsolete": True}))
        assert setting.world.queue.claim(worker.serial) is None

    def test_a_job_goes_to_a_worker_with_its_dependency_packages(self, setting: Setting) -> None:
        server, queue = setting.world.admin, setting.world.queue
        needs = [{"name": "Core.IPL", "version": "1.0.0.0"}]
        task_type = server.create(TaskType(name="Needs.IPL", metadata={"dependencies": needs}))
        task = server.create(Task(workflow_serial=setting.workflow.serial, task_type_serial=task_type.serial))
        job = setting.job(task_serial=task.serial)
        plain = setting.job()
        poor = queue.register(Worker(name="poor", dependency_packages=[{"name": "Core.IPL", "version": "1.1.0.0"}]))
        rich = queue.register(Worker(name="rich", dependency_packages=needs))
        leases = [queue.claim(serial) for serial in (poor.serial, poor.serial, rich.serial)]
        claimed = [None if lease is None else lease.job.serial for lease in leases]
        assert claimed == [plain.serial, None, job.serial]

    @pytest.mark.parametrize(
        ("resources", "lacks"),
        [
            ({"cores": 5}, {"cores": 4}),
            ({"memory_mib": 8000.5}, {"memory_mib": 8000}),
            ({"gpus": 2}, {"gpus": 1}),
            ({"scratch": "local"}, {"scratch": Scratch.SHARED}),
            ({"time_seconds": 60}, {"seconds": 59.0}),
        ],
        ids=["cores", "memory", "gpus", "scratch", "time"],
    )
    def test_a_job_goes_to_a_worker_that_has_free_what_it_declares(
        self, setting: Setting, worker: Worker, resources: dict[str, Any], lacks: dict[str, Any]
    ) -> None:
        server, queue = setting.world.admin, setting.world.queue
        package = {"archive": "a.xfp", "sha256": "0" * 64, "complete": True}
        described = {"package_format": "XFP-TT1.0", "name": "Needs", "version": "1.0.0.0", "resources": resources}
        task_type = server.create(TaskType(name="Needs", metadata={"package": {**package, "metadata": described}}))
        task = server.create(Task(workflow_serial=setting.workflow.serial, task_type_serial=task_type.serial))
        job = setting.job(task_serial=task.serial)
        plain = setting.job()
        enough = Offer(cores=5, memory_mib=8001, gpus=2, scratch=Scratch.LOCAL, seconds=60.0, walltime_seconds=60.0)
        too_little = attrs.evolve(enough, **lacks)
        leases = [queue.claim(worker.serial, offer=offer) for offer in (too_little, too_little, enough)]
        claimed = [None if lease is None else lease.job.serial for lease in leases]
        assert claimed == [plain.serial, None, job.serial]

    def test_a_job_that_declares_nothing_goes_to_any_worker(self, setting: Setting, worker: Worker) -> None:
        job = setting.job()
        lease = setting.world.queue.claim(worker.serial, offer=Offer())
        assert lease is not None
        assert lease.job.serial == job.serial

    def test_a_given_job_is_claimed_whatever_its_workflow_does(self, setting: Setting, worker: Worker) -> None:
        setting.world.admin.update(Workflow, setting.workflow.serial, Change(values={"/state": "Stopped"}))
        job = setting.job(state=JobState.READY_FOR_INTERACTIVE)
        lease = setting.world.queue.claim(worker.serial, job_serial=job.serial)
        assert lease is not None
        with pytest.raises(IllegalTransition, match="Running"):
            setting.world.queue.claim(worker.serial, job_serial=job.serial)
        with pytest.raises(RecordNotFound):
            setting.world.queue.claim(worker.serial, job_serial=999_999)

    def test_a_heartbeat_renews_the_lease(self, setting: Setting) -> None:
        lease = setting.leased()
        status = heartbeat(setting.world.queue, lease)
        assert status.expires_at is not None
        assert status.expires_at >= lease.expires_at
        assert not status.abort_requested

    def test_a_crash_fails_the_job_and_says_why(self, setting: Setting) -> None:
        lease = setting.leased()
        job = setting.world.queue.end(lease, CRASHED)
        assert job.state is JobState.FAILED
        assert job.metadata["error_message"] == CRASHED.message
        assert job.metadata["outcome"] == CRASHED.to_json()
        assert job.finished_at is not None

    def test_the_script_knows_better_why_it_failed(self, setting: Setting) -> None:
        lease = setting.leased()
        setting.script(lease).update(
            Job, lease.job.serial, Change(values={"/metadata/error_message": "no bone in the image"}, bump=False)
        )
        job = setting.world.queue.end(lease, Outcome(ending=Ending.ERROR_REPORTED, message="exit code 81"))
        assert (job.state, job.metadata["error_message"]) == (JobState.FAILED, "no bone in the image")

    def test_a_finished_job_stays_done(self, setting: Setting) -> None:
        lease = setting.leased()
        setting.script(lease).update(Job, lease.job.serial, Change(values={"/outputs": {"n": 1}, "/state": "Done"}))
        job = setting.world.queue.end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))
        assert (job.state, job.outputs) == (JobState.DONE, {"n": 1})
        assert job.metadata["outcome"]["ending"] == "finished"

    def test_a_job_handed_to_a_person_waits_for_one(self, setting: Setting) -> None:
        lease = setting.leased()
        setting.script(lease).update(Job, lease.job.serial, Change(values={"/state": "ReadyForInteractive"}))
        job = setting.world.queue.end(lease, Outcome(ending=Ending.HANDED_OVER, exit_code=83))
        assert job.state is JobState.READY_FOR_INTERACTIVE

    def test_a_script_that_says_finished_without_finishing_failed(self, setting: Setting) -> None:
        job = setting.world.queue.end(setting.leased(), Outcome(ending=Ending.FINISHED, exit_code=0))
        assert job.state is JobState.FAILED
        assert "finish" in job.metadata["error_message"]

    def test_an_aborted_script_leaves_an_aborted_job(self, setting: Setting) -> None:
        job = setting.world.queue.end(setting.leased(), Outcome(ending=Ending.ABORTED, message="aborted"))
        assert job.state is JobState.ABORTED

    def test_a_job_that_is_handed_back_is_ready_at_once_and_not_counted(self, setting: Setting) -> None:
        job = setting.job()
        for attempt in range(1, 6):
            lease = setting.leased(job)
            assert lease.attempt == attempt
            after = setting.world.queue.end(lease, PREEMPTED)
            assert (after.state, after.worker_serial, after.metadata) == (JobState.READY, None, {})
            assert setting.world.queue.end(lease, PREEMPTED) == after  # the answer was lost
            with pytest.raises(LeaseLost):
                heartbeat(setting.world.queue, lease)
            with pytest.raises(LeaseLost):
                setting.script(lease).update(Job, job.serial, Change(values={"/outputs": {"late": 1}}))

    def test_a_job_that_ended_while_it_was_handed_back_stays_as_it_is(self, setting: Setting) -> None:
        lease = setting.leased()
        setting.script(lease).update(Job, lease.job.serial, Change(values={"/outputs": {"n": 1}, "/state": "Done"}))
        job = setting.world.queue.end(lease, PREEMPTED)
        assert (job.state, job.outputs, "outcome" in job.metadata) == (JobState.DONE, {"n": 1}, False)

    def test_a_job_that_is_to_stop_is_aborted_when_it_is_handed_back(self, setting: Setting) -> None:
        lease = setting.leased()
        setting.world.admin.update(Job, lease.job.serial, Change(values={"/state": "Aborted"}))
        assert setting.world.queue.end(lease, PREEMPTED).state is JobState.ABORTED

    def test_an_end_may_be_reported_twice(self, setting: Setting) -> None:
        lease = setting.leased()
        first = setting.world.queue.end(lease, CRASHED)
        assert setting.world.queue.end(lease, CRASHED) == first

    def test_a_restarted_job_takes_nothing_from_its_old_attempt(self, setting: Setting) -> None:
        old = setting.leased()
        setting.world.queue.end(old, CRASHED)
        setting.world.admin.update(Job, old.job.serial, Change(values={"/state": "Ready"}))
        new = setting.leased(old.job)
        assert new.attempt == 2
        with pytest.raises(LeaseLost):
            heartbeat(setting.world.queue, old)
        with pytest.raises(LeaseLost):
            setting.world.queue.end(old, Outcome(ending=Ending.FINISHED))
        with pytest.raises(LeaseLost):
            setting.script(old).update(Job, old.job.serial, Change(values={"/outputs": {"stale": 1}}))
        assert setting.world.admin.get(Job, old.job.serial) == new.job

    def test_an_end_is_reported_whatever_the_script_wrote(self, setting: Setting) -> None:
        outcome = Outcome(ending=Ending.CRASHED, message="no file 'scan\udce4.aim'\x00")
        job = setting.world.queue.end(setting.leased(), outcome)
        assert job.metadata["error_message"] == "no file 'scan?.aim'?"

    def test_a_worker_that_no_database_could_hold_is_refused(self, world: World) -> None:
        with pytest.raises(InvalidRecord, match="max_concurrent_jobs"):
            world.queue.register(Worker(name="vast", max_concurrent_jobs=2**70))
