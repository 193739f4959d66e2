"""What every WorkflowControl does, whatever carries it and whatever keeps its records."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from xfworker.domain.change import Change
from xfworker.domain.errors import IllegalTransition, InvalidParameter, InvalidRecord, RecordNotFound, UsageError
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    Job,
    Project,
    Run,
    RunPriority,
    Task,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.ports.job_queue import Lease
from xfworker.ports.workflow_control import WorkflowControl
from xfworker.testing.contracts.worlds import World, heartbeat

_FINISHED = Outcome(ending=Ending.FINISHED, exit_code=0)
_NOWHERE = 999_999


@attrs.define
class ScanAndMask:
    """
    A workflow of a source task and one that follows it.

    Attributes:
        world: The server that has it.
        workflow: Its serial.
        scan: The source task's serial; its input ``threshold`` is an integer with a default, its output is ``image``.
        mask: The serial of the task that takes ``image``.
    """

    world: World
    workflow: int
    scan: int
    mask: int

    @classmethod
    def make(cls, world: World, *, state: WorkflowState = WorkflowState.ACTIVE) -> "ScanAndMask":
        server = world.admin
        project = server.create(Project(name="bones"))
        workflow = server.create(Workflow(project_serial=project.serial, name="mice")).serial
        threshold = {"key": "threshold", "type": "Int", "default": 220}
        scan = add_task(world, workflow, "scan", kind=TaskTypeKind.SOURCE, inputs=[threshold])
        source = {"key": "image", "mode": "output", "task_serial": scan, "output_key": "image"}
        mask = add_task(world, workflow, "mask", inputs=[{"key": "image", "type": "Float"}], sources=[source])
        server.update(Workflow, workflow, Change(values={"/state": state.value}))
        return cls(world=world, workflow=workflow, scan=scan, mask=mask)

    def jobs(self, task: int) -> list[Job]:
        return self.world.admin.find(Job, {"task_serial": task})

    def states(self) -> list[list[JobState]]:
        return [[job.state for job in self.jobs(task)] for task in (self.scan, self.mask)]

    def claim(self, job: Job) -> Lease:
        worker = self.world.queue.register(Worker(name="control"))
        lease = self.world.queue.claim(worker.serial, job_serial=job.serial)
        assert lease is not None
        return lease

    def work(self, job: Job, **outputs: Any) -> Job:
        """Do a job as a worker and its script would."""
        lease = self.claim(job)
        script = self.world.as_bearer(lease.server_auth)
        script.update(Job, job.serial, Change(values={"/outputs": outputs, "/state": JobState.DONE.value}))
        return self.world.queue.end(lease, _FINISHED)


def add_task(
    world: World,
    workflow: int,
    name: str,
    *,
    kind: TaskTypeKind = TaskTypeKind.PROCESSING,
    inputs: list[dict[str, Any]] | None = None,
    sources: list[dict[str, Any]] | None = None,
) -> int:
    interface = {"inputs": inputs or []}
    task_type = world.admin.create(TaskType(name=f"Control.{name}", kind=kind, interface=interface))
    return world.admin.create(
        Task(workflow_serial=workflow, task_type_serial=task_type.serial, name=name, inputs=sources or [])
    ).serial


class WorkflowControlContract:
    """
    Inherit it, give the two fixtures, and pytest runs every test against your workflow control.

    Fixtures to give:
        ``world``: a :class:`~xfworker.testing.contracts.worlds.World`: the server whose workflows are controlled.
        ``control``: the :class:`~xfworker.ports.workflow_control.WorkflowControl` of its administrator.
    """

    @pytest.fixture
    def world(self) -> Iterator[World]:
        raise NotImplementedError("give a server")

    @pytest.fixture
    def control(self, world: World) -> WorkflowControl:
        raise NotImplementedError("give its workflow control")

    @pytest.fixture
    def flow(self, world: World) -> ScanAndMask:
        return ScanAndMask.make(world)

    # --- runs ---------------------------------------------------------------------------------------------------

    def test_a_run_begins_with_a_job_of_the_source_task(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        entity = {"uuid": "5f0c1c5e-0000-4000-8000-000000000001", "name": "mouse"}
        run = control.start_run(
            flow.workflow, inputs={"threshold": 300}, name="mouse 1", entity=entity, priority=RunPriority.HIGH
        )
        assert (run.workflow_serial, run.name, run.priority) == (flow.workflow, "mouse 1", RunPriority.HIGH)
        assert run.entity == entity
        assert flow.states() == [[JobState.READY], []]
        [job] = flow.jobs(flow.scan)
        assert (job.serial, job.run_serial) == (run.source_job_serial, run.serial)
        assert (job.name, job.inputs) == ("mouse 1", {"threshold": 300})
        assert flow.world.admin.get(Run, run.serial) == run

    def test_a_source_job_whose_outputs_are_given_is_done_at_once(
        self, control: WorkflowControl, flow: ScanAndMask
    ) -> None:
        run = control.start_run(flow.workflow, outputs={"image": 2.5})
        assert flow.states() == [[JobState.DONE], [JobState.READY]]
        [follower] = flow.jobs(flow.mask)
        assert (follower.inputs, follower.run_serial) == ({"image": 2.5}, run.serial)

    def test_a_copy_of_a_run_begins_with_its_inputs(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        first = control.start_run(flow.workflow, inputs={"threshold": 300}, name="mouse 1", priority=RunPriority.HIGH)
        copy = control.copy_run(first.serial, name="again", idempotency_key="copy")
        assert copy.serial != first.serial
        assert (copy.name, copy.priority, copy.entity) == ("again", RunPriority.HIGH, first.entity)
        assert copy.source_job_serial is not None
        assert flow.world.admin.get(Job, copy.source_job_serial).inputs == {"threshold": 300}
        assert control.copy_run(first.serial, name="again", idempotency_key="copy").serial == copy.serial
        assert control.copy_run(first.serial).name == "mouse 1"
        with pytest.raises(RecordNotFound):
            control.copy_run(_NOWHERE)

    def test_a_task_that_is_appended_to_a_job_begins_in_its_run_alone(
        self, control: WorkflowControl, flow: ScanAndMask
    ) -> None:
        admin = flow.world.admin
        _, run = (control.start_run(flow.workflow, outputs={"image": 2.5}) for _ in range(2))
        job = next(job for job in flow.jobs(flow.scan) if job.run_serial == run.serial)
        kind = admin.get(Task, flow.mask).task_type_serial
        inputs = [{"key": "image", "mode": "output", "task_serial": flow.scan, "output_key": "image"}]
        task = control.append_task(job.serial, kind, inputs=inputs, name="again", idempotency_key="append")
        assert (task.workflow_serial, task.name, task.inputs) == (flow.workflow, "again", inputs)
        [follower] = flow.jobs(task.serial)
        assert (follower.run_serial, follower.inputs, follower.state) == (run.serial, {"image": 2.5}, JobState.READY)
        assert control.append_task(job.serial, kind, inputs=inputs, name="again", idempotency_key="append") == task
        with pytest.raises(InvalidParameter, match="none of its inputs takes an output"):
            control.append_task(job.serial, kind, inputs=[{"key": "image", "mode": "ui"}])
        with pytest.raises(InvalidRecord):
            control.append_task(job.serial, kind, inputs=[*inputs, {"key": "other", "mode": "guess"}])
        admin.update(Run, run.serial, Change(values={"/obsolete": True}))
        with pytest.raises(IllegalTransition, match="obsolete"):
            control.append_task(job.serial, kind, inputs=inputs)

    def test_one_idempotency_key_starts_one_run(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        key = f"start-{flow.workflow}"
        first, again = (control.start_run(flow.workflow, name="a", idempotency_key=key) for _ in range(2))
        assert again == first
        assert len(flow.jobs(flow.scan)) == 1
        assert control.start_run(flow.workflow, name="a").serial != first.serial
        assert len(flow.jobs(flow.scan)) == 2

    def test_an_idempotency_key_is_for_one_request(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        key = f"once-{flow.workflow}"
        control.start_run(flow.workflow, name="a", idempotency_key=key)
        with pytest.raises(UsageError, match="idempotency key"):
            control.start_run(flow.workflow, name="b", idempotency_key=key)
        assert len(flow.jobs(flow.scan)) == 1

    def test_of_several_source_tasks_one_is_named(self, control: WorkflowControl, world: World) -> None:
        flow = ScanAndMask.make(world, state=WorkflowState.DRAFT)
        other = add_task(world, flow.workflow, "other", kind=TaskTypeKind.SOURCE)
        world.admin.update(Workflow, flow.workflow, Change(values={"/state": WorkflowState.ACTIVE.value}))
        with pytest.raises(InvalidParameter, match=f"{flow.scan}.*{other}"):
            control.start_run(flow.workflow)
        with pytest.raises(RecordNotFound):
            control.start_run(flow.workflow, task_serial=flow.mask)
        assert world.admin.find(Run, {"workflow_serial": flow.workflow}) == []
        control.start_run(flow.workflow, task_serial=other)
        assert (len(flow.jobs(other)), len(flow.jobs(flow.scan))) == (1, 0)

    def test_without_a_source_task_a_run_begins_with_the_tasks_that_need_no_other(
        self, control: WorkflowControl, world: World
    ) -> None:
        server = world.admin
        workflow = server.create(Workflow(project_serial=server.create(Project(name="bones")).serial)).serial
        first = add_task(world, workflow, "first")
        source = {"key": "a", "mode": "output", "task_serial": first, "output_key": "a"}
        second = add_task(world, workflow, "second", inputs=[{"key": "a", "type": "Float"}], sources=[source])
        server.update(Workflow, workflow, Change(values={"/state": WorkflowState.ACTIVE.value}))
        with pytest.raises(InvalidParameter, match="no source task"):
            control.start_run(workflow, inputs={"a": 1})
        run = control.start_run(workflow)
        assert [job.run_serial for job in server.find(Job, {"task_serial": first})] == [run.serial]
        assert server.find(Job, {"task_serial": second}) == []

    def test_inputs_that_do_not_fit_start_nothing(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        with pytest.raises(InvalidParameter, match="threshold"):
            control.start_run(flow.workflow, inputs={"threshold": "high"})
        assert flow.world.admin.find(Run, {"workflow_serial": flow.workflow}) == []
        assert flow.states() == [[], []]

    def test_a_draft_and_an_obsolete_workflow_start_nothing(self, control: WorkflowControl, world: World) -> None:
        draft = ScanAndMask.make(world, state=WorkflowState.DRAFT)
        with pytest.raises(IllegalTransition, match="draft"):
            control.start_run(draft.workflow)
        obsolete = ScanAndMask.make(world)
        world.admin.update(Workflow, obsolete.workflow, Change(values={"/obsolete": True}))
        with pytest.raises(IllegalTransition, match="obsolete"):
            control.start_run(obsolete.workflow)
        for flow in (draft, obsolete):
            assert flow.states() == [[], []]

    def test_a_workflow_or_job_that_is_not_there_is_not_found(self, control: WorkflowControl) -> None:
        with pytest.raises(RecordNotFound):
            control.start_run(_NOWHERE)
        with pytest.raises(RecordNotFound):
            control.restart_job(_NOWHERE)
        with pytest.raises(RecordNotFound):
            control.abort_job(_NOWHERE)

    # --- jobs ---------------------------------------------------------------------------------------------------

    def test_a_restarted_job_is_ready_and_what_follows_waits(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        source = flow.work(flow.jobs(flow.scan)[0], image=1)
        flow.work(flow.jobs(flow.mask)[0], volume=2)
        again = control.restart_job(source.serial)
        assert (again.serial, again.state, again.outputs) == (source.serial, JobState.READY, {})
        assert flow.states() == [[JobState.READY], [JobState.WAITING]]
        flow.work(again, image=3)
        [follower] = flow.jobs(flow.mask)
        assert (follower.state, follower.inputs) == (JobState.READY, {"image": 3})

    def test_a_failed_job_may_be_restarted(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        lease = flow.claim(flow.jobs(flow.scan)[0])
        flow.world.queue.end(lease, Outcome(ending=Ending.CRASHED, message="crash", exit_code=1))
        again = control.restart_job(lease.job.serial)
        assert again.state is JobState.READY
        assert "error_message" not in again.metadata

    def test_one_idempotency_key_restarts_a_job_once(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        source = flow.work(flow.jobs(flow.scan)[0], image=1)
        key = f"restart-{source.serial}"
        again = control.restart_job(source.serial, idempotency_key=key)
        assert control.restart_job(source.serial, idempotency_key=key) == again
        done = flow.work(again, image=2)
        assert control.restart_job(source.serial, idempotency_key=key) == done
        assert flow.world.admin.get(Job, source.serial) == done

    def test_one_idempotency_key_aborts_a_job_once(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        [job] = flow.jobs(flow.scan)
        key = f"abort-{job.serial}"
        aborted = control.abort_job(job.serial, idempotency_key=key)
        assert control.abort_job(job.serial, idempotency_key=key) == aborted
        again = control.restart_job(job.serial)
        assert control.abort_job(job.serial, idempotency_key=key) == again
        assert flow.world.admin.get(Job, job.serial).state is JobState.READY

    def test_what_has_not_ended_is_not_restarted(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        [job] = flow.jobs(flow.scan)
        with pytest.raises(IllegalTransition, match="not ended"):
            control.restart_job(job.serial)
        assert flow.world.admin.get(Job, job.serial) == job

    def test_nothing_is_restarted_under_a_running_follower(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        source = flow.work(flow.jobs(flow.scan)[0], image=1)
        flow.claim(flow.jobs(flow.mask)[0])
        with pytest.raises(IllegalTransition, match="running"):
            control.restart_job(source.serial)
        assert flow.states() == [[JobState.DONE], [JobState.RUNNING]]

    def test_a_job_that_waits_for_a_worker_is_aborted_at_once(
        self, control: WorkflowControl, flow: ScanAndMask
    ) -> None:
        control.start_run(flow.workflow)
        [job] = flow.jobs(flow.scan)
        assert control.abort_job(job.serial).state is JobState.ABORTED
        assert flow.states() == [[JobState.ABORTED], []]

    def test_a_running_job_is_asked_to_stop_and_aborted_when_it_has(
        self, control: WorkflowControl, flow: ScanAndMask
    ) -> None:
        control.start_run(flow.workflow)
        lease = flow.claim(flow.jobs(flow.scan)[0])
        assert not heartbeat(flow.world.queue, lease).abort_requested
        assert control.abort_job(lease.job.serial).state is JobState.RUNNING
        assert heartbeat(flow.world.queue, lease).abort_requested
        ended = flow.world.queue.end(lease, Outcome(ending=Ending.ABORTED, message="stopped"))
        assert ended.state is JobState.ABORTED

    def test_what_has_ended_is_not_aborted(self, control: WorkflowControl, flow: ScanAndMask) -> None:
        control.start_run(flow.workflow)
        done = flow.work(flow.jobs(flow.scan)[0], image=1)
        with pytest.raises(IllegalTransition, match="Done"):
            control.abort_job(done.serial)
        assert flow.world.admin.get(Job, done.serial).state is JobState.DONE
