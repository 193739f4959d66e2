"""``xfworker workflow start|stop|run|status``."""

from typing import TYPE_CHECKING, Any, Literal

from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.server_inputs import bring_inputs
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.change import Change
from xfworker.domain.conversion import to_json
from xfworker.domain.interface import declared_fields
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, RunPriority, Task, TaskState, TaskType, Workflow, WorkflowState
from xfworker.domain.scheduling import own_inputs
from xfworker.domain.workflow_graph import Graph, Step, source_of_run
from xfworker.ports.xf_server import XFServer

if TYPE_CHECKING:
    pass


def start(workflow: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Start a workflow: its ready jobs are handed out, and finished jobs are followed by others.

    Exit code 0: started; 1: it could not be. Example: `xfworker workflow start 3`

    Args:
        workflow: The workflow's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the workflow as one JSON document.
    """
    return _set_state(workflow, WorkflowState.ACTIVE, server, as_json=as_json)


def stop(workflow: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Stop a workflow: no more jobs are handed out; those that run go on to their end.

    Exit code 0: stopped; 1: it could not be. Example: `xfworker workflow stop 3`

    Args:
        workflow: The workflow's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the workflow as one JSON document.
    """
    return _set_state(workflow, WorkflowState.STOPPED, server, as_json=as_json)


def run(
    workflow: int,
    items: tuple[str, ...] = (),
    *,
    name: str = "",
    source_task: int | None = None,
    priority: Literal["Paused", "Normal", "High"] = "Normal",
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Start a run of a workflow.

    Exit code 0: started; 1: the workflow does not allow it; 2: called wrongly, and nothing is started.

    Example: `xfworker workflow run 3 image@scan.aim --name "left femur"`

    Args:
        workflow: The workflow's serial.
        items: Inputs of the source task, as key=value, key:=json or key@file.
        name: What the run is called.
        source_task: The source task's serial, where the workflow has several.
        priority: How soon the run's jobs are handed out.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print the run as one JSON document.
    """
    from xfworker.adapters.http.workflow_control import HttpWorkflowControl
    from xfworker.adapters.terminal.transfer_bars import transfer_bars
    from xfworker.api.cli.items import read_inputs
    from xfworker.api.composition.image_formats import image_formats

    with linked(server) as client:
        # Everything is looked at before the first file is uploaded.
        source = _source(client.server, workflow, source_task, takes_values=bool(items))
        interface = None if source is None else _asked(source)
        read = read_inputs(items, interface, image_formats())
        with transfer_bars(messages(), shown=not as_json):
            inputs = bring_inputs(client, read, interface)
        started = HttpWorkflowControl(client.transport).start_run(
            workflow, inputs=inputs or None, task_serial=source_task, name=name, priority=RunPriority(priority)
        )
    if as_json:
        print_json(to_json(started))
    else:
        results().print(f"run {started.serial}: {started.name}" if started.name else f"run {started.serial}")
    return 0


def status(workflow: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Show how far a workflow is: its tasks, and their jobs by state.

    Exit code 0: shown; 1: there is no such workflow. Example: `xfworker workflow status 3`

    Args:
        workflow: The workflow's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        record = client.server.get(Workflow, workflow)
        tasks = client.server.find(Task, {"workflow_serial": workflow})
        jobs = client.server.find(Job, {"workflow_serial": workflow})
        runs = client.server.find(Run, {"workflow_serial": workflow})
    counts = {task.serial: {state.value: 0 for state in JobState} for task in tasks}
    for job in jobs:
        counts[job.task_serial][job.state.value] += 1
    if as_json:
        document = {"workflow": to_json(record), "runs": len(runs)}
        print_json({**document, "tasks": [{**to_json(task), "jobs": counts[task.serial]} for task in tasks]})
        return 0
    _show(record, tasks, counts, len(runs))
    for missing in sorted({str(job.metadata["worker_missing"]) for job in jobs if "worker_missing" in job.metadata}):
        messages().print(missing)
    return 0


def _show(record: Workflow, tasks: list[Task], counts: dict[int, dict[str, int]], runs: int) -> None:
    rows = [
        (task.serial, task.name, ", ".join(f"{count} {state}" for state, count in counts[task.serial].items() if count))
        for task in tasks
    ]
    title = f"workflow {record.serial}: {record.name} ({record.state.value}, {runs} runs)"
    print_table(("task", "name", "jobs"), rows, title=title, text=("name", "jobs"))


def _set_state(workflow: int, state: WorkflowState, server: str | None, *, as_json: bool) -> int:
    with linked(server) as client:
        changed = client.server.update(Workflow, workflow, Change(values={"/state": state.value}))
    if as_json:
        print_json(to_json(changed))
    else:
        results().print(f"workflow {changed.serial}: {changed.state.value}")
    return 0


def _source(server: XFServer, workflow: int, source_task: int | None, *, takes_values: bool) -> Step | None:
    """Give the source task that the run will start with, by the server's own rule."""
    record = server.get(Workflow, workflow)
    tasks = server.find(Task, {"workflow_serial": workflow, "state": TaskState.ACTIVE})
    steps = [Step(task, server.get(TaskType, task.task_type_serial)) for task in tasks]
    return source_of_run(record, Graph.of(steps), source_task, takes_values=takes_values)


def _asked(source: Step) -> dict[str, Any]:
    """Give the interface without what the task sets itself; that may be given, and need not."""
    own = own_inputs(source)
    fields = declared_fields(source.task_type.interface, "inputs")
    return {"inputs": [{**field, "default": own.get(key, field.get("default"))} for key, field in fields.items()]}
