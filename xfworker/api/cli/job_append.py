"""``xfworker job append``: a task that follows a job, begun in the job's run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xfworker.api.cli.console import print_json, results
from xfworker.api.cli.items import Item, item_value, split_item
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.connections import sources_behind
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import InvalidParameter, UsageError
from xfworker.domain.interface import declared_fields, value_violations
from xfworker.domain.records import Job, Task, TaskType
from xfworker.domain.version import parse_version
from xfworker.domain.workflow_graph import Step

if TYPE_CHECKING:
    from xfworker.ports.xf_server import XFServer

_OF_TASK = "task:"


def append(
    job: int,
    task_type: str,
    *items: str,
    name: str = "",
    version: str | None = None,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Let a new task follow a job: it works with what the job's task makes, and begins in the job's run at once.

    It is one of the workflow's tasks from then on; in other runs that are there already it does not begin. An input
    that no ITEM names takes the first output of the job's task that fits it, each output once, else a person gives it.

    Exit code 0: appended; 1: it could not be; 2: called wrongly, nothing changed.

    Example: `xfworker job append 12 Bone.Measure mask@segments threshold=320`

    Args:
        job: The job's serial.
        task_type: The task type's name, or its serial.
        items: Where inputs come from: key@output of the job's task, key@task:7:output of another task of the workflow,
            key=value or key:=json for a fixed value, key:=null for none.
        name: What the task is called; by default as its task type.
        version: The version of the task type; by default the newest.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the new task as one JSON document.
    """
    from xfworker.adapters.http.workflow_control import HttpWorkflowControl

    with linked(server) as client:
        followed = client.server.get(Task, client.server.get(Job, job).task_serial)
        kind = _task_type(client.server, task_type, version)
        step = Step(followed, client.server.get(TaskType, followed.task_type_serial))
        inputs = _inputs(step, kind, items)
        label = name or kind.name.rpartition(".")[2]
        task = HttpWorkflowControl(client.transport).append_task(job, kind.serial, inputs=inputs, name=label)
        begun = client.server.find(Job, {"task_serial": task.serial})
    if as_json:
        print_json({**to_json(task), "jobs": [to_json(one) for one in begun]})
        return 0
    out = results()
    out.print(f"task {task.serial}: {task.name} ({kind.name} {kind.version}), behind job {job}")
    for source in task.inputs:
        out.print(f"  {source['key']}: {_described(source)}", markup=False)
    for one in begun:
        out.print(f"job {one.serial}: {one.state.value}")
    return 0


def _task_type(server: "XFServer", named: str, version: str | None) -> TaskType:
    if named.isascii() and named.isdigit():
        if version is not None:
            raise UsageError("--version chooses among the task types of a name; a serial names one of them already")
        return server.get(TaskType, int(named))
    known = [item for item in server.find(TaskType, {"name": named}) if not item.obsolete]
    fitting = [item for item in known if version is None or parse_version(item.version) == parse_version(version)]
    if fitting:
        return max(fitting, key=lambda item: parse_version(item.version))
    if known:
        versions = ", ".join(sorted(item.version for item in known))
        raise UsageError(f"there is no version {version} of the task type {named}; there are: {versions}")
    raise UsageError(f"there is no task type {named!r} on the server; xfworker package install adds those of a package")


def _inputs(followed: Step, task_type: TaskType, words: Sequence[str]) -> list[dict[str, Any]]:
    declared = declared_fields(task_type.interface, "inputs")
    stated: dict[str, dict[str, Any]] = {}
    errors = []
    for word in words:
        item = split_item(word)
        if item is None:
            errors.append(f"{word!r} is not an ITEM; write key@output, key=value or key:=json")
        elif item.key not in declared:
            errors.append(f"{item.key}: there is no such input; inputs are: {', '.join(declared) or 'none'}")
        elif item.key in stated:
            errors.append(f"{item.key}: is given twice")
        else:
            try:
                stated[item.key] = _source(item, declared[item.key], followed)
            except InvalidParameter as error:
                errors.append(f"{item.key}: {error}")
    if errors:
        raise UsageError("these inputs cannot be used:\n  " + "\n  ".join(errors))
    taken = {source.get("output_key") for source in stated.values() if source.get("task_serial") == followed.serial}
    return sources_behind(followed, task_type, stated, taken)


def _source(item: Item, declared: Mapping[str, Any], followed: Step) -> dict[str, Any]:
    if item.operator == "@":
        serial, output = followed.serial, item.text
        if item.text.startswith(_OF_TASK):
            number, _, output = item.text.removeprefix(_OF_TASK).partition(":")
            if not (number.isascii() and number.isdigit() and output):
                raise InvalidParameter(f"write task:SERIAL:OUTPUT, such as task:7:mask, not {item.text!r:.60}")
            serial = int(number)
        elif output not in (known := declared_fields(followed.task_type.interface, "outputs")):
            listed = ", ".join(known) or "none"
            raise InvalidParameter(
                f"task {serial} ({followed.task.name}) has no output {output!r:.60}; it has: {listed}"
            )
        return {"key": item.key, "mode": "output", "task_serial": serial, "output_key": output}
    value = item_value(item, declared)
    if value is None:
        return {"key": item.key, "mode": "none"}
    violations = [violation.partition(": ")[2] for violation in value_violations(declared, value, item.key)]
    if violations:
        raise InvalidParameter("; ".join(violations))
    return {"key": item.key, "mode": "fixed", "fixed_value": value}


def _described(source: Mapping[str, Any]) -> str:
    match source["mode"]:
        case "output":
            return f"{source['output_key']} of task {source['task_serial']}"
        case "fixed":
            return repr(source.get("fixed_value"))
        case "none":
            return "no value"
        case "define_on_first":
            return "of the first job"
        case _:
            return "a person gives it"
