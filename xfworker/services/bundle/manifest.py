"""What a bundle says of itself: ``bundle.json`` at the root of the archive."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define, field

from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import InvalidFilename, InvalidRecord, UsageError
from xfworker.domain.files import Resource, parse_resource
from xfworker.domain.records import Job, Project, Record, Run, Task, TaskType, Workflow
from xfworker.services.sealed_archive import manifest_document

FORMAT = "XFJOB1.0"
"""What a bundle's ``format`` says."""
MANIFEST = "bundle.json"
"""The manifest's name in the archive."""
SUFFIX = ".xfjob"
"""The suffix of bundles."""

INPUT, OUTPUT, CONFIG, LOG = "input", "output", "config", "log"
ROLES = (INPUT, OUTPUT, CONFIG, LOG)
"""What a file is to the job."""

RecordT = TypeVar("RecordT", bound=Record)


@define(frozen=True, kw_only=True)
class BundledFile:
    """
    A file in a bundle.

    Attributes:
        resource: Where it lay on the server that it came from.
        entry: Its name in the archive.
        size: Bytes.
        sha256: Digest of the content.
        role: What it is to the job, among :data:`ROLES`.
    """

    resource: Resource
    entry: str
    size: int
    sha256: str
    role: str


@define(frozen=True, kw_only=True)
class BundledValue:
    """
    One value of a sequence.

    Attributes:
        job_serial: The job that made it.
        run_serial: The run it belongs to.
        value: The value.
    """

    job_serial: int
    run_serial: int | None
    value: Any


@define(frozen=True, kw_only=True)
class BundledSequence:
    """
    A sequence that the job takes in: its values in sort order.

    Attributes:
        task_serial: The task whose jobs made the values.
        key: The output's key.
        values: The values.
    """

    task_serial: int
    key: str
    values: tuple[BundledValue, ...]


@define(frozen=True, kw_only=True)
class Manifest:
    """
    Everything in a bundle but the files' content.

    Attributes:
        job: The job as it was.
        task: Its task.
        task_type: Its task type.
        workflow: Its workflow.
        project: Its project.
        run: Its run, where it has one.
        sequences: The sequences among its inputs.
        files: Files, in the order in which they are in the archive.
        archive: The resource of the package with the script, where there is one.
        environment: What is known of where it ran: ``{worker, dependency_packages, bundled_on}``.
        created_at: When the bundle was made (RFC 3339, UTC).
    """

    job: Job
    task: Task
    task_type: TaskType
    workflow: Workflow
    project: Project
    run: Run | None = None
    sequences: tuple[BundledSequence, ...] = ()
    files: tuple[BundledFile, ...] = ()
    archive: Resource | None = None
    environment: Mapping[str, Any] = field(factory=dict)
    created_at: str

    def files_of(self, role: str) -> tuple[BundledFile, ...]:
        """Give the files of a role."""
        return tuple(file for file in self.files if file.role == role)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def write_manifest(manifest: Manifest) -> bytes:
    """Give the manifest as JSON."""
    document = {
        "format": FORMAT,
        "created_at": manifest.created_at,
        **{name: to_json(getattr(manifest, name)) for name in _RECORDS},
        "run": None if manifest.run is None else to_json(manifest.run),
        "sequences": [
            {
                "task_serial": sequence.task_serial,
                "key": sequence.key,
                "values": [
                    {"job_serial": item.job_serial, "run_serial": item.run_serial, "value": item.value}
                    for item in sequence.values
                ],
            }
            for sequence in manifest.sequences
        ],
        "files": [
            {
                "resource": str(file.resource),
                "entry": file.entry,
                "size": file.size,
                "sha256": file.sha256,
                "role": file.role,
            }
            for file in manifest.files
        ],
        "archive": None if manifest.archive is None else str(manifest.archive),
        "environment": dict(manifest.environment),
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode()


def read_manifest(content: bytes, name: str) -> Manifest:
    """
    Read a manifest.

    Args:
        content: The JSON.
        name: What messages call the bundle.

    Raises:
        UsageError: It is not a manifest, or one of another version; the message says what is wrong where.
    """
    document = manifest_document(content, name, noun="bundle", manifest=MANIFEST, format_name=FORMAT)
    try:
        return _manifest(document)
    except (InvalidRecord, InvalidFilename) as error:
        raise UsageError(f"{name} is damaged: {MANIFEST}: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise UsageError(f"{name} is damaged: {MANIFEST} lacks something or holds something else: {error!r}") from None


def _manifest(document: Mapping[str, Any]) -> Manifest:
    run, archive = document.get("run"), document.get("archive")
    return Manifest(
        job=from_json(Job, document["job"]),
        task=from_json(Task, document["task"]),
        task_type=from_json(TaskType, document["task_type"]),
        workflow=from_json(Workflow, document["workflow"]),
        project=from_json(Project, document["project"]),
        run=None if run is None else from_json(Run, run),
        sequences=tuple(
            BundledSequence(
                task_serial=int(item["task_serial"]),
                key=str(item["key"]),
                values=tuple(
                    BundledValue(
                        job_serial=int(value["job_serial"]),
                        run_serial=None if value["run_serial"] is None else int(value["run_serial"]),
                        value=value["value"],
                    )
                    for value in item["values"]
                ),
            )
            for item in document["sequences"]
        ),
        files=tuple(
            BundledFile(
                resource=parse_resource(item["resource"]),
                entry=str(item["entry"]),
                size=int(item["size"]),
                sha256=str(item["sha256"]),
                role=str(item["role"]),
            )
            for item in document["files"]
        ),
        archive=None if archive is None else parse_resource(archive),
        environment=dict(document["environment"]),
        created_at=str(document["created_at"]),
    )


_RECORDS = ("job", "task", "task_type", "workflow", "project")
