"""Checks a package folder, and says everything that is wrong with it at once."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from xfworker.domain.errors import FileError, InvalidFilename, PackageError
from xfworker.domain.filenames import check_filename
from xfworker.domain.interface import declaration_violations
from xfworker.domain.package import (
    INTERFACE_FILENAME,
    METADATA_FILENAME,
    PLACEHOLDER,
    TASKS_FILENAME,
    Package,
    PackageFormat,
    choose_script,
)
from xfworker.domain.package_schemas import INTERFACE, SOURCES, TASKS, metadata_schema
from xfworker.domain.records import TaskTypeKind
from xfworker.domain.schema_violations import schema_violations

_LEFT_OUT = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_MOST_JSON_BYTES = 4 * 1024 * 1024
_LONGEST_FORMATTED = 60


def check_package(folder: Path) -> Package:
    """
    Read a package folder.

    Raises:
        PackageError: With every violation, each starting with the file and the path in it.
    """
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder, so it is not a package")
    if not (folder / METADATA_FILENAME).is_file():
        raise PackageError(f"{folder} is not a package: it has no {METADATA_FILENAME}")
    violations: list[str] = []
    files = tuple(_files(folder, violations))
    metadata = _read(folder / METADATA_FILENAME, violations)
    interface: Any = None
    tasks: Any = None
    if metadata is not None:
        declared = metadata.get("package_format") if isinstance(metadata, dict) else None
        violations += _schema_violations(metadata, metadata_schema(declared), METADATA_FILENAME)
        if declared == PackageFormat.TASK_TYPE:
            interface = _part(folder, INTERFACE_FILENAME, INTERFACE, violations)
        elif declared == PackageFormat.WORKFLOW:
            tasks = _part(folder, TASKS_FILENAME, TASKS, violations)
        violations += _missing_files(metadata, files)
        violations += _placeholders(metadata)
    if isinstance(interface, dict):
        violations += [f"{INTERFACE_FILENAME}: {violation}" for violation in declaration_violations(interface)]
        if choose_script(files) is None and not _is_interactive(metadata):
            violations.append(
                "main.py: there is none, and no other .py file that stands alone, so nothing could be run"
            )
    if isinstance(tasks, dict):
        violations += task_violations(tasks)
    if violations:
        raise PackageError(_message(folder, violations), violations)
    return Package(
        metadata=metadata,
        interface=interface or {},
        tasks=list((tasks or {}).get("tasks") or []),
        files=files,
        script=choose_script(files) if metadata["package_format"] == PackageFormat.TASK_TYPE else None,
    )


def task_violations(tasks: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the sources of a workflow's inputs."""
    violations = []
    items = tasks.get("tasks")
    for index, task in enumerate(items if isinstance(items, list) else ()):
        inputs = task.get("inputs") if isinstance(task, Mapping) else None
        for key, source in (inputs if isinstance(inputs, Mapping) else {}).items():
            mode = source.get("mode") if isinstance(source, Mapping) else None
            if mode not in SOURCES:
                continue
            path = f"tasks[{index}].inputs.{key}"
            violations += _schema_violations(source, SOURCES[mode], f"{TASKS_FILENAME}: {path}")
            earlier = source.get("task")
            if mode == "output" and isinstance(earlier, int) and earlier >= index:
                violations.append(
                    f"{TASKS_FILENAME}: {path}.task: {earlier} is not an earlier task (this is task {index})"
                )
    return violations


def _part(folder: Path, filename: str, schema: Mapping[str, Any], violations: list[str]) -> Any:
    if not (folder / filename).is_file():
        violations.append(f"{filename}: is missing")
        return None
    content = _read(folder / filename, violations)
    if content is not None:
        violations += _schema_violations(content, schema, filename)
    return content


def _read(path: Path, violations: list[str]) -> Any:
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            violations.append(f"{path.name}: is larger than {_MOST_JSON_BYTES} bytes")
            return None
        content = json.loads(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        violations.append(f"{path.name}: is not UTF-8 (byte {error.start})")
    except RecursionError:
        violations.append(f"{path.name}: is nested too deeply")
    except json.JSONDecodeError as error:
        violations.append(f"{path.name}: line {error.lineno}, column {error.colno}: {error.msg}")
    except (OSError, ValueError) as error:
        violations.append(f"{path.name}: cannot be read ({error})")
    else:
        if content is None:
            violations.append(f"{path.name}: holds null, not an object")
        return content
    return None


def _schema_violations(value: Any, schema: Mapping[str, Any], where: str) -> list[str]:
    filename, _, path = where.partition(": ")
    return [f"{filename}: {violation}" for violation in sorted(schema_violations(value, schema, path))]


def _missing_files(metadata: Any, files: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(metadata, Mapping):
        return
    for key in ("description_filename", "citation_cff_filename"):
        name = metadata.get(key)
        if isinstance(name, str) and name and name not in files:
            yield f"{METADATA_FILENAME}: {key}: there is no file {_formatted(name)} in the package"
    types = metadata.get("parameter_types")
    for index, item in enumerate(types if isinstance(types, list) else ()):
        name = item.get("$ref") if isinstance(item, Mapping) else None
        if isinstance(name, str) and name and name not in files:
            path = f"parameter_types[{index}].$ref"
            yield f"{METADATA_FILENAME}: {path}: there is no file {_formatted(name)} in the package"


def _is_interactive(metadata: Any) -> bool:
    return isinstance(metadata, Mapping) and metadata.get("kind") == TaskTypeKind.INTERACTIVE


def _placeholders(metadata: Any) -> Iterator[str]:
    install = metadata.get("install") if isinstance(metadata, Mapping) else None
    if isinstance(install, str) and PLACEHOLDER in install.split():
        yield (
            f"{METADATA_FILENAME}: install: {PLACEHOLDER} stands there since the package was made; write what is to be "
            "installed in its place"
        )


def package_files(folder: Path) -> list[str]:
    """
    List the files that belong to a package folder, with slashes, sorted; caches and version control are left out.

    Raises:
        PackageError: A name is not safe on every system, two differ only in case, or there are links.
    """
    violations: list[str] = []
    files = list(_files(folder, violations))
    if violations:
        raise PackageError(_message(folder, violations), violations)
    return files


def _refuse(error: OSError) -> NoReturn:
    # A folder that cannot be listed would be left out otherwise, and nobody would know.
    raise FileError(f"cannot read the package: {error.strerror or error} ({error.filename})") from error


def _files(folder: Path, violations: list[str]) -> list[str]:
    by_folded_path: dict[str, str] = {}
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        here = Path(parent)
        violations.extend(
            f"{(here / name).relative_to(folder).as_posix()}: is a link; packages hold files only"
            for name in (*folders, *names)
            if (here / name).is_symlink()
        )
        for name in sorted(names):
            if name.endswith((".pyc", ".pyo")):
                continue
            path = (here / name).relative_to(folder).as_posix()
            try:
                for part in path.split("/"):
                    check_filename(part)
            except InvalidFilename as error:
                violations.append(f"{path!a}: {error}")
            same = by_folded_path.setdefault(path.casefold(), path)
            if same != path:
                violations.append(f"{path}: differs only in upper and lower case from {same}")
    return sorted(by_folded_path.values())


def _message(folder: Path, violations: list[str]) -> str:
    return f"{folder} is not a valid package:\n  " + "\n  ".join(violations)


def _formatted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_FORMATTED else f"{text[: _LONGEST_FORMATTED - 3]}..."
