"""A platform in memory with one running job, and the facade on top of it."""

import sys
import threading
from pathlib import Path

import pytest
from attrs import define, evolve

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.change import Change
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN
from xfworker.services.script.session import Session

INTERFACE = {
    "inputs": [
        {"key": "image", "type": "Image", "supported_modes": ["none", "output", "ui"]},
        {"key": "threshold", "type": "Int", "default": 3},
    ],
    "outputs": [
        {"key": "volume", "type": "Float", "minimum": 0},
        {"key": "label", "type": "String", "enum": ["a", "b"]},
    ],
}


@define
class ScriptPlatform:
    """The platform and everything in it that a test wants to look at."""

    platform: Platform
    clock: ManualClock
    files: MemoryFileStore
    filesystem: LocalFilesystem
    project: Project
    workflow: Workflow
    task_type: TaskType
    task: Task

    @property
    def admin(self):
        return self.platform.server_for(ADMIN)

    def new_job(self, task: Task | None = None, **fields) -> Job:
        return self.admin.create(Job(task_serial=(task or self.task).serial, **{"state": JobState.READY, **fields}))

    def new_task(self, interface=None, name="another", **fields) -> Task:
        task_type = self.admin.create(TaskType(name=f"Lab.{name}", version="1.0.0.0", interface=interface or {}))
        return self.admin.create(
            Task(workflow_serial=self.workflow.serial, task_type_serial=task_type.serial, name=name, **fields)
        )

    def start(self, job: Job | None = None, **replaced) -> Session:
        """Hand a job to a worker and give the session of its script."""
        job = job or self.new_job()
        queue = self.platform.queue_for(ADMIN)
        worker = queue.register(Worker(name="bench"))
        lease = queue.claim(worker.serial, job_serial=job.serial)
        assert lease is not None
        server = self.platform.server_for(self.platform.authenticate(lease.server_auth))
        arguments = JobArguments(
            job_serial=job.serial, server_host="memory", server_port="1", server_auth=lease.server_auth
        )
        session = Session(
            server=server,
            files=self.files,
            filesystem=self.filesystem,
            images=image_formats(),
            clock=self.clock,
            arguments=arguments,
        )
        return evolve(session, **replaced)

    def job(self, serial: int) -> Job:
        return self.admin.get(Job, serial)

    def edit_job(self, serial: int, **values) -> Job:
        """Change a job as somebody else would."""
        return self.admin.update(Job, serial, Change(values={f"/{key}": value for key, value in values.items()}))

    def edit_metadata(self, serial: int, **values) -> Job:
        return self.admin.update(
            Job, serial, Change(values={f"/metadata/{key}": value for key, value in values.items()})
        )

    def new_run(self, **fields) -> Run:
        return self.admin.create(Run(workflow_serial=self.workflow.serial, **fields))


@pytest.fixture
def script_platform(tmp_path: Path) -> ScriptPlatform:
    clock = ManualClock()
    platform = Platform(MemoryRecordStore(), clock, MemoryTokenSigner(clock))
    admin = platform.server_for(ADMIN)
    project = admin.create(Project(name="mice"))
    workflow = admin.create(Workflow(project_serial=project.serial, name="bones", state=WorkflowState.ACTIVE))
    task_type = admin.create(TaskType(name="Lab.Threshold", version="1.0.0.0", interface=INTERFACE))
    task = admin.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="threshold"))
    temp = tmp_path / "xftemp"
    temp.mkdir()
    return ScriptPlatform(
        platform=platform,
        clock=clock,
        files=MemoryFileStore(),
        filesystem=LocalFilesystem(temp),
        project=project,
        workflow=workflow,
        task_type=task_type,
        task=task,
    )


@pytest.fixture(autouse=True)
def hooks():
    """Leave Python's hooks as they were, whatever a script's job did to them."""
    before = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = before


@pytest.fixture
def session(script_platform: ScriptPlatform) -> Session:
    return script_platform.start()


@pytest.fixture
def worker(session: Session) -> XFWorkerJob:
    return XFWorkerJob(session=session)
