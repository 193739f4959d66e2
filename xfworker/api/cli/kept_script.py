"""Keeps the script of a job that was run from this computer, beside its task, so that the job can be bundled later."""

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process.owned_folder import owned_folder
from xfworker.api.composition.target import Target
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.package import ARCHIVE_SUFFIX, INTERFACE_FILENAME, MAIN_SCRIPT, METADATA_FILENAME, PackageFormat
from xfworker.ports.file_store import FileStore
from xfworker.ports.xf_server import XFServer
from xfworker.services.packages.archive import pack

_LARGEST_SOURCE = 4 * 1024 * 1024


def keep_script(server: XFServer, files: FileStore, target: Target, task_serial: int) -> None:
    """
    Store what was run as a package archive among the task's config files.

    Raises:
        PackageError: It cannot be packed.
        FileError: It cannot be stored.
    """
    with owned_folder("package", LocalFilesystem()) as scratch:
        archive = packed_script(target, scratch)
        resource = record_resource("task_config", task_serial, archive.name)
        files.upload(server.file_token([Scope("write", resource)]), archive, resource)


def packed_script(target: Target, scratch: Path) -> Path:
    """
    Pack what is run as a package archive in a folder.

    Of a bare script, the modules beside it that it imports go along.

    Raises:
        PackageError: It cannot be packed.
    """
    folder = target.script.parent
    if not (folder / METADATA_FILENAME).is_file() or target.interface is None:
        folder = _as_package(target, scratch / "package")
    archive = scratch / f"{target.task_type}-{target.version}{ARCHIVE_SUFFIX}"
    pack(folder, archive)
    return archive


def _as_package(target: Target, folder: Path) -> Path:
    folder.mkdir()
    modules = list(_imported(target.script, set()))
    script = folder / (MAIN_SCRIPT if modules else target.script.name)
    shutil.copyfile(target.script, script)
    for module in modules:
        copy = folder / module.relative_to(target.script.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)
    metadata = {"package_format": PackageFormat.TASK_TYPE.value, "name": target.task_type, "version": target.version}
    (folder / METADATA_FILENAME).write_text(json.dumps(metadata), "utf-8")
    (folder / INTERFACE_FILENAME).write_text(json.dumps({"inputs": [], "outputs": []}), "utf-8")
    return folder


def _imported(source: Path, seen: set[Path], root: Path | None = None) -> Iterator[Path]:
    """Give the modules under the script's folder that a source file imports, and those that they import."""
    folder = root or source.parent
    for name in _import_names(source):
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            stem = folder.joinpath(*parts[:count])
            for path in (stem.with_suffix(".py"), stem / "__init__.py"):
                if path.is_file() and path not in seen:
                    seen.add(path)
                    yield path
                    yield from _imported(path, seen, folder)


def _import_names(source: Path) -> set[str]:
    try:
        if source.stat().st_size > _LARGEST_SOURCE:
            return set()
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names
