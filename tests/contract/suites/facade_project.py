"""A place in which task scripts' jobs run, for the suites of the facade; over memory or over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.session import session
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.ports.file_store import FileStore
from xfworker.ports.job_queue import JobQueue, Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.script.session import Session
from xfworker.testing.contracts.worlds import DirectWorld

INTERFACE = {
    "inputs": [
        {"key": "image", "type": "Image", "supported_modes": ["none", "output", "ui"]},
        {"key": "threshold", "type": "Int", "default": 3},
    ],
    "outputs": [{"key": "volume", "type": "Float", "minimum": 0}],
}


@define
class Place:
    """A server, its files, and the way to a script's session."""

    admin: XFServer
    queue: JobQueue
    files: FileStore
    session_of: Callable[[Lease, Path], Session]


@define
class ScriptProject:
    """A project of its own in a place, with an active workflow of one task."""

    place: Place
    folder: Path
    project: Project
    workflow: Workflow
    task_type: TaskType
    task: Task
    leases: dict[int, Lease] = field(factory=dict)

    @classmethod
    def make(cls, place: Place, folder: Path) -> "ScriptProject":
        admin = place.admin
        project = admin.create(Project(name="mice"))
        workflow = admin.create(Workflow(project_serial=project.serial, name="bones", state=WorkflowState.ACTIVE))
        task_type = admin.create(TaskType(name="Lab.Measure", version="1.0.0.0", interface=INTERFACE))
        task = admin.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="measure"))
        return cls(place=place, folder=folder, project=project, workflow=workflow, task_type=task_type, task=task)

    @property
    def admin(self) -> XFServer:
        return self.place.admin

    def new_job(self, task: Task | None = None, **fields: Any) -> Job:
        return self.admin.create(Job(task_serial=(task or self.task).serial, **{"state": JobState.READY, **fields}))

    def new_task(self, name: str = "other", interface: dict[str, Any] | None = None, **fields: Any) -> Task:
        task_type = self.admin.create(TaskType(name=f"Lab.{name}", version="1.0.0.0", interface=interface or {}))
        return self.admin.create(
            Task(workflow_serial=self.workflow.serial, task_type_serial=task_type.serial, name=name, **fields)
        )

    def new_run(self, **fields: Any) -> Run:
        return self.admin.create(Run(workflow_serial=self.workflow.serial, **fields))

    def done(self, task: Task, outputs: dict[str, Any], **fields: Any) -> Job:
        return self.new_job(task, state=JobState.DONE, outputs=outputs, **fields)

    def lease(self, job: Job | None = None) -> Lease:
        worker = self.place.queue.register(Worker(name="bench"))
        lease = self.place.queue.claim(worker.serial, job_serial=(job or self.new_job()).serial)
        assert lease is not None
        return lease

    def worker(self, job: Job | None = None) -> XFWorkerJob:
        return XFWorkerJob(session=self._session(job))

    def arguments(self, job: Job) -> JobArguments:
        """Give what the environment of a job's script holds, for a script in a process of its own."""
        return self._session(job).arguments

    def _session(self, job: Job | None) -> Session:
        lease = self.lease(job)
        self.leases[lease.job.serial] = lease
        return self.place.session_of(lease, self.folder)

    def run_again(self, job_serial: int) -> XFWorkerJob:
        """End a job whose script reported an error, restart it, and give the next script's job."""
        self.place.queue.end(self.leases[job_serial], Outcome(ending=Ending.ERROR_REPORTED))
        return self.worker(self.edit(job_serial, state="Ready"))

    def job(self, serial: int) -> Job:
        return self.admin.get(Job, serial)

    def edit(self, job_serial: int, **values: Any) -> Job:
        change = Change(values={f"/{key.replace('__', '/')}": value for key, value in values.items()})
        return self.admin.update(Job, job_serial, change)

    def put(self, place: str, content: bytes) -> None:
        resource = parse_resource(place)
        source = self.folder / f"put-{len(list(self.folder.iterdir()))}"
        source.write_bytes(content)
        self.place.files.upload(self.admin.file_token([Scope("write", resource)]), source, resource)

    def content(self, place: str) -> bytes:
        resource = parse_resource(place)
        token = self.admin.file_token([Scope("read", resource)])
        return b"".join(self.place.files.open_read(token, resource))


def filesystem_in(folder: Path) -> LocalFilesystem:
    temp = folder / "xftemp"
    temp.mkdir(exist_ok=True)
    return LocalFilesystem(temp)


def memory_place(files: FileStore | None = None, options: PlatformOptions | None = None) -> Place:
    world = DirectWorld.over(MemoryRecordStore(), options)
    files = files or MemoryFileStore()

    def session_of(lease: Lease, folder: Path) -> Session:
        return Session(
            server=world.as_bearer(lease.server_auth),
            files=files,
            filesystem=filesystem_in(folder),
            images=image_formats(),
            clock=world.clock,
            arguments=JobArguments(
                job_serial=lease.job.serial, server_host="memory", server_port="1", server_auth=lease.server_auth
            ),
        )

    return Place(admin=world.admin, queue=world.queue, files=files, session_of=session_of)


@contextmanager
def http_place(data: Path, **options: Any) -> Iterator[Place]:
    with EmbeddedServer(data, **options) as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        files = HttpFileStore()
        sessions: list[Session] = []

        def session_of(lease: Lease, folder: Path) -> Session:
            arguments = JobArguments(
                job_serial=lease.job.serial,
                server_host=embedded.host,
                server_port=str(embedded.port),
                server_auth=lease.server_auth,
            )
            sessions.append(session(arguments=arguments, filesystem=filesystem_in(folder)))
            return sessions[-1]

        yield Place(admin=HttpXFServer(transport), queue=HttpJobQueue(transport), files=files, session_of=session_of)
        for made in sessions:
            made.close()
        files.close()
        transport.close()
