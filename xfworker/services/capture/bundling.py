"""Turns a capture into a job bundle, where the records that were captured fit those of this package."""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve

from xfworker.domain.conversion import from_json
from xfworker.domain.errors import FileError, InvalidFilename, InvalidParameter, InvalidRecord, UsageError
from xfworker.domain.files import Resource, record_resource, reference_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.parameters import file_references
from xfworker.domain.records import Job, Project, Record, Run, Task, TaskType, Workflow
from xfworker.services.bundle.manifest import (
    CONFIG,
    INPUT,
    MANIFEST,
    OUTPUT,
    BundledFile,
    BundledSequence,
    BundledValue,
    Manifest,
    write_manifest,
)
from xfworker.services.capture.calls import RecordedCall, named_paths
from xfworker.services.capture.comparison import plain
from xfworker.services.capture.inputs import captured_job
from xfworker.services.capture.manifest import FINISHED, CaptureManifest
from xfworker.services.capture.stored import StoredFile, stored_files

RecordT = TypeVar("RecordT", bound=Record)

_GIVES_FILES = ("download_", "get_omni_image", "get_ipl_image_path")
_SEQUENCES = {"get_xf_parameter_sequence", "get_xf_parameter_float_sequence"}


@define(frozen=True)
class PlannedBundle:
    """
    What is to be written.

    Attributes:
        manifest: The bundle's manifest; sizes and digests of its files are not known yet.
        keys: The SHA-256 that each file's content had on the worker, by the name of its entry.
        left_out: What the bundle lacks, in sentences.
    """

    manifest: Manifest
    keys: Mapping[str, str]
    left_out: Sequence[str]


def plan_bundle(captured: CaptureManifest, calls: Sequence[RecordedCall]) -> PlannedBundle:
    """
    Find out what of a capture goes into a job bundle.

    The job's record must have been captured and fit; records around it that were not are made up with their serials.

    Raises:
        UsageError: The job's record, or one of those around it, does not fit; the message says which and why.
    """
    job = _record(Job, captured_job(calls), "the captured job")
    task = _around(Task, calls, "task", job.task_serial, workflow_serial=job.workflow_serial, task_type_serial=1)
    kind_serial = task.task_type_serial
    workflow = _around(Workflow, calls, "workflow", job.workflow_serial, project_serial=job.project_serial)
    finished = captured.ending == FINISHED
    outcome = captured.outcome.get("args")
    outputs = plain(outcome.get("outputs")) if finished and isinstance(outcome, Mapping) else {}
    if not isinstance(outputs, dict):
        outputs = {}
    units = plain(outcome.get("units")) if isinstance(outcome, Mapping) else None
    metadata = {**job.metadata, **({"output_units": units} if units else {})}
    job = evolve(job, outputs=outputs, state=JobState.DONE if finished else JobState.FAILED, metadata=metadata)
    files: list[BundledFile] = []
    keys: dict[str, str] = {}
    left_out: list[str] = []
    for resource, file, role in (*_inputs(calls), *_outputs(calls, job)):
        if any(item.resource == resource for item in files):
            continue
        # Only what the manifest lists: a call may name anything as the content of a file, even a path of this computer.
        content = captured.files.get(str(file.key))
        if content is None or content.entry is None:
            why = file.omitted or (content and content.omitted) or "its content was not captured"
            left_out.append(f"{resource} is not in the bundle: {why}")
            continue
        entry = f"files/{len(files) + 1:04}"
        files.append(BundledFile(resource=resource, entry=entry, size=0, sha256="", role=role))
        keys[entry] = str(file.key)
    manifest = Manifest(
        job=job,
        task=task,
        task_type=_around(TaskType, calls, "task_type", kind_serial, name="Captured.Script", version="1.0.0.0"),
        workflow=workflow,
        project=_around(Project, calls, "project", job.project_serial),
        run=None
        if job.run_serial is None
        else _around(Run, calls, "run", job.run_serial, workflow_serial=workflow.serial),
        sequences=tuple(_sequences(calls)),
        files=tuple(files),
        environment={"bundled_on": {}, "captured_on": dict(captured.environment)},
        created_at=captured.created_at,
    )
    return PlannedBundle(manifest, keys, left_out)


def write_bundle(planned: PlannedBundle, contents: Path, target: Path, package: Path | None) -> Manifest:
    """
    Write the bundle.

    Args:
        planned: What goes in.
        contents: The folder with the content of captured files, each named by its SHA-256 on the worker.
        target: The file to write; the caller sees to it that it appears only when complete.
        package: The archive of the script's package, where there is one.
    """
    manifest = planned.manifest
    paths = {entry: contents / key for entry, key in planned.keys.items()}
    files = list(manifest.files)
    archive_resource = None
    if package is not None:
        archive_resource = record_resource("task_config", manifest.task.serial, package.name)
        entry = f"files/{len(files) + 1:04}"
        files.append(BundledFile(resource=archive_resource, entry=entry, size=0, sha256="", role=CONFIG))
        paths[entry] = package
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(paths[file.entry], file.entry)
        complete = evolve(
            manifest,
            files=tuple(
                evolve(file, size=paths[file.entry].stat().st_size, sha256=_sha256(paths[file.entry])) for file in files
            ),
            archive=archive_resource,
        )
        archive.writestr(MANIFEST, write_manifest(complete))
    return complete


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(kind: type[RecordT], value: Any, what: str) -> RecordT:
    try:
        return from_json(kind, json.loads(json.dumps(plain(value))))
    except (InvalidRecord, ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{what} does not fit the records of this package, so it cannot be a bundle (`xfworker run --capture` runs "
            f"it as it is): {error}"
        ) from None


def _around(kind: type[RecordT], calls: Sequence[RecordedCall], noun: str, serial: int, **made_up: Any) -> RecordT:
    """Give a record that was captured, or one with its serial."""
    names = {f"xfworkerutil.get_xf_{noun}", f"xfworkerutil.get_xf_workflow_{noun}", f"XFWorkerJob.get_current_{noun}"}
    for call in calls:
        if call.name in names and isinstance(plain(call.result), dict) and plain(call.result).get("serial") == serial:
            return _record(kind, call.result, f"the captured {noun}")
    named = {} if kind is Run else {"name": f"captured {noun}"}
    return _record(kind, {"serial": serial, **named, **made_up}, f"a {noun}")


def _inputs(calls: Sequence[RecordedCall]) -> Iterator[tuple[Resource, StoredFile, str]]:
    for call in calls:
        parameter = plain(call.args.get("input_parameter"))
        if not call.function.startswith(_GIVES_FILES) or not isinstance(parameter, dict) or call.raised is not None:
            continue
        try:
            named = {r.filename: r for r in map(reference_resource, file_references(parameter))}
        except (FileError, InvalidFilename, InvalidParameter):
            continue
        for path in named_paths(call.result):
            file, name = path.get("file"), str(path.get("name"))
            main = next(iter(named.values()), None)
            if not isinstance(file, dict) or main is None:
                continue
            resource = named.get(name) or _beside(main, name)
            if resource is not None:
                yield resource, StoredFile(key=file.get("sha256"), omitted=str(file.get("omitted", ""))), INPUT


def _beside(main: Resource, name: str) -> Resource | None:
    """Give a file that belongs to another by its name: ``scan.raw`` beside ``scan.omni``."""
    if name.partition(".")[0] != main.filename.partition(".")[0]:
        return None
    try:
        return Resource(main.segments[:-1]).child(name)
    except InvalidFilename:
        return None


def _outputs(calls: Sequence[RecordedCall], job: Job) -> Iterator[tuple[Resource, StoredFile, str]]:
    for name, file in stored_files(calls).items():
        if "/" not in name:
            yield record_resource("job_result", job.serial, name), file, OUTPUT


def _sequences(calls: Sequence[RecordedCall]) -> Iterator[BundledSequence]:
    for call in calls:
        parameter, values = plain(call.args.get("sequence")), plain(call.result)
        if call.function not in _SEQUENCES or not isinstance(parameter, dict) or not isinstance(values, list):
            continue
        serial, key = parameter.get("task_serial"), parameter.get("key")
        if isinstance(serial, int) and isinstance(key, str):
            numbered = [BundledValue(job_serial=n, run_serial=n, value=value) for n, value in enumerate(values, 1)]
            yield BundledSequence(task_serial=serial, key=key, values=tuple(numbered))
