"""
Checks packages in: a record on the server, and the package's files beside it.

The archive is stored whole, for workers; the files at the package's root are stored one by one as well, for scripts
that ask for them by name. The record counts only when all files are there: until then a task type is obsolete and its
``package`` says that it is incomplete, and checking in again goes on from there.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import define

from xfworker.domain.change import Change
from xfworker.domain.errors import PackageError
from xfworker.domain.files import Resource, Scope, record_resource
from xfworker.domain.package import ARCHIVE_SUFFIX, PACKAGE, Package, PackageFormat
from xfworker.domain.records import DependencyPackage, TaskType, TaskTypeKind
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.packages.archive import pack
from xfworker.services.packages.check import check_package
from xfworker.services.transfers.observed import reporting

_BLOCK = 1024 * 1024

PackageRecord = TaskType | DependencyPackage
PackageT = TypeVar("PackageT", TaskType, DependencyPackage)


@define(frozen=True)
class CheckedIn:
    """
    A package on the server.

    Attributes:
        record: Its record.
        is_new: Whether it was not there before.
        is_replaced: Whether its version was there with other files.
    """

    record: PackageRecord
    is_new: bool
    is_replaced: bool = False


def check_in(server: XFServer, files: FileStore, folder: Path, *, replace: bool = False) -> CheckedIn:
    """
    Check in a task type or dependency package.

    Checking in the same files twice does nothing the second time.

    Args:
        server: The server, with rights to make task types.
        files: Where the files go.
        folder: The package folder.
        replace: Whether a version that is there with other files gets these, for packages that are being developed.

    Raises:
        PackageError: The package is not valid, it is a workflow, or this version is there with other files and is not
            to be replaced.
    """
    package = check_package(folder)
    if package.format is PackageFormat.WORKFLOW:
        raise PackageError(f"{folder} is a workflow package; it is imported into a project, not checked in")
    if package.archive_name in package.files:
        raise PackageError(f"{folder} holds a file {package.archive_name}, the name of its own archive; remove it")
    with tempfile.TemporaryDirectory(prefix="xfworker-package-") as scratch:
        archive = Path(scratch) / package.archive_name
        pack(folder, archive)
        digest = file_sha256(archive)
        old = _other_files(server, package, digest)
        if old is not None and replace:
            return CheckedIn(
                _replaced(server, files, package, folder, archive, digest, old), is_new=False, is_replaced=True
            )
        if old is not None:
            raise PackageError(
                f"{package} is on the server with other files; raise the version in metadata.json, so that tasks which "
                "use the old one keep it, or install it with --replace while it is being developed"
            )
        record, is_new = _record(server, package, digest)
        if not record.metadata[PACKAGE]["complete"]:
            _store(server, files, package, folder, archive, record)
            record = _complete(server, record)
    return CheckedIn(record, is_new)


def archive_resource(record: PackageRecord) -> Resource:
    """
    Give the resource of a package's archive.

    Raises:
        PackageError: The record was not checked in from a package.
    """
    described = record.metadata.get(PACKAGE)
    if not isinstance(described, dict) or not described.get("complete"):
        raise PackageError(
            f"{record.noun} {record.serial} ({record.name} {record.version}) has no package on the server; check it in "
            "with: xfworker package install FOLDER"
        )
    return record_resource(_source(record), record.serial, str(described["archive"]))


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _other_files(server: XFServer, package: Package, digest: str) -> PackageRecord | None:
    """Give the complete record of this name and version that was made from other files, if there is one."""
    for record in server.find(_kind(package), {"name": package.name, "version": package.version}):
        checked_in = record.metadata.get(PACKAGE)
        if isinstance(checked_in, dict) and checked_in.get("complete") and checked_in.get("sha256") != digest:
            return record
    return None


def _replaced(
    server: XFServer,
    files: FileStore,
    package: Package,
    folder: Path,
    archive: Path,
    digest: str,
    old: PackageRecord,
) -> PackageRecord:
    # Under a name of its own: until the record says otherwise, workers fetch the old archive and compare its digest.
    named = archive.rename(archive.with_name(f"{package.name}-{package.version}-{digest[:12]}{ARCHIVE_SUFFIX}"))
    _store(server, files, package, folder, named, old)
    described = _package_entry(package, named.name, digest, complete=True)
    values = {"/metadata": {**old.metadata, **_metadata(package, described)}} | _own(package)
    return server.update(type(old), old.serial, Change(values=values, expected_version=old.occ_lock_version))


def _kind(package: Package) -> type[TaskType] | type[DependencyPackage]:
    return TaskType if package.format is PackageFormat.TASK_TYPE else DependencyPackage


def _package_entry(package: Package, archive: str, digest: str, *, complete: bool) -> dict[str, Any]:
    return {
        "archive": archive,
        "sha256": digest,
        "complete": complete,
        "metadata": package.metadata,
        "script": package.script,
    }


def _record(server: XFServer, package: Package, digest: str) -> tuple[PackageRecord, bool]:
    if package.format is PackageFormat.TASK_TYPE:
        return _record_of(server, TaskType, package, digest)
    return _record_of(server, DependencyPackage, package, digest)


def _record_of(server: XFServer, kind: type[PackageT], package: Package, digest: str) -> tuple[PackageT, bool]:
    described = _package_entry(package, package.archive_name, digest, complete=False)
    for record in server.find(kind, {"name": package.name, "version": package.version}):
        checked_in = record.metadata.get(PACKAGE)
        if not isinstance(checked_in, dict):
            continue
        if checked_in.get("sha256") == digest:
            return record, False
        change = Change(values={"/metadata": {**record.metadata, **_metadata(package, described)}} | _own(package))
        return server.update(kind, record.serial, change), False
    idempotency_key = f"package:{package.name}:{package.version}:{digest}"
    return server.create(_new(kind, package, described), idempotency_key=idempotency_key), True


def _new(kind: type[PackageT], package: Package, described: dict[str, Any]) -> PackageT:
    metadata = _metadata(package, described)
    record: PackageRecord
    if kind is TaskType:
        record = TaskType(
            name=package.name,
            version=package.version,
            kind=TaskTypeKind(package.metadata.get("kind", TaskTypeKind.PROCESSING)),
            interface=package.interface,
            obsolete=True,
            metadata=metadata,
        )
    else:
        record = DependencyPackage(
            name=package.name,
            version=package.version,
            install=package.metadata.get("install"),
            dependencies=package.dependencies,
            parameter_types=list(package.metadata.get("parameter_types") or []),
            metadata=metadata,
        )
    return cast("PackageT", record)


def _own(package: Package) -> dict[str, Any]:
    if package.format is PackageFormat.TASK_TYPE:
        kind = package.metadata.get("kind", TaskTypeKind.PROCESSING.value)
        return {"/interface": package.interface, "/kind": kind}
    return {
        "/install": package.metadata.get("install"),
        "/dependencies": package.dependencies,
        "/parameter_types": list(package.metadata.get("parameter_types") or []),
    }


def _metadata(package: Package, described: dict[str, Any]) -> dict[str, Any]:
    display: dict[str, Any] = {
        key: package.metadata[key] for key in ("display_name", "summary") if key in package.metadata
    }
    return {**display, "dependencies": package.dependencies, PACKAGE: described}


def _store(
    server: XFServer, files: FileStore, package: Package, folder: Path, archive: Path, record: PackageRecord
) -> None:
    source = _source(record)
    token = server.file_token([Scope("write", record_resource(source, record.serial))])
    for path in (archive, *(folder / name for name in package.files if "/" not in name)):
        resource = record_resource(source, record.serial, path.name)
        files.upload(token, path, resource, progress=reporting("upload", resource))


def _complete(server: XFServer, record: PackageRecord) -> PackageRecord:
    values: dict[str, Any] = {f"/metadata/{PACKAGE}": {**record.metadata[PACKAGE], "complete": True}}
    if isinstance(record, TaskType):
        return server.update(TaskType, record.serial, Change(values={**values, "/obsolete": False}))
    return server.update(DependencyPackage, record.serial, Change(values=values))


def _source(record: PackageRecord) -> str:
    return "task_type_config" if isinstance(record, TaskType) else "dependency_package_config"
