"""Writes a job into one file, with its inputs, configs, package, outputs and what is known of where it ran."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.errors import ChecksumMismatch, FileNotInStore, PackageError, RecordNotFound
from xfworker.domain.files import FileStat, Resource, Scope, record_resource, reference_resource
from xfworker.domain.package import ARCHIVE_SUFFIX
from xfworker.domain.parameters import file_references
from xfworker.domain.queries import parse_sequence
from xfworker.domain.records import DependencyPackage, Job, Project, Run, Task, TaskType, Worker, Workflow
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileProgress, FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.bundle.manifest import (
    CONFIG,
    INPUT,
    LOG,
    MANIFEST,
    OUTPUT,
    BundledFile,
    BundledSequence,
    BundledValue,
    Manifest,
    write_manifest,
)
from xfworker.services.packages.checkin import archive_resource

_TRIED_BYTES = 1024 * 1024
_WORTH_IT = 0.9


@define(frozen=True)
class _Planned:
    stat: FileStat
    role: str


def plan_bundle(
    server: XFServer,
    files: FileStore,
    job_serial: int,
    *,
    clock: Clock,
    bundled_on: Mapping[str, Any],
    with_outputs: bool = True,
) -> Manifest:
    """
    Find out what belongs into a job's bundle; nothing is copied yet.

    Args:
        server: The server, with rights to see the job's project.
        files: The file store.
        job_serial: The job.
        clock: The time.
        bundled_on: What is known of the machine that makes the bundle.
        with_outputs: Whether the files of its outputs go in, so that a later run can be compared with them.

    Raises:
        RecordNotFound: There is no such job.
        FileNotInStore: A file that the job takes in is gone.
    """
    job = server.get(Job, job_serial)
    task = server.get(Task, job.task_serial)
    task_type = server.get(TaskType, task.task_type_serial)
    workflow = server.get(Workflow, job.workflow_serial)
    sequences = tuple(_sequences(server, job))
    archive = _kept_script(server, files, task) or _archive(task_type)
    planned = list(_configs(server, files, task, task_type, archive))
    taken_in = [job.inputs, *(value.value for sequence in sequences for value in sequence.values)]
    planned += _referenced(server, files, taken_in)
    if with_outputs:
        planned += _stored(server, files, record_resource("job_result", job.serial), OUTPUT)
        planned += _stored(server, files, record_resource("job_log", job.serial), LOG)
    unique = {item.stat.resource: item for item in reversed(planned)}
    ordered = [item for item in planned if unique.get(item.stat.resource) is item]
    return Manifest(
        job=job,
        task=task,
        task_type=task_type,
        workflow=workflow,
        project=server.get(Project, job.project_serial),
        run=None if job.run_serial is None else server.get(Run, job.run_serial),
        sequences=sequences,
        files=tuple(
            BundledFile(
                resource=item.stat.resource,
                entry=f"files/{number:04}",
                size=item.stat.size,
                sha256=item.stat.sha256 or "",
                role=item.role,
            )
            for number, item in enumerate(ordered, 1)
        ),
        archive=archive,
        environment={
            "worker": _worker(server, job),
            "dependency_packages": _dependencies(server, task_type),
            "bundled_on": dict(bundled_on),
        },
        created_at=format_time(clock.now()),
    )


def write_bundle(
    server: XFServer, files: FileStore, manifest: Manifest, target: Path, *, progress: FileProgress | None = None
) -> Manifest:
    """
    Write the bundle that was planned.

    Files are copied in pieces, so that images larger than memory fit; what shrinks is compressed.

    Args:
        server: Gives the rights to read files.
        files: The file store.
        manifest: The plan.
        target: The file to write; the caller sees to it that it appears only when complete.
        progress: Called as each file goes on.

    Returns:
        The manifest as it stands in the bundle, with every file's digest.

    Raises:
        ChecksumMismatch: A file is not what the store says it holds.
        FileNotInStore: A file is gone.
    """
    written: list[BundledFile] = []
    done = 0
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for file in manifest.files:
            token = server.file_token([Scope("read", file.resource)])
            pieces = _Pieces(files.open_read(token, file.resource))
            info = zipfile.ZipInfo(file.entry)
            head = pieces.head(_TRIED_BYTES)
            info.compress_type = zipfile.ZIP_DEFLATED if _shrinks(head) else zipfile.ZIP_STORED
            info.file_size = file.size
            with archive.open(info, "w", force_zip64=True) as copy:
                for piece in pieces:
                    copy.write(piece)
                    if progress is not None:
                        progress(file.resource, done + pieces.size, manifest.size)
            done += pieces.size
            written.append(_checked(file, pieces))
        complete = evolve(manifest, files=tuple(written))
        archive.writestr(zipfile.ZipInfo(MANIFEST), write_manifest(complete), zipfile.ZIP_DEFLATED)
    return complete


@define
class _Pieces:
    """A file's bytes in pieces, counted and hashed on the way; the first ones can be looked at."""

    _source: Iterator[bytes]
    _held: list[bytes] = field(factory=list)
    _digest: Any = field(factory=hashlib.sha256)
    size: int = 0

    def head(self, size: int) -> bytes:
        while sum(map(len, self._held)) < size and (piece := next(self._source, None)) is not None:
            self._held.append(piece)
        return b"".join(self._held)[:size]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self._held.pop(0) if self._held else next(self._source, None)
            if piece is None:
                return
            self._digest.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())


def _shrinks(head: bytes) -> bool:
    import zlib

    return len(zlib.compress(head, 1)) < _WORTH_IT * len(head)


def _checked(file: BundledFile, pieces: _Pieces) -> BundledFile:
    if pieces.size != file.size or (file.sha256 and pieces.sha256 != file.sha256):
        raise ChecksumMismatch(
            f"{file.resource}: {pieces.size} bytes came with another content than the store says it holds "
            f"({file.size} bytes); it changed meanwhile or is damaged, so the bundle was not made"
        )
    return evolve(file, sha256=pieces.sha256)


def _sequences(server: XFServer, job: Job) -> Iterator[BundledSequence]:
    seen = set()
    for parameter in _composites(job.inputs):
        if parameter.get("type") != "Sequence":
            continue
        sequence = parse_sequence(parameter)
        if sequence in seen:
            continue
        seen.add(sequence)
        yield BundledSequence(
            task_serial=sequence.task_serial,
            key=sequence.key,
            values=tuple(
                BundledValue(job_serial=item.job_serial, run_serial=item.run_serial, value=item.value)
                for item in server.output_values(sequence)
            ),
        )


def _composites(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    items: Iterable[Any] = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in items:
        yield from _composites(item)


def _kept_script(server: XFServer, files: FileStore, task: Task) -> Resource | None:
    """Give the archive of what was run from a user's computer, which is kept beside the task."""
    for item in _stored(server, files, record_resource("task_config", task.serial), CONFIG):
        if item.stat.resource.filename.endswith(ARCHIVE_SUFFIX):
            return item.stat.resource
    return None


def _archive(task_type: TaskType) -> Resource | None:
    try:
        return archive_resource(task_type)
    except PackageError:
        return None


def _configs(
    server: XFServer, files: FileStore, task: Task, task_type: TaskType, archive: Resource | None
) -> Iterator[_Planned]:
    if archive is not None:
        token = server.file_token([Scope("read", archive)])
        yield _Planned(files.stat(token, archive), CONFIG)
    for source, serial in (
        ("task_type_config", task_type.serial),
        ("task_config", task.serial),
        ("workflow_config", task.workflow_serial),
    ):
        yield from _stored(server, files, record_resource(source, serial), CONFIG)


def _stored(server: XFServer, files: FileStore, folder: Resource, role: str) -> Iterator[_Planned]:
    token = server.file_token([Scope("list", folder)])
    for stat in files.list(token, folder).files:
        yield _Planned(stat, role)


def _referenced(server: XFServer, files: FileStore, values: Iterable[Any]) -> Iterator[_Planned]:
    for value in values:
        for reference in file_references(value):
            resource = reference_resource(reference)
            try:
                stat = files.stat(server.file_token([Scope("read", resource)]), resource)
            except FileNotInStore:
                raise FileNotInStore(
                    f"the job takes in {resource}, which is not in the file store any more, so it cannot be bundled"
                ) from None
            yield _Planned(stat, INPUT)
            yield from _named_alike(server, files, resource)


def _named_alike(server: XFServer, files: FileStore, resource: Resource) -> Iterator[_Planned]:
    """Give files beside an input that belong to it by name only: ``scan.raw`` beside ``scan.omni``."""
    folder = Resource(resource.segments[:-1])
    stem = resource.filename.partition(".")[0]
    for item in _stored(server, files, folder, INPUT):
        if item.stat.resource.filename.partition(".")[0] == stem:
            yield item


def _worker(server: XFServer, job: Job) -> dict[str, Any] | None:
    if job.worker_serial is None:
        return None
    try:
        return to_json(server.get(Worker, job.worker_serial))
    except RecordNotFound:
        return None


def _dependencies(server: XFServer, task_type: TaskType) -> list[dict[str, Any]]:
    dependencies: list[dict[str, Any]] = []
    pending = list(task_type.metadata.get("dependencies") or [])
    seen: set[tuple[Any, Any]] = set()
    while pending:
        item = pending.pop(0)
        name, version = item.get("name"), item.get("version")
        if (name, version) in seen:
            continue
        seen.add((name, version))
        for record in server.find(DependencyPackage, {"name": name, "version": version})[-1:]:
            dependencies.append({"name": record.name, "version": record.version, "install": record.install})
            pending += record.dependencies
    return dependencies
