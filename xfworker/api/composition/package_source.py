"""Makes the scripts of installed packages ready for a worker."""

from collections.abc import Mapping
from pathlib import Path

from attrs import define

from xfworker.adapters.process.environments import Environments, Installation
from xfworker.api.composition.module_folders import MODULE_FOLDERS
from xfworker.domain.errors import JobError
from xfworker.domain.filenames import check_filename
from xfworker.domain.package import PACKAGE, memory_limit_bytes, time_limit_seconds
from xfworker.domain.records import DependencyPackage
from xfworker.domain.resources import declared_needs
from xfworker.ports.file_store import FileStore
from xfworker.ports.job_queue import Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.packages.cache import PackageCache
from xfworker.services.packages.requirements import ordered_packages
from xfworker.services.worker.job_executor import PreparedScript, Report


@define(kw_only=True)
class PackageSource:
    """
    Fetches task type packages, and makes the environments that they need.

    Attributes:
        server: Where dependency packages are looked up.
        files: Where packages are fetched from.
        cache: Packages on this computer.
        environments: Virtual environments on this computer.
        variables: What scripts get of the worker's environment variables.
        settings: Settings for the scripts, ``XFWORKER_*``.
    """

    server: XFServer
    files: FileStore
    cache: PackageCache
    environments: Environments
    variables: Mapping[str, str]
    settings: Mapping[str, str]

    def prepare(self, lease: Lease, report: Report | None = None) -> PreparedScript:
        """
        Make ready what the job's script needs.

        Args:
            lease: The job.
            report: Gets what install commands write.

        Raises:
            JobError: A dependency package is missing or cannot be installed.
            PackageError: The task type has no package, or it is damaged.
        """
        task_type = lease.task_type
        folder = self.cache.get(self.server, self.files, task_type)
        described = task_type.metadata[PACKAGE]
        script = described.get("script")
        if not isinstance(script, str):
            raise JobError(f"task type {task_type.name} {task_type.version} has no script")
        for part in script.split("/"):
            check_filename(part, what=f"the script of task type {task_type.serial}, {script[:200]!a}:")
        needed = task_type.metadata.get("dependencies") or []
        environment = self.environments.get(
            [self._installation(item) for item in ordered_packages(needed, self._find)], report
        )
        metadata = described.get("metadata") or {}
        return PreparedScript(
            command=(str(environment.python), str(folder / script)),
            environment={**self.variables, **environment.variables},
            module_folders=MODULE_FOLDERS,
            settings=self.settings,
            time_limit_seconds=time_limit_seconds(metadata),
            memory_limit_bytes=memory_limit_bytes(metadata),
            cores=declared_needs(task_type.metadata).cores,
        )

    def _find(self, name: str, version: str) -> DependencyPackage | None:
        packages = self.server.find(DependencyPackage, {"name": name, "version": version})
        return next((package for package in packages if is_complete(package)), None)

    def _installation(self, package: DependencyPackage) -> Installation:
        has_files = isinstance(package.metadata.get(PACKAGE), dict)
        folder: Path | None = None
        if package.install and has_files:
            folder = self.cache.get(self.server, self.files, package)
        digest = str(package.metadata[PACKAGE].get("sha256")) if has_files else ""
        return Installation(f"{package.name} {package.version}", package.install, folder, digest)


def is_complete(package: DependencyPackage) -> bool:
    """Whether a dependency package can be used: all its files are on the server, or it has none."""
    described = package.metadata.get(PACKAGE)
    return not isinstance(described, dict) or bool(described.get("complete"))


def installs_by_itself(package: DependencyPackage) -> bool:
    """
    Whether a worker has a dependency package without anybody doing anything.

    That is so where it can be installed by its command, where it only declares parameter types, and for the
    interpreter itself. All others say that some software was installed by hand, so they must be named.
    """
    return is_complete(package) and (
        bool(package.install) or bool(package.parameter_types) or package.name.startswith("Core.Host.Python")
    )
