"""Makes a workflow package from a workflow, which ``import_workflow`` makes the same workflow from."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xfworker.domain.errors import PackageError
from xfworker.domain.package import METADATA_FILENAME, TASKS_FILENAME, PackageFormat
from xfworker.domain.records import Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.packages.archive import pack
from xfworker.services.packages.check import check_package

_MOST_NAME = 50
_FIRST_VERSION = "1.0.0.0"


def package_identity(workflow: Workflow) -> tuple[str, str]:
    """Give the name and version to offer for a workflow's package: those it came from, else made of its name."""
    package = workflow.metadata.get("package")
    known = package if isinstance(package, Mapping) else {}
    name, version = known.get("name"), known.get("version")
    words = re.findall(r"[A-Za-z0-9]+", workflow.name)
    made = ".".join(words)[:_MOST_NAME].strip(".") or f"Workflow{workflow.serial}"
    return name if isinstance(name, str) else made, version if isinstance(version, str) else _FIRST_VERSION


def tasks_document(steps: Sequence[Step]) -> dict[str, Any]:
    """
    Give a workflow's tasks as ``tasks.json`` of a workflow package has them.

    Args:
        steps: Its tasks with their types, each behind those whose outputs it uses; tasks are named by their place here.

    Raises:
        PackageError: With every input that a package cannot hold: it takes the output of a task that is not there, or
            its fixed value is composite.
    """
    places = {step.serial: place for place, step in enumerate(steps)}
    violations = [violation for step in steps for violation in _violations(step, places)]
    if violations:
        raise PackageError("the workflow cannot be exported:\n  " + "\n  ".join(violations), violations)
    return {"tasks": [_task(step, places) for step in steps]}


def export_workflow(workflow: Workflow, steps: Sequence[Step], *, name: str, version: str) -> bytes:
    """
    Make the archive (``.xfp``) of a workflow package.

    Args:
        workflow: The workflow.
        steps: Its tasks with their types, each behind those whose outputs it uses.
        name: The package's name.
        version: The package's version, four numbers with dots.

    Raises:
        PackageError: With every violation: of the name, the version, or the tasks.
    """
    metadata: dict[str, Any] = {"package_format": PackageFormat.WORKFLOW.value, "name": name, "version": version}
    # A longer name does not fit a package; who imports it names the workflow, else it is called like the package.
    if 0 < len(workflow.name) <= _MOST_NAME:
        metadata["display_name"] = workflow.name
    with tempfile.TemporaryDirectory(prefix="xfworker-export-") as made:
        folder = Path(made, "package")
        folder.mkdir()
        documents = {METADATA_FILENAME: metadata, TASKS_FILENAME: tasks_document(steps)}
        for filename, document in documents.items():
            text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
            (folder / filename).write_text(text, "utf-8", newline="\n")
        try:
            check_package(folder)
        except PackageError as error:
            what = "\n  ".join(error.faults)
            raise PackageError(f"the workflow cannot be exported:\n  {what}", error.faults) from None
        archive = Path(made, "workflow.xfp")
        pack(folder, archive)
        return archive.read_bytes()


def _task(step: Step, places: Mapping[int, int]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for key, item in step.sources():
        mode = item["mode"]
        inputs[key] = {"mode": mode}
        if mode == "output":
            inputs[key] |= {"task": places[item["task_serial"]], "key": item["output_key"]}
        elif mode == "fixed":
            inputs[key]["fixed_value"] = item.get("fixed_value")
        elif mode == "define_on_first":
            inputs[key]["template"] = None
    reference = {"name": step.task_type.name, "version": step.task_type.version}
    return {"name": step.task.name or step.task_type.name, "task_type": reference, "inputs": inputs}


def _violations(step: Step, places: Mapping[int, int]) -> Iterator[str]:
    name = step.task.name or step.task_type.name
    for key, item in step.sources():
        if item["mode"] == "output" and item["task_serial"] not in places:
            yield f"{name}: {key} takes an output of a task that is not in the workflow any more; connect it anew"
        if item["mode"] == "fixed" and not isinstance(item.get("fixed_value"), str | int | float):
            yield (
                f"{name}: {key} has a fixed value that is not a number, string or bool, and packages hold no other; "
                "let a person give it"
            )
