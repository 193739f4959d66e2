"""Makes a workflow in a project from a workflow package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.domain.change import Change
from xfworker.domain.errors import PackageError
from xfworker.domain.interface import value_violations
from xfworker.domain.job_inputs import is_required
from xfworker.domain.package import TASKS_FILENAME, Package, PackageFormat
from xfworker.domain.records import Project, Task, TaskType, Workflow
from xfworker.ports.xf_server import XFServer
from xfworker.services.packages.check import check_package

_SEQUENCE = "Sequence"


@define(frozen=True)
class ImportedWorkflow:
    """
    A workflow that was made from a package.

    Attributes:
        workflow: The workflow, a draft.
        tasks: Its tasks in the order of the package.
    """

    workflow: Workflow
    tasks: tuple[Task, ...]


def import_workflow(server: XFServer, folder: Path, *, project: str, name: str | None = None) -> ImportedWorkflow:
    """
    Make a workflow from a workflow package. It is a draft: look at it, then start it.

    Args:
        server: The server, with rights to make workflows.
        folder: The package folder.
        project: The project's name; it is made where there is none.
        name: The workflow's name; the package's by default.

    Raises:
        PackageError: With every violation: task types that are not installed, inputs and outputs that they do not have,
            a mode that an input does not support, values that do not fit.
    """
    package = check_package(folder)
    if package.format is not PackageFormat.WORKFLOW:
        raise PackageError(f"{folder} is not a workflow package; check it in with: xfworker package install {folder}")
    task_types, violations = _task_types(server, package)
    if not violations:
        violations = [
            f"{TASKS_FILENAME}: tasks[{index}].{violation}"
            for index in range(len(package.tasks))
            for violation in _task_violations(index, package.tasks, task_types)
        ]
    if violations:
        raise PackageError(f"{package} cannot be imported:\n  " + "\n  ".join(violations), violations)
    projects = server.find(Project, {"name": project, "obsolete": False})
    home = projects[0] if projects else server.create(Project(name=project))
    workflow = server.create(
        Workflow(
            project_serial=home.serial,
            name=name or package.display_name,
            metadata={"package": {"name": package.name, "version": package.version}},
        )
    )
    try:
        tasks = _make_tasks(server, workflow, package, task_types)
    except BaseException:
        # Half a workflow would be taken for a whole one.
        server.update(Workflow, workflow.serial, Change(values={"/obsolete": True}))
        raise
    return ImportedWorkflow(server.get(Workflow, workflow.serial), tasks)


def _task_types(server: XFServer, package: Package) -> tuple[list[TaskType], list[str]]:
    task_types: list[TaskType] = []
    violations = []
    for index, task in enumerate(package.tasks):
        requested = {"name": task["task_type"]["name"], "version": task["task_type"]["version"], "obsolete": False}
        matches = server.find(TaskType, requested)
        if matches:
            task_types.append(matches[0])
        else:
            violations.append(
                f"{TASKS_FILENAME}: tasks[{index}].task_type: {requested['name']} {requested['version']} is not "
                "installed on the server"
            )
    return task_types, violations


def _task_violations(index: int, tasks: list[dict[str, Any]], task_types: list[TaskType]) -> list[str]:
    interface = task_types[index].interface
    fields = {field["key"]: field for field in interface.get("inputs") or ()}
    sources: Mapping[str, Mapping[str, Any]] = tasks[index]["inputs"]
    known = ", ".join(fields) or "none"
    violations = [f"inputs.{key}: there is no such input; inputs are: {known}" for key in sources if key not in fields]
    for key, field in fields.items():
        source = sources.get(key, {"mode": "none"})
        mode = source["mode"]
        supported = field.get("supported_modes")
        if mode == "none":
            if is_required(field):
                violations.append(f"inputs.{key}: is required, so it needs a source other than none")
        elif isinstance(supported, list) and mode not in supported:
            violations.append(f"inputs.{key}.mode: {mode} is not among the supported modes: {', '.join(supported)}")
        elif mode == "fixed":
            violations += value_violations(field, source["fixed_value"], f"inputs.{key}.fixed_value")
        elif mode == "output":
            violations += _output_violations(key, field, source, task_types)
    return violations


def _output_violations(
    key: str, field: Mapping[str, Any], source: Mapping[str, Any], task_types: list[TaskType]
) -> list[str]:
    earlier = task_types[source["task"]]
    outputs = {output["key"]: output for output in earlier.interface.get("outputs") or ()}
    output = outputs.get(source["key"])
    if output is None:
        known = ", ".join(outputs) or "none"
        return [f"inputs.{key}.key: {earlier.name} has no output {source['key']!r}; outputs are: {known}"]
    input_type, output_type = field.get("type"), output.get("type")
    if input_type not in {output_type, _SEQUENCE} and not (input_type == "Float" and output_type == "Int"):
        return [f"inputs.{key}: takes {input_type}, but output {source['key']} of {earlier.name} is {output_type}"]
    return []


def _make_tasks(server: XFServer, workflow: Workflow, package: Package, task_types: list[TaskType]) -> tuple[Task, ...]:
    made: list[Task] = []
    for described, task_type in zip(package.tasks, task_types, strict=True):
        inputs = [{"key": key, **_source(source, made)} for key, source in described["inputs"].items()]
        made.append(
            server.create(
                Task(
                    workflow_serial=workflow.serial,
                    task_type_serial=task_type.serial,
                    name=described.get("name") or str(task_type.metadata.get("display_name") or task_type.name),
                    inputs=inputs,
                )
            )
        )
    return tuple(made)


def _source(source: Mapping[str, Any], made: list[Task]) -> dict[str, Any]:
    if source["mode"] != "output":
        return dict(source)
    return {"mode": "output", "task_serial": made[source["task"]].serial, "output_key": source["key"]}
