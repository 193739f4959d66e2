"""Dependency packages that lie on this computer, for scripts that are run from here."""

import os
from collections.abc import Sequence
from pathlib import Path

from xfworker.adapters.process.environments import Environment, Environments, Installation, Report
from xfworker.adapters.process.private_folder import private_folder
from xfworker.api.composition.cache_folder import cache_folder
from xfworker.domain.errors import PackageError, UsageError
from xfworker.domain.package import PackageFormat
from xfworker.domain.records import DependencyPackage
from xfworker.services.packages.archive import pack
from xfworker.services.packages.check import check_package
from xfworker.services.packages.checkin import file_sha256
from xfworker.services.packages.requirements import ordered_packages

INTERPRETER = "Core.Host.Python"
"""How the names of the packages begin that stand for the interpreter itself."""


def local_installations(folders: Sequence[Path], scratch: Path) -> tuple[Installation, ...]:
    """
    Give what is to be installed for dependency packages, each behind those that it needs itself.

    Args:
        folders: The packages' folders.
        scratch: A folder for temporary files.

    Raises:
        UsageError: One is not a valid dependency package, or needs another that is not among them.
        JobError: They need each other in a circle.
    """
    records: dict[tuple[str, str], DependencyPackage] = {}
    installations: dict[tuple[str, str], Installation] = {}
    for number, folder in enumerate(folders):
        try:
            package = check_package(folder)
        except PackageError as error:
            raise UsageError(str(error)) from error
        if package.format is not PackageFormat.DEPENDENCY:
            raise UsageError(f"{folder} is not a dependency package ({package.format.value})")
        archive = scratch / f"{number}.xfp"
        pack(folder, archive)
        key = package.name, package.version
        install = package.metadata.get("install")
        records[key] = DependencyPackage(
            name=package.name, version=package.version, install=install, dependencies=package.dependencies
        )
        installations[key] = Installation(f"{package.name} {package.version}", install, folder, file_sha256(archive))

    def find(name: str, version: str) -> DependencyPackage:
        if name.startswith(INTERPRETER):
            return DependencyPackage(name=name, version=version)
        if (name, version) not in records:
            raise UsageError(f"the dependency package {name} {version} is needed as well; name it with --dependency")
        return records[name, version]

    ordered = ordered_packages([{"name": name, "version": version} for name, version in records], find)
    return tuple(installations[item.name, item.version] for item in ordered if (item.name, item.version) in records)


def installed(installations: Sequence[Installation], report: Report) -> Environment:
    """
    Give the environment with the packages, which is made when it is first needed and kept for later runs.

    Raises:
        JobError: An install command failed.
        UsageError: This user has no home.
    """
    cache = cache_folder(os.environ)
    for folder in (cache, cache / "environments"):
        private_folder(folder)
    return Environments(cache / "environments", variables=os.environ).get(installations, report)
