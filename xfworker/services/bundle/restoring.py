"""
Makes a bundled job anew on a server: what it takes in, what it belongs to, and the job, ready to run.

Serials are the server's to give, so the new ones differ. Everything that refers to others by shape is rewritten: file
references (``source`` and its serial) and sequences. A serial that a script holds in its own code is not.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.domain.files import SERIAL_KEYS, USERDATA, Resource, Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Workflow
from xfworker.ports.file_store import FileProgress, FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.bundle.manifest import CONFIG, INPUT, BundledSequence, Manifest
from xfworker.services.bundle.reading import OpenBundle
from xfworker.services.transfers.observed import reporting

_SOURCE_TYPE = "xfworker.Files"
_FROM_BUNDLE = "from_bundle"


@define
class _Restoring:
    server: XFServer
    files: FileStore
    manifest: Manifest
    serials: dict[tuple[str, int], int] = field(factory=dict)
    """New serials by the key that holds them (``job_serial``) and the old serial."""

    def records(self) -> tuple[Workflow, Task]:
        manifest = self.manifest
        project = self.server.create(Project(name=manifest.project.name, metadata=manifest.project.metadata))
        workflow = self.server.create(
            Workflow(project_serial=project.serial, name=manifest.workflow.name, metadata=manifest.workflow.metadata)
        )
        old = manifest.task_type
        task_type = self.server.create(
            TaskType(name=old.name, version=old.version, kind=old.kind, interface=old.interface, metadata=old.metadata)
        )
        task = self.server.create(
            Task(
                workflow_serial=workflow.serial,
                task_type_serial=task_type.serial,
                name=manifest.task.name,
                # Inputs are given by the job; where they came from is not in the bundle.
                inputs=[{"key": key, "mode": "ui"} for key in manifest.job.inputs],
                metadata=manifest.task.metadata,
            )
        )
        self.serials |= {
            ("workflow_serial", manifest.workflow.serial): workflow.serial,
            ("task_type_serial", old.serial): task_type.serial,
            ("task_serial", manifest.task.serial): task.serial,
        }
        return workflow, task

    def source_jobs(self, workflow: Workflow) -> None:
        """Make a job for each job whose files are taken in."""
        serials = {
            int(file.resource.segments[1])
            for file in self.manifest.files_of(INPUT)
            if SERIAL_KEYS.get(file.resource.source) == "job_serial"
        }
        task = self._task(workflow, _SOURCE_TYPE, TaskTypeKind.SOURCE)
        for serial in sorted(serials):
            self.serials["job_serial", serial] = self._done_job(workflow, task, None, {}).serial

    def sequences(self, workflow: Workflow) -> None:
        runs: dict[int, int] = {}
        by_task: dict[int, list[BundledSequence]] = {}
        for sequence in self.manifest.sequences:
            by_task.setdefault(sequence.task_serial, []).append(sequence)
        for old_task, sequences in by_task.items():
            task = self._task(workflow, f"xfworker.Sequence{old_task}", TaskTypeKind.PROCESSING)
            self.serials["task_serial", old_task] = task.serial
            outputs: dict[int, dict[str, Any]] = {}
            run_of: dict[int, int | None] = {}
            for sequence in sequences:
                for item in sequence.values:
                    outputs.setdefault(item.job_serial, {})[sequence.key] = item.value
                    run_of[item.job_serial] = item.run_serial
            for old_job, values in outputs.items():
                old_run = run_of[old_job]
                if old_run is not None and old_run not in runs:
                    runs[old_run] = self.server.create(Run(workflow_serial=workflow.serial)).serial
                run = None if old_run is None else runs[old_run]
                job = self._done_job(workflow, task, run, self.rewritten(values))
                # Where the job's files are taken in, they belong to the job made for them.
                self.serials.setdefault(("job_serial", old_job), job.serial)

    def upload(self, bundle: OpenBundle, progress: FileProgress | None) -> None:
        restored = [file for file in self.manifest.files if file.role in {INPUT, CONFIG}]
        total, done = sum(file.size for file in restored), 0
        with tempfile.TemporaryDirectory(prefix="xfworker-bundle-") as folder:
            for file in restored:
                resource = self.new_place(file.resource)
                local = Path(folder) / "content"
                bundle.extract(file, local)
                token = self.server.file_token([Scope("write", resource)])
                self.files.upload(token, local, resource, progress=reporting("upload", resource))
                local.unlink()
                done += file.size
                if progress is not None:
                    progress(file.resource, done, total)

    def job(self, workflow: Workflow, task: Task, replaced: Mapping[str, Any]) -> Job:
        old, run = self.manifest.job, self.manifest.run
        new_run = self.server.create(
            Run(
                workflow_serial=workflow.serial,
                name="" if run is None else run.name,
                entity=None if run is None else run.entity,
            )
        )
        return self.server.create(
            Job(
                task_serial=task.serial,
                workflow_serial=workflow.serial,
                project_serial=workflow.project_serial,
                run_serial=new_run.serial,
                state=JobState.READY,
                inputs={**self.rewritten(old.inputs), **replaced},
                name=old.name,
                metadata={_FROM_BUNDLE: {"job_serial": old.serial, "created_at": self.manifest.created_at}},
            )
        )

    def new_place(self, resource: Resource) -> Resource:
        if resource.source == USERDATA:
            return resource
        key, old = SERIAL_KEYS[resource.source], int(resource.segments[1])
        serial = self.serials.get((key, old), old)
        return Resource((*record_resource(resource.source, serial).segments, *resource.segments[2:]))

    def rewritten(self, value: Any) -> Any:
        """Give a value with the serials that its file references and sequences have here."""
        if isinstance(value, Mapping):
            key = SERIAL_KEYS.get(str(value.get("source")))
            if value.get("type") == "Sequence":
                key = "task_serial"
            return {
                name: self.serials.get((name, item), item)
                if name == key and isinstance(item, int)
                else self.rewritten(item)
                for name, item in value.items()
            }
        return [self.rewritten(item) for item in value] if isinstance(value, list | tuple) else value

    def _task(self, workflow: Workflow, name: str, kind: TaskTypeKind) -> Task:
        task_type = self.server.create(TaskType(name=name, version="1.0.0.0", kind=kind))
        return self.server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name=name))

    def _done_job(self, workflow: Workflow, task: Task, run_serial: int | None, outputs: dict[str, Any]) -> Job:
        return self.server.create(
            Job(
                task_serial=task.serial,
                workflow_serial=workflow.serial,
                project_serial=workflow.project_serial,
                run_serial=run_serial,
                state=JobState.DONE,
                outputs=outputs,
            )
        )


def restore_job(
    server: XFServer,
    files: FileStore,
    bundle: OpenBundle,
    *,
    progress: FileProgress | None = None,
    replaced: Callable[[Workflow], Mapping[str, Any]] = lambda _: {},
) -> Job:
    """
    Make the job of a bundle anew, with everything it takes in.

    Args:
        server: A server, with rights to make projects and task types.
        files: Where the files go.
        bundle: The bundle.
        progress: Called as each file goes on.
        replaced: Gives the inputs that are other than in the bundle; called with the job's workflow, in which it may
            store what they need.

    Returns:
        The job, ready to be claimed.

    Raises:
        ChecksumMismatch: The bundle is damaged.
        FileError: A file could not be stored.
    """
    restoring = _Restoring(server, files, bundle.manifest)
    workflow, task = restoring.records()
    restoring.source_jobs(workflow)
    restoring.upload(bundle, progress)
    restoring.sequences(workflow)
    return restoring.job(workflow, task, replaced(workflow))
