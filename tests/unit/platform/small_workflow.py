"""A workflow of tasks by name with one worker, for tests of what follows from what."""

from typing import Any

from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState
from xfworker.testing.contracts.worlds import DirectWorld

ENDED = Outcome(ending=Ending.FINISHED, exit_code=0)


class SmallWorkflow:
    """A small lab: task types by name, a workflow of tasks, one worker."""

    def __init__(self, records, options=None):
        self.world = DirectWorld.over(records, options)
        self.server = self.world.admin
        self.queue = self.world.queue
        platform = self.world.platform
        self.control = platform.control_for(platform.authenticate(platform.admin_token()))
        self.project = self.server.create(Project(name="bones"))
        self.workflow = self.server.create(Workflow(project_serial=self.project.serial, name="w")).serial
        self.worker = self.queue.register(Worker(name="bench")).serial

    def task(self, name: str, kind: str = "Processing", types: dict[str, str] | None = None, **inputs: Any) -> int:
        declared = [{"key": key, "type": (types or {}).get(key, "Float")} for key in inputs]
        task_type = self.server.create(
            TaskType(name=f"Lab.{name}", kind=TaskTypeKind(kind), interface={"inputs": declared})
        )
        sources = [{"key": key, **source} for key, source in inputs.items()]
        task = Task(workflow_serial=self.workflow, task_type_serial=task_type.serial, name=name, inputs=sources)
        return self.server.create(task).serial

    def start(self) -> None:
        self.server.update(Workflow, self.workflow, Change(values={"/state": WorkflowState.ACTIVE.value}))

    def jobs(self, task: int) -> list[Job]:
        return self.server.find(Job, {"task_serial": task})

    def states(self, *tasks: int) -> list[list[str]]:
        return [[job.state.value for job in self.jobs(task)] for task in tasks]

    def work(self, outputs: dict[str, Any] | None = None, *, job: Job | None = None) -> Job:
        """Claim the next job (or the given one), finish it, and say so."""
        lease = self.queue.claim(self.worker, job_serial=job.serial if job else None)
        assert lease is not None
        script = self.world.as_bearer(lease.server_auth)
        script.update(Job, lease.job.serial, Change(values={"/outputs": outputs or {}, "/state": "Done"}))
        return self.queue.end(lease, ENDED)

    def fail(self) -> Job:
        lease = self.queue.claim(self.worker)
        assert lease is not None
        return self.queue.end(lease, Outcome(ending=Ending.CRASHED, message="crash"))


def output(task: int, key: str = "out") -> dict[str, Any]:
    return {"mode": "output", "task_serial": task, "output_key": key}
