"""Packages: what a folder or ``.xfp`` archive with ``metadata.json`` at its root holds."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import define, field

METADATA_FILENAME = "metadata.json"
INTERFACE_FILENAME = "interface.json"
TASKS_FILENAME = "tasks.json"
MAIN_SCRIPT = "main.py"
"""The script of a task type package. Where there is none, the only ``.py`` file at the root is it."""
ARCHIVE_SUFFIX = ".xfp"
PLACEHOLDER = "PACKAGE"
"""What the install command of a new dependency package names until somebody says what is to be installed."""
PACKAGE = "package"
"""The key in a record's metadata under which its package is described: ``{archive, sha256, complete, metadata}``."""

_MEBIBYTE = 1024 * 1024


class PackageFormat(StrEnum):
    """The formats of packages."""

    DEPENDENCY = "XFP-DEP1.0"
    TASK_TYPE = "XFP-TT1.0"
    WORKFLOW = "XFP-WF1.0"


@define(frozen=True, kw_only=True)
class Package:
    """
    A package that was checked.

    Attributes:
        metadata: The content of ``metadata.json``.
        interface: The content of ``interface.json`` (task types).
        tasks: The tasks of ``tasks.json`` (workflows).
        files: Paths of all files in it, with slashes, sorted.
        script: The path of the task type's script, or ``None``.
    """

    metadata: dict[str, Any]
    interface: dict[str, Any] = field(factory=dict)
    tasks: list[dict[str, Any]] = field(factory=list)
    files: tuple[str, ...] = ()
    script: str | None = None

    @property
    def format(self) -> PackageFormat:
        """What kind of package it is."""
        return PackageFormat(self.metadata["package_format"])

    @property
    def name(self) -> str:
        """What identifies it, up to versions."""
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        """Four numbers with dots."""
        return str(self.metadata["version"])

    @property
    def display_name(self) -> str:
        """What people read."""
        return str(self.metadata.get("display_name") or self.name)

    @property
    def archive_name(self) -> str:
        """The file name of its archive: ``Lab.Threshold-1.0.0.0.xfp``."""
        return f"{self.name}-{self.version}{ARCHIVE_SUFFIX}"

    @property
    def dependencies(self) -> list[dict[str, Any]]:
        """The dependency packages that it needs, as ``{name, version}``."""
        return list(self.metadata.get("dependencies") or [])

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def time_limit_seconds(metadata: Mapping[str, Any]) -> float | None:
    """Give the time limit that a task type states for its script, or ``None``."""
    value = (metadata.get("limits") or {}).get("time_seconds")
    return None if value is None else float(value)


def memory_limit_bytes(metadata: Mapping[str, Any]) -> int | None:
    """
    Give the memory limit that a task type states for its script, or ``None``.

    Where it states none, the memory that it declares to need is the limit: other jobs of the worker have the rest.
    """
    value = (metadata.get("limits") or {}).get("memory_mib")
    if value is None:
        value = (metadata.get("resources") or {}).get("memory_mib")
    return None if value is None else int(value * _MEBIBYTE)


def choose_script(files: tuple[str, ...]) -> str | None:
    """Give the script among the files of a task type package: ``main.py``, else the only ``.py`` file at the root."""
    if MAIN_SCRIPT in files:
        return MAIN_SCRIPT
    scripts = [name for name in files if "/" not in name and name.endswith(".py")]
    return scripts[0] if len(scripts) == 1 else None
