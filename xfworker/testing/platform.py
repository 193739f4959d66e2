"""A platform for tests: server, file store and faults on demand, and a way to run tasks on it."""

import itertools
import platform as machine
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.api.composition.target import Target, load_target
from xfworker.domain.errors import JobError, XFWorkerError
from xfworker.domain.files import Resource, Scope, record_resource, userdata_resource
from xfworker.domain.job_logs import LOG_FILENAME
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Run, Task, Worker
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.job_queue import JobQueue, Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.jobs.staging import StagePlan, ensure_task_type, new_workflow, stage_job
from xfworker.services.script.session import Session
from xfworker.services.worker.job_executor import EndedJob, ScriptSource
from xfworker.testing.conflicts import get_ahead
from xfworker.testing.faults import Faults
from xfworker.testing.job_inputs import stage_inputs
from xfworker.testing.job_outputs import Fetch
from xfworker.testing.requests import RequestLog
from xfworker.testing.started_job import StartedJob
from xfworker.testing.task_result import TaskFailed, TaskResult

SCRIPTED = Target(name="test", script=Path(__file__), task_type="xfworker.Test")
"""Stands for the script of a job that a test works on by itself."""

_PROJECT = "tests"


class PlatformUnderTest(ABC):
    """
    A platform for tests.

    Attributes:
        server: The XF Server with all rights, and without faults: for setting up and looking at records.
        files: The file store, without faults.
        queue: The job queue.
        clock: The platform's time.
        filesystem: The local disks.
        folder: Where everything of this platform lies on disk.
        faults: What goes wrong for scripts.
        requests: What scripts asked.
    """

    server: XFServer
    files: FileStore
    queue: JobQueue
    clock: Clock

    def __init__(self, folder: Path) -> None:
        """Prepare; ``folder`` exists and is the caller's to remove."""
        self.folder = folder
        self.filesystem = LocalFilesystem(folder)
        self.faults = Faults()
        self.requests = RequestLog()
        self._numbers = itertools.count(1)
        self._worker_serial: int | None = None

    # --- faults -------------------------------------------------------------------------------------------------

    def fail_next(
        self,
        operation: str,
        *,
        times: int = 1,
        after: int = 0,
        error: XFWorkerError | type[XFWorkerError] | None = None,
    ) -> None:
        """Make the next operations of a kind fail for scripts; see :meth:`xfworker.testing.Faults.fail_next`."""
        self.faults.fail_next(operation, times=times, after=after, error=error)

    def conflict_next(self, *, times: int = 1) -> None:
        """Have another client change the record just before each of a script's next guarded updates."""
        self.faults.conflict_next(times=times)

    def slow_down(self, operation: str, *, seconds: float | None = None, bytes_per_second: float | None = None) -> None:
        """Make operations slow for scripts; see :meth:`xfworker.testing.Faults.slow_down`."""
        self.faults.slow_down(operation, seconds=seconds, bytes_per_second=bytes_per_second)

    def get_ahead(self, kind: type[Any], serial: int) -> None:
        """Change a record as another client would."""
        get_ahead(self.server, kind, serial)

    # --- what jobs work on --------------------------------------------------------------------------------------

    def make_job(
        self, inputs: Mapping[str, Any] | None = None, *, interface: Mapping[str, Any] | None = None, **more: Any
    ) -> StartedJob:
        """
        Make a job that runs, for a test that works on it by itself.

        Args:
            inputs: Inputs by key: values, arrays, paths; see :func:`xfworker.testing.image_input`.
            interface: What the task type declares (``{"inputs": [...], "outputs": [...]}``); nothing by default.
            **more: Further inputs.
        """
        job = self._stage(SCRIPTED, {**(inputs or {}), **more}, interface)
        directory = self._new_directory(job)
        return StartedJob(self.claim(job), directory, server=self.server, queue=self.queue, open_session=self.session)

    def make_sequences(self, **values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """
        Make done jobs with outputs, and the ``Sequence`` parameters that name them.

        The first values of all keys belong to one run, the second to the next, and so on; ``None`` leaves the key out
        of that run.

        Args:
            **values: The values of each output key, in order.

        Returns:
            A ``Sequence`` parameter for each key, to be given as an input.
        """
        workflow = new_workflow(self.server, "sequences", _PROJECT)
        task_type = ensure_task_type(self.server, "xfworker.Sequence", "1.0.0.0", {})
        task = self.server.create(
            Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="sequence")
        )
        for outputs in itertools.zip_longest(*values.values()):
            run = self.server.create(Run(workflow_serial=workflow.serial))
            job = Job(
                task_serial=task.serial,
                workflow_serial=workflow.serial,
                project_serial=workflow.project_serial,
                run_serial=run.serial,
                state=JobState.DONE,
                outputs={key: value for key, value in zip(values, outputs, strict=True) if value is not None},
            )
            self.server.create(job)
        return {key: {"type": "Sequence", "task_serial": task.serial, "key": key} for key in values}

    def put_userdata(self, virtualpath: str, content: bytes | Path) -> dict[str, Any]:
        """Store a file in user data, and give the ``ForeignFile`` parameter that names it."""
        resource = userdata_resource(virtualpath)
        self._put(resource, content)
        return {
            "type": "ForeignFile",
            "source": "userdata",
            "virtualpath": "/".join(resource.segments[1:]),
            "filename": resource.filename,
        }

    def put_config(self, source: str, serial: int, filename: str, content: bytes | Path) -> None:
        """Store a config file; ``source`` is ``task_type_config``, ``task_config`` or ``workflow_config``."""
        self._put(record_resource(source, serial, filename), content)

    def read_file(self, resource: Resource) -> bytes:
        """Give the content of a file of the store."""
        token = self.server.file_token([Scope("read", resource)])
        return b"".join(self.files.open_read(token, resource))

    # --- running ------------------------------------------------------------------------------------------------

    def run_task(
        self,
        target: Path | str,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = True,
        in_process: bool | None = None,
        interface: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> TaskResult:
        """
        Run a script or a task type package.

        Args:
            target: A script, a package folder or an ``.xfp`` archive.
            inputs: Inputs by key, for keys that are not names in Python.
            check: Whether a task that does not end as ``Done`` raises.
            in_process: Whether the script runs inside this process; by default where the platform is in it as well.
            interface: What a script declares; a package has its own.
            **more: Further inputs: values, arrays ``(z, y, x)`` that become images, paths that become files.

        Returns:
            Outputs, files, log, events and requests.

        Raises:
            TaskFailed: The task did not end as ``Done``; its cause is the script's exception.
            UsageError: There is no such target, or the inputs do not fit its interface.
        """
        loaded = load_target(Path(target), self._new_folder("target"))
        job = self._stage(loaded, {**(inputs or {}), **more}, loaded.interface or interface)
        return self._run_target(job, loaded, check=check, in_process=in_process)

    def run_job(
        self, job: Job, target: Path | str, *, check: bool = True, in_process: bool | None = None
    ) -> TaskResult:
        """
        Run a script or a package for a job that is there and ready; see :meth:`run_task`.

        Args:
            job: The job.
            target: A script, a package folder or an ``.xfp`` archive; its task type's name does not matter.
            check: Whether a task that does not end as ``Done`` raises.
            in_process: Whether the script runs inside this process.
        """
        loaded = load_target(Path(target), self._new_folder("target"))
        return self._run_target(job, loaded, check=check, in_process=in_process)

    def _run_target(self, job: Job, target: Target, *, check: bool, in_process: bool | None) -> TaskResult:
        directory = self._new_directory(job)
        position = self.requests.position()
        lease = self.claim(job)
        ended, exception = self._run(lease, target, directory, in_process=in_process)
        result = self._result(ended, directory, position, exception)
        if check and result.state is not JobState.DONE:
            raise TaskFailed(result) from exception
        return result

    def claim(self, job: Job) -> Lease:
        """Hand a job out, as to a worker."""
        if self._worker_serial is None:
            self._worker_serial = self.queue.register(Worker(name=f"tests on {machine.node()}")).serial
        lease = self.queue.claim(self._worker_serial, job_serial=job.serial)
        if lease is None:
            raise JobError(f"job {job.serial} is not ready to run")
        return lease

    @abstractmethod
    def session(self, lease: Lease, directory: Path) -> Session:
        """Give the ports of a script that works on a job which was handed out."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything but the folder."""

    @abstractmethod
    def _run(
        self, lease: Lease, source: ScriptSource, directory: Path, *, in_process: bool | None
    ) -> tuple[EndedJob, Exception | None]: ...

    # --- inside -------------------------------------------------------------------------------------------------

    def _stage(self, target: Target, inputs: Mapping[str, Any], interface: Mapping[str, Any] | None) -> Job:
        staged = stage_inputs(inputs, self._new_folder("inputs"), interface)
        plan = StagePlan(
            name=target.name,
            task_type=target.task_type,
            version=target.version,
            interface=interface or {},
            values=staged.values,
            files=staged.files,
            project=_PROJECT,
        )
        return stage_job(self.server, self.files, plan)

    def _result(self, ended: EndedJob, directory: Path, position: int, exception: Exception | None) -> TaskResult:
        serial = ended.job.serial
        fetch = Fetch(self._new_folder("fetched"), self._download)
        folder = record_resource("job_result", serial)
        stored = self.files.list(self.server.file_token([Scope("list", folder)]), folder).files
        log_path = directory / LOG_FILENAME
        return TaskResult(
            job=ended.job,
            outcome=ended.outcome,
            log=log_path.read_text("utf-8", "replace") if log_path.exists() else "",
            events=tuple(self.server.find(ActivityEvent, {"job_serial": serial})),
            requests=self.requests.since(position),
            exception=exception,
            directory=directory,
            file_names=tuple(stat.resource.filename for stat in stored),
            fetch=fetch,
            stored=lambda name: fetch(folder.child(name)),
        )

    def _download(self, resource: Resource, target: Path) -> None:
        self.files.download(self.server.file_token([Scope("read", resource)]), resource, target)

    def _put(self, resource: Resource, content: bytes | Path) -> None:
        source = content
        if isinstance(source, bytes):
            source = self._new_folder("put") / resource.filename
            source.write_bytes(content if isinstance(content, bytes) else b"")
        self.files.upload(self.server.file_token([Scope("write", resource)]), source, resource)

    def _new_folder(self, name: str) -> Path:
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder

    def _new_directory(self, job: Job) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"job_{job.serial}_", dir=self.folder))
