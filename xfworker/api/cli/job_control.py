"""``xfworker job list|show|log|restart|abort``."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from xfworker.api.cli.console import messages, print_json, results
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.errors import FileNotInStore, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Task, TaskType

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

_LOG = "log.txt"
_POLL_SECONDS = 1.0


def list_jobs(
    *,
    workflow: int | None = None,
    task: int | None = None,
    run: int | None = None,
    state: Annotated[tuple[JobState, ...], Parameter(negative="")] = (),
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    List jobs.

    Args:
        workflow: Only those of this workflow.
        task: Only those of this task.
        run: Only those of this run.
        state: Only those in this state; may be repeated.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    named = {"workflow_serial": workflow, "task_serial": task, "run_serial": run}
    where: dict[str, Any] = {name: serial for name, serial in named.items() if serial is not None}
    if state:
        where["state"] = tuple(state)
    with linked(server) as client:
        jobs = client.server.find(Job, where)
    if as_json:
        print_json({"jobs": [to_json(job) for job in jobs]})
        return 0
    from rich.table import Table

    table = Table()
    for heading in ("job", "workflow", "task", "run", "state", "name", "note"):
        table.add_column(heading)
    for job in jobs:
        numbers = [job.serial, job.workflow_serial, job.task_serial, job.run_serial]
        shown = ["" if number is None else str(number) for number in numbers]
        table.add_row(*shown, job.state.value, job.name, _reason(job))
    results().print(table)
    return 0


def show(job: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Show a job: its task, inputs, outputs, and what happened to it.

    Args:
        job: The job's serial.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    with linked(server) as client:
        record = client.server.get(Job, job)
        task = client.server.get(Task, record.task_serial)
        task_type = client.server.get(TaskType, task.task_type_serial)
        events = client.server.find(ActivityEvent, {"job_serial": job})
    if as_json:
        print_json({**to_json(record), "events": [to_json(event) for event in events]})
        return 0
    out = results()
    out.print(f"job {record.serial}: {record.state.value}, attempt {record.attempt}")
    out.print(f"task {task.serial}: {task.name} ({task_type.name} {task_type.version})")
    if _reason(record):
        out.print(_reason(record))
    for title, values in (("inputs", record.inputs), ("outputs", record.outputs)):
        out.print(f"{title}:")
        for key, value in values.items():
            out.print(f"  {key}: {value}")
    out.print("events:")
    for event in events:
        moment = "" if event.created_at is None else format_time(event.created_at)
        out.print(f"  {moment}  {event.user or ''}  {event.title}")
    return 0


def log(job: int, *, follow: Annotated[bool, Parameter(negative="")] = False, server: Server = None) -> int:
    """
    Print what a job's script wrote.

    Args:
        job: The job's serial.
        follow: Go on until the job has ended.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        offset = _print_log(client, job, 0)
        while follow and client.server.get(Job, job).state is JobState.RUNNING:
            time.sleep(_POLL_SECONDS)
            offset = _print_log(client, job, offset)
        if follow:
            offset = _print_log(client, job, offset)
    if offset == 0:
        messages().print(f"job {job} has no log yet")
    return 0


def restart(jobs: tuple[int, ...], *, server: Server = None) -> int:
    """
    Let jobs that have ended run again; all that follows from them waits for them.

    Args:
        jobs: The jobs' serials.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    return _each("restart", jobs, server)


def abort(jobs: tuple[int, ...], *, server: Server = None) -> int:
    """
    Abort jobs. Those that run are asked to stop.

    Args:
        jobs: The jobs' serials.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    return _each("abort", jobs, server)


def _each(what: str, jobs: tuple[int, ...], server: str | None) -> int:
    from xfworker.adapters.http.workflow_control import HttpWorkflowControl

    if not jobs:
        raise UsageError("name at least one job")
    with linked(server) as client:
        control = HttpWorkflowControl(client.transport)
        for serial in jobs:
            job = control.restart_job(serial) if what == "restart" else control.abort_job(serial)
            asked = what == "abort" and job.state is JobState.RUNNING
            results().print(f"job {job.serial}: {'asked to stop' if asked else job.state.value}")
    return 0


def _print_log(client: "Client", job: int, offset: int) -> int:
    log = record_resource("job_log", job, _LOG)
    token = client.server.file_token([Scope("read", log)])
    try:
        size = client.files.stat(token, log).size
        if size <= offset:
            return offset
        for block in client.files.open_read(token, log, offset=offset):
            sys.stdout.write(block.decode("utf-8", "replace"))
            offset += len(block)
    except FileNotInStore:
        return offset
    sys.stdout.flush()
    return offset


def _reason(job: Job) -> str:
    for key in ("error_message", "worker_missing"):
        text = job.metadata.get(key)
        if isinstance(text, str) and text:
            return text
    return "asked to stop" if "abort_requested" in job.metadata else ""
