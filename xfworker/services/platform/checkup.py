"""Checks records against each other and against the files: what is missing, orphaned or damaged."""

import hashlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import xxhash
from attrs import define

from xfworker.domain.bookkeeping import JobLease
from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileError, FileNotInStore
from xfworker.domain.files import (
    SERIAL_KEYS,
    USERDATA,
    AuthorizationToken,
    FileStat,
    Resource,
    own_token,
    reference_resource,
)
from xfworker.domain.job_metadata import FILES_DELETED
from xfworker.domain.job_state import JobState
from xfworker.domain.parameters import file_references
from xfworker.domain.records import (
    DependencyPackage,
    Job,
    Project,
    Record,
    Run,
    Task,
    TaskType,
    Workflow,
)
from xfworker.ports.file_store import FileStore
from xfworker.ports.record_store import RecordStore
from xfworker.services.platform.disk_space import files_below

RecordT = TypeVar("RecordT", bound=Record)

_PAGE = 500
_OWNERS: dict[str, type[Record]] = {
    "job_result": Job,
    "job_log": Job,
    "task_config": Task,
    "task_type_config": TaskType,
    "workflow_config": Workflow,
    "dependency_package_config": DependencyPackage,
}
_REFERENCES: tuple[tuple[type[Record], str, type[Record]], ...] = (
    (Workflow, "project_serial", Project),
    (Task, "workflow_serial", Workflow),
    (Task, "task_type_serial", TaskType),
    (Run, "workflow_serial", Workflow),
    (Job, "task_serial", Task),
    (Job, "workflow_serial", Workflow),
    (Job, "project_serial", Project),
    (Job, "run_serial", Run),
)


class FindingKind(StrEnum):
    """What can be wrong."""

    MISSING = "missing"
    """A record names a file that is not there."""
    ORPHANED = "orphaned"
    """A file belongs to no record."""
    DAMAGED = "damaged"
    """A file is not what was stored."""
    BROKEN = "broken"
    """A record contradicts another one."""


@define(frozen=True, kw_only=True)
class Finding:
    """
    Something that is not as it should be.

    Attributes:
        kind: What is wrong.
        place: The record or file.
        message: A sentence.
    """

    kind: FindingKind
    place: str
    message: str


def check_up(records: RecordStore, files: FileStore, *, deep: bool = False) -> Iterator[Finding]:
    """
    Give everything that is wrong.

    Args:
        records: The records.
        files: The files.
        deep: Whether to read every file whose digest is known, and compare.
    """
    yield from _broken_references(records)
    yield from _broken_leases(records)
    token = own_token(("read", "list"), *(Resource((source,)) for source in (*SERIAL_KEYS, USERDATA)))
    yield from _missing_files(records, files, token)
    yield from _wrong_files(records, files, token, deep=deep)


def _broken_references(records: RecordStore) -> Iterator[Finding]:
    known: dict[type[Record], set[int]] = {}
    for kind, name, owner in _REFERENCES:
        if owner not in known:
            known[owner] = {record.serial for record in _all(records, owner)}
        for record in _all(records, kind):
            serial = getattr(record, name)
            if serial is not None and serial not in known[owner]:
                message = f"{name} is {serial}, but there is no {owner.noun} {serial}"
                yield Finding(kind=FindingKind.BROKEN, place=str(record), message=message)


def _broken_leases(records: RecordStore) -> Iterator[Finding]:
    with records.transaction(write=False) as transaction:
        leased = {lease.job_serial for lease in transaction.find(JobLease)}
        running = list(transaction.find(Job, {"state": JobState.RUNNING}))
    for job in running:
        if job.serial not in leased:
            message = "is Running, but no worker has a lease on it; abort and restart it"
            yield Finding(kind=FindingKind.BROKEN, place=str(job), message=message)


def _missing_files(records: RecordStore, files: FileStore, token: AuthorizationToken) -> Iterator[Finding]:
    for job in _all(records, Job):
        for reference in file_references([job.inputs, job.outputs]):
            try:
                files.stat(token, reference_resource(reference))
            except FileNotInStore:
                if _was_deleted(records, reference):
                    continue
                message = f"names the file {reference_resource(reference)}, which is not in the file store"
                yield Finding(kind=FindingKind.MISSING, place=str(job), message=message)
            except FileError as error:
                yield Finding(kind=FindingKind.BROKEN, place=str(job), message=str(error))


def _was_deleted(records: RecordStore, reference: Mapping[str, Any]) -> bool:
    """Return whether the file went with those of an obsolete run, on purpose."""
    if _OWNERS.get(reference["source"]) is not Job:
        return False
    with records.transaction(write=False) as transaction:
        owners = transaction.find(Job, {"serial": int(reference[SERIAL_KEYS[reference["source"]]])})
    return any(FILES_DELETED in owner.metadata for owner in owners)


def _wrong_files(records: RecordStore, files: FileStore, token: AuthorizationToken, *, deep: bool) -> Iterator[Finding]:
    for source, kind in _OWNERS.items():
        known = {str(record.serial) for record in _all(records, kind)}
        for name in files.list(token, Resource((source,))).folders:
            for stat in files_below(files, token, Resource((source, name))):
                if name not in known:
                    message = f"there is no {kind.noun} {name}"
                    yield Finding(kind=FindingKind.ORPHANED, place=str(stat.resource), message=message)
                elif deep:
                    yield from _damage(files, token, stat)
    if deep:
        for stat in files_below(files, token, Resource((USERDATA,))):
            yield from _damage(files, token, stat)


def _damage(files: FileStore, token: AuthorizationToken, listed: FileStat) -> Iterator[Finding]:
    stat = files.stat(token, listed.resource)
    stored = stat.stored if stat.stored != Digests() else Digests(stat.sha256, stat.xxh3)
    if stored == Digests():
        return
    # The quick digest finds all damage; without it the other one does.
    name, expected = ("XXH3-128", stored.xxh3) if stored.xxh3 else ("SHA-256", stored.sha256)
    digest = xxhash.xxh3_128() if stored.xxh3 else hashlib.sha256()
    for block in files.open_read(token, stat.resource):
        digest.update(block)
    if digest.hexdigest() != expected:
        message = f"its {name} is {digest.hexdigest()[:12]}..., {str(expected)[:12]}... was stored"
        yield Finding(kind=FindingKind.DAMAGED, place=str(stat.resource), message=message)


def _all(records: RecordStore, kind: type[RecordT]) -> Iterator[RecordT]:
    last_key: tuple[str, int] | None = None
    while True:
        with records.transaction(write=False) as transaction:
            page = transaction.find(kind, after=last_key, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1]
        last_key = (last.sort_order if isinstance(last, Job) else "", last.serial)
