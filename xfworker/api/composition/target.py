"""What ``xfworker run`` runs: a script, or a task type package as folder or archive."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.adapters.process.environments import Environment, Installation
from xfworker.api.composition.local_dependencies import INTERPRETER, installed
from xfworker.api.composition.module_folders import MODULE_FOLDERS
from xfworker.api.settings.file import CONFIG_VARIABLE
from xfworker.domain.errors import PackageError, UsageError
from xfworker.domain.package import (
    ARCHIVE_SUFFIX,
    METADATA_FILENAME,
    Package,
    PackageFormat,
    memory_limit_bytes,
    time_limit_seconds,
)
from xfworker.ports.job_queue import Lease
from xfworker.services.worker.job_executor import PreparedScript, Report

_LEVEL_VARIABLE = "XFWORKER_LOGGING_LEVEL"
_SCRIPT_SUFFIXES = frozenset({".py", ".pyw"})
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9.]+")
_LONGEST_NAME = 50


@define(frozen=True, kw_only=True)
class Target:
    """
    Something that can be run, where it lies and with this interpreter.

    Attributes:
        name: What people call it.
        script: The script.
        task_type: The name of the task type that it is.
        version: The version of the task type.
        interface: The content of ``interface.json``, or ``None`` where nothing is declared.
        time_limit_seconds: As the package states it.
        memory_limit_bytes: As the package states it.
        dependencies: Names and versions of the dependency packages that it needs.
        installations: What is installed for it before it is run.
    """

    name: str
    script: Path
    task_type: str
    version: str = "0.0.0.0"  # noqa: S104  a version of four numbers, not an address
    interface: Mapping[str, Any] | None = None
    time_limit_seconds: float | None = None
    memory_limit_bytes: int | None = None
    dependencies: tuple[str, ...] = ()
    installations: tuple[Installation, ...] = ()

    def prepare(self, lease: Lease, report: Report) -> PreparedScript:
        """
        Make ready what the script needs, for whichever job it is run.

        A settings file is about other servers, so it is left out; events below a warning are left out as well, unless
        the caller's environment asks for them.
        """
        del lease
        missing = [name for name in self.dependencies if name not in {item.name for item in self.installations}]
        if missing:
            report(
                f"xfworker: {self.name} needs {', '.join(missing)}; only workers install that, unless its package is "
                f"named with --dependency; its modules are those of this Python ({sys.executable})\n".encode()
            )
        environment = Environment(Path(sys.executable), {})
        if self.installations:
            environment = installed(self.installations, report)
        level = os.environ.get(_LEVEL_VARIABLE, "warning")
        return PreparedScript(
            command=(str(environment.python), str(self.script)),
            environment={**os.environ, **environment.variables},
            module_folders=MODULE_FOLDERS,
            settings={CONFIG_VARIABLE: "", _LEVEL_VARIABLE: level},
            time_limit_seconds=self.time_limit_seconds,
            memory_limit_bytes=self.memory_limit_bytes,
        )


def load_target(path: Path, scratch: Path) -> Target:
    """
    Find out what a TARGET is.

    Args:
        path: A script, a folder with ``metadata.json``, or an archive.
        scratch: A folder, in which an archive is unpacked into a folder of its own.

    Raises:
        UsageError: It is nothing that can be run; the message says what it is.
    """
    if not path.exists():
        raise UsageError(
            f"there is no {path}; TARGET is a script, a task type package folder or an {ARCHIVE_SUFFIX} file"
        )
    if path.is_dir():
        return _package_target(path)
    if path.suffix.lower() == ARCHIVE_SUFFIX:
        from xfworker.services.packages.archive import unpack

        # The scratch folder may hold other files, which do not belong to the package.
        folder = scratch / "unpacked"
        folder.mkdir()
        try:
            unpack(path, folder)
        except PackageError as error:
            raise UsageError(str(error)) from error
        return _package_target(folder)
    if not path.is_file() or path.suffix.lower() not in _SCRIPT_SUFFIXES:
        raise UsageError(f"{path} is not a Python script (.py), task type package folder or {ARCHIVE_SUFFIX} file")
    name = _NOT_IN_NAMES.sub(".", path.stem).strip(".")[:_LONGEST_NAME]
    return Target(name=path.stem, script=path.resolve(), task_type=name or "script")


def _package_target(folder: Path) -> Target:
    from xfworker.services.packages.check import check_package

    if not (folder / METADATA_FILENAME).is_file():
        raise UsageError(f"{folder} is not a package: it has no {METADATA_FILENAME}; name a script in it to run that")
    try:
        package = check_package(folder)
    except PackageError as error:
        raise UsageError(str(error)) from error
    if package.format is not PackageFormat.TASK_TYPE:
        raise UsageError(_not_runnable(folder, package))
    if package.script is None:
        raise UsageError(
            f"{folder} has no script: a person does the work of this task type on a server; "
            f"install it there with: xfworker package install {folder}"
        )
    return Target(
        name=package.display_name,
        script=(folder / package.script).resolve(),
        task_type=package.name,
        version=package.version,
        interface=package.interface,
        time_limit_seconds=time_limit_seconds(package.metadata),
        memory_limit_bytes=memory_limit_bytes(package.metadata),
        dependencies=tuple(
            f"{item['name']} {item['version']}"
            for item in package.dependencies
            if not str(item["name"]).startswith(INTERPRETER)
        ),
    )


def _not_runnable(folder: Path, package: Package) -> str:
    if package.format is PackageFormat.WORKFLOW:
        return f"{folder} is a workflow package; import it into a server with: xfworker workflow import {folder}"
    return f"{folder} is a dependency package; it holds no script that could be run"
