"""``xfworker job inputs|set|finish``: what a person gives a job."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define

from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.items import earlier_values, read_inputs
from xfworker.api.cli.job_display import formatted_value
from xfworker.api.cli.server_inputs import bring_inputs
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import IllegalTransition, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_inputs import is_required
from xfworker.domain.job_state import JobState
from xfworker.domain.parameters import create_parameter
from xfworker.domain.records import Job, Task, TaskType, TaskTypeKind
from xfworker.services.jobs.staging import StagedFile
from xfworker.services.transfers.observed import reporting

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client
    from xfworker.ports.xf_server import XFServer


@define(frozen=True)
class _AskedJob:
    """A job, its task, and what its task type declares."""

    job: Job
    task: Task
    task_type: TaskType

    @classmethod
    def of(cls, server: "XFServer", serial: int) -> "_AskedJob":
        job = server.get(Job, serial)
        task = server.get(Task, job.task_serial)
        return cls(job, task, server.get(TaskType, task.task_type_serial))

    def mode(self, key: str) -> str:
        """Say where the task takes an input from."""
        return next((str(item.get("mode", "")) for item in self.task.inputs if item.get("key") == key), "")

    @property
    def is_interactive(self) -> bool:
        return self.task_type.kind is TaskTypeKind.INTERACTIVE


def inputs(job: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Show the inputs of a job: what is declared, where it comes from, and what it is; where a person finishes it, with
    which outputs.

    Exit code 0: shown; 1: there is no such job. Example: `xfworker job inputs 12`

    Args:
        job: The job's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        asked = _AskedJob.of(client.server, job)
    declared = declared_fields(asked.task_type.interface, "inputs")
    items = [
        {
            "key": key,
            "type": declared.get(key, {}).get("type"),
            "mode": asked.mode(key) or None,
            "required": key in declared and is_required(declared[key]),
            "value": asked.job.inputs.get(key),
        }
        for key in dict.fromkeys((*declared, *asked.job.inputs))
    ]
    outputs = [
        {"key": key, "type": declared.get("type"), "required": is_required(declared)}
        for key, declared in declared_fields(asked.task_type.interface, "outputs").items()
        if asked.is_interactive
    ]
    if as_json:
        document = {"job_serial": asked.job.serial, "state": asked.job.state.value, "inputs": items}
        print_json({**document, "outputs": outputs} if outputs else document)
        return 0
    rows = [
        (
            item["key"],
            item["type"],
            item["mode"],
            "yes" if item["required"] else "",
            "" if item["value"] is None else formatted_value(item["value"]),
        )
        for item in items
    ]
    print_table(("input", "type", "from", "required", "value"), rows, text=("input", "value"))
    if outputs:
        asked_for = [(output["key"], output["type"], "yes" if output["required"] else "") for output in outputs]
        title = f"a person finishes it with: xfworker job finish {asked.job.serial} OUTPUT=VALUE"
        print_table(("output", "type", "required"), asked_for, title=title, text=("output",))
    return 0


def set_inputs(
    job: int,
    items: tuple[str, ...] = (),
    *,
    start: bool = True,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Give a waiting job inputs; a job that waits for them becomes ready.

    Exit code 0: done; 1: the job or its inputs do not allow it; 2: called wrongly, and nothing has changed.

    Example: `xfworker job set 12 threshold=400 mask@mask.omni`

    Args:
        job: The job's serial.
        items: Inputs, as `xfworker run` takes them: key=value, key:=json, key@file, key@job:SERIAL:OUTPUT.
        start: Whether a job that waits for a person is let go on.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the job as one JSON document.
    """
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.composition.image_formats import image_formats

    with linked(server) as client:
        asked = _AskedJob.of(client.server, job)
        if asked.job.state not in {JobState.WAITING, JobState.READY, JobState.READY_FOR_INTERACTIVE}:
            raise IllegalTransition(
                f"{asked.job} is {asked.job.state.value}, so its inputs are settled; restart it first: "
                f"xfworker job restart {asked.job.serial}"
            )
        interface = _declared(asked.task_type.interface, "inputs")
        arguments = read_inputs(items, interface, image_formats(), complete=False)
        goes_on = start and asked.job.state is JobState.READY_FOR_INTERACTIVE and not asked.is_interactive
        if not arguments.keys and not goes_on:
            raise UsageError("give at least one input, such as threshold=400")
        with transfer_bars(messages(), shown=not as_json):
            brought = bring_inputs(client, arguments, interface)
        values: dict[str, Any] = {"/inputs": {**asked.job.inputs, **brought}}
        if goes_on:
            values["/state"] = JobState.WAITING.value
        changed = client.server.update(
            Job, asked.job.serial, Change(values=values, expected_version=asked.job.occ_lock_version)
        )
    _say(changed, as_json=as_json)
    return 0


def finish(job: int, items: tuple[str, ...] = (), *, server: Server = None, as_json: Json = False) -> int:
    """
    Finish a job that waits for a person, with its outputs.

    Exit code 0: done; 1: the job or its outputs do not allow it; 2: called wrongly, and nothing has changed.

    Example: `xfworker job finish 12 side=left mask@mask.omni`

    Args:
        job: The job's serial.
        items: Outputs, as `xfworker run` takes inputs: key=value, key:=json, key@file; files become the job's.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the job as one JSON document.
    """
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.composition.image_formats import image_formats

    with linked(server) as client:
        asked = _AskedJob.of(client.server, job)
        if asked.job.state is not JobState.READY_FOR_INTERACTIVE:
            raise IllegalTransition(
                f"{asked.job} is {asked.job.state.value}; only a job that waits for a person "
                f"({JobState.READY_FOR_INTERACTIVE.value}) is finished by one"
            )
        interface = _declared(asked.task_type.interface, "outputs")
        arguments = read_inputs(items, interface, image_formats(), part="output")
        for key in arguments.sequences:
            raise UsageError(f"{key}: an output is one value or file, not a sequence of them")
        outputs = {**arguments.values, **earlier_values(client.server, arguments, interface, part="output")}
        with transfer_bars(messages(), shown=not as_json):
            outputs |= dict(_stored(client, asked.job, arguments.files))
        values = {"/outputs": {**asked.job.outputs, **outputs}, "/state": JobState.DONE.value}
        changed = client.server.update(
            Job, asked.job.serial, Change(values=values, expected_version=asked.job.occ_lock_version)
        )
    _say(changed, as_json=as_json)
    return 0


def _declared(interface: Mapping[str, Any], part: str) -> dict[str, Any] | None:
    """Give what an interface declares as inputs, which items are read by; ``None`` where it declares nothing."""
    return {"inputs": list(declared_fields(interface, part).values())} if interface.get(part) else None


def _stored(client: "Client", job: Job, files: Mapping[str, StagedFile]) -> Iterator[tuple[str, dict[str, Any]]]:
    _require_names(files)
    token = client.server.file_token([Scope("write", record_resource("job_result", job.serial))]) if files else None
    for key, file in files.items():
        for path in file.paths:
            resource = record_resource("job_result", job.serial, path.name)
            assert token is not None
            client.files.upload(token, path, resource, progress=reporting("upload", resource))
        yield (
            key,
            create_parameter(
                file.type,
                source="job_result",
                job_serial=job.serial,
                filename=file.paths[0].name,
                size=None if file.size is None else list(file.size),
                filenames=[path.name for path in file.paths[1:]] or None,
            ),
        )


def _require_names(files: Mapping[str, StagedFile]) -> None:
    taken: dict[str, str] = {}
    for key, file in files.items():
        for path in file.paths:
            other = taken.setdefault(path.name.casefold(), key)
            if other != key:
                raise UsageError(f"{key} and {other} have files of one name, {path.name}; rename one of them")


def _say(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(to_json(job))
    else:
        results().print(f"job {job.serial}: {job.state.value}")
