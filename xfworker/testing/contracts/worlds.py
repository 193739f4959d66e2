"""A platform to run a suite against, and the records that every test needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.ports.job_queue import JobQueue, Lease, LeaseStatus
from xfworker.ports.record_store import RecordStore
from xfworker.ports.workflow_control import WorkflowControl
from xfworker.ports.xf_server import XFServer
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform


@define
class World:
    """A server as its administrator sees it, and a way to act as another account."""

    admin: XFServer
    queue: JobQueue

    def as_bearer(self, token: str) -> XFServer:
        raise NotImplementedError


@define
class DirectWorld(World):
    """A platform in this process, with a clock that stands still."""

    platform: Platform
    clock: ManualClock
    control: WorkflowControl

    @classmethod
    def over(cls, records: RecordStore, options: PlatformOptions | None = None) -> "DirectWorld":
        clock = ManualClock()
        platform = Platform(records, clock, MemoryTokenSigner(clock), options)
        admin = platform.authenticate(platform.admin_token())
        return cls(
            admin=platform.server_for(admin),
            queue=platform.queue_for(admin),
            platform=platform,
            clock=clock,
            control=platform.control_for(admin),
        )

    def as_bearer(self, token: str) -> XFServer:
        return self.platform.server_for(self.platform.authenticate(token))


@define
class HttpWorld(World):
    """A platform in another process, over real HTTP."""

    url: str
    control: WorkflowControl

    def as_bearer(self, token: str) -> XFServer:
        return HttpXFServer(HttpTransport(self.url, token=token))


def heartbeat(queue: JobQueue, lease: Lease) -> LeaseStatus:
    """Renew one lease; one that is lost is an error."""
    [status] = queue.heartbeat([lease])
    status.require_held()
    return status


@contextmanager
def http_world(data: Path, database: str) -> Iterator[HttpWorld]:
    with EmbeddedServer(data, database=database) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        yield HttpWorld(
            admin=HttpXFServer(transport),
            queue=HttpJobQueue(transport),
            url=embedded.url,
            control=HttpWorkflowControl(transport),
        )
        transport.close()


@define
class Setting:
    """A project with an active workflow of one task and one run in it."""

    world: World
    project: Project
    workflow: Workflow
    task_type: TaskType
    task: Task
    run: Run

    @classmethod
    def make(
        cls, world: World, *, interface: dict[str, Any] | None = None, task_type_name: str = "Test.Empty"
    ) -> "Setting":
        server = world.admin
        project = server.create(Project(name="bones"))
        workflow = server.create(Workflow(project_serial=project.serial, name="mice", state=WorkflowState.ACTIVE))
        task_type = server.create(TaskType(name=task_type_name, version="1.0.0.0", interface=interface or {}))
        task = server.create(
            Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="look", spawn_key="own")
        )
        run = server.create(Run(workflow_serial=workflow.serial, name="mouse 1"))
        return cls(world=world, project=project, workflow=workflow, task_type=task_type, task=task, run=run)

    def job(self, **fields: Any) -> Job:
        defaults: dict[str, Any] = {"task_serial": self.task.serial, "run_serial": self.run.serial}
        return self.world.admin.create(Job(**{**defaults, "state": JobState.READY, **fields}))

    def leased(self, job: Job | None = None) -> Lease:
        worker = self.world.queue.register(Worker(name="bench"))
        lease = self.world.queue.claim(worker.serial, job_serial=(job or self.job()).serial)
        assert lease is not None
        return lease

    def script(self, lease: Lease) -> XFServer:
        return self.world.as_bearer(lease.server_auth)
