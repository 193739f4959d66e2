"""What a package declares about itself is checked in full before it is kept, because much is read from it later."""

from collections.abc import Iterator

from xfworker.domain.errors import InvalidFilename, InvalidRecord
from xfworker.domain.filenames import check_filename
from xfworker.domain.interface import interface_violations
from xfworker.domain.package import PACKAGE, PackageFormat
from xfworker.domain.package_schemas import DEPENDENCIES, INSTALLED_PACKAGE, PARAMETER_TYPES, metadata_schema
from xfworker.domain.records import DependencyPackage, TaskType, Worker
from xfworker.domain.schema_violations import schema_violations

MOST_CONCURRENT_JOBS = 100_000
"""How many jobs one worker may say that it runs at once."""


def check_declarations(record: TaskType | DependencyPackage | Worker) -> None:
    """
    Refuse an interface that no job could be made from, a package that no worker could follow, a worker for no job.

    Raises:
        InvalidRecord: With every error and its path.
    """
    violations = list(_violations(record))
    if violations:
        raise InvalidRecord(f"{record}: " + "; ".join(violations), violations)


def _violations(record: TaskType | DependencyPackage | Worker) -> Iterator[str]:
    if isinstance(record, Worker):
        yield from schema_violations(record.dependency_packages, DEPENDENCIES, "dependency_packages")
        if not 1 <= record.max_concurrent_jobs <= MOST_CONCURRENT_JOBS:
            yield f"max_concurrent_jobs: {record.max_concurrent_jobs} is not from 1 to {MOST_CONCURRENT_JOBS:,}"
        return
    if isinstance(record, TaskType):
        yield from (f"interface.{violation}" for violation in interface_violations(record.interface))
        yield from schema_violations(record.metadata.get("dependencies", []), DEPENDENCIES, "metadata.dependencies")
    else:
        yield from schema_violations(record.dependencies, DEPENDENCIES, "dependencies")
        yield from schema_violations(record.parameter_types, PARAMETER_TYPES, "parameter_types")
    if PACKAGE in record.metadata:
        yield from _package_violations(record, f"metadata.{PACKAGE}")


def _package_violations(record: TaskType | DependencyPackage, path: str) -> Iterator[str]:
    described = record.metadata[PACKAGE]
    violations = list(schema_violations(described, INSTALLED_PACKAGE, path))
    if violations:
        yield from violations
        return
    kind = PackageFormat.TASK_TYPE if isinstance(record, TaskType) else PackageFormat.DEPENDENCY
    names = [("archive", described["archive"])]
    if described.get("script") is not None:
        names += [("script", part) for part in described["script"].split("/")]
    for key, name in names:
        try:
            check_filename(name)
        except InvalidFilename as error:
            yield f"{path}.{key}: {error}"
    if "metadata" in described:
        yield from schema_violations(described["metadata"], metadata_schema(kind), f"{path}.metadata")
