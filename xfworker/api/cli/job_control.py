"""``xfworker job list|show|log|restart|abort``."""

import codecs
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.api.cli.console import messages, print_json, print_table, results
from xfworker.api.cli.job_display import formatted_value, type_of, unit_of
from xfworker.api.cli.server_link import Json, Server, linked
from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.errors import AccessError, FileNotInStore, RecordError, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_logs import LOG_FILENAME, earlier_log
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Task, TaskType
from xfworker.services.pilots.known_pilot import silent_pilot_of

if TYPE_CHECKING:
    from xfworker.api.composition.client import Client

_POLL_SECONDS = 1.0
_NOT_ENDED = (JobState.WAITING, JobState.READY, JobState.RUNNING)


class _PrintedLog:
    """A job's log on its way to stdout."""

    def __init__(self, client: "Client", job: int, name: str) -> None:
        self._client = client
        self._log = record_resource("job_log", job, name)
        # Blocks end anywhere, also within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.offset = 0

    def go_on(self) -> None:
        """Print what was written since the last time."""
        token = self._client.server.file_token([Scope("read", self._log)])
        try:
            if self._client.files.stat(token, self._log).size <= self.offset:
                return
            for block in self._client.files.open_read(token, self._log, offset=self.offset):
                sys.stdout.write(self._decoder.decode(block))
                self.offset += len(block)
        except FileNotInStore:
            return
        sys.stdout.flush()

    def end(self) -> None:
        """Print what is left: the beginning of a character that never ended."""
        sys.stdout.write(self._decoder.decode(b"", final=True))
        sys.stdout.flush()


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

    Exit code 0: listed. Example: `xfworker job list --workflow 3 --state Failed`

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
    rows = [
        (job.serial, job.workflow_serial, job.task_serial, job.run_serial, job.state.value, job.name, _reason(job))
        for job in jobs
    ]
    headings = ("job", "workflow", "task", "run", "state", "name", "note")
    print_table(headings, rows, text=("name", "note"))
    return 0


def show(job: int, *, server: Server = None, as_json: Json = False) -> int:
    """
    Show a job: its task, inputs, outputs, and what happened to it.

    Exit code 0: shown; 1: there is no such job. Example: `xfworker job show 12`

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
    if record.started_at is not None:
        out.print(_times(record.started_at, record.finished_at))
    if _reason(record):
        out.print(_reason(record))
    rows = [("in", key, type_of(value), formatted_value(value)) for key, value in record.inputs.items()]
    rows += [
        ("out", key, type_of(value), formatted_value(value, unit_of(record, key)))
        for key, value in record.outputs.items()
    ]
    if rows:
        out.print("")
        print_table(("", "key", "type", "value"), rows, text=("key", "value"))
    if events:
        out.print("")
        print_table(("time", "who", "event"), [_event_row(event) for event in events], text=("who", "event"))
    return 0


def log(
    job: int,
    *,
    attempt: int | None = None,
    follow: Annotated[bool, Parameter(negative="")] = False,
    server: Server = None,
) -> int:
    """
    Print what a job's script wrote.

    Exit code 0: printed; 1: there is no such job, or no log of that attempt.

    Example: `xfworker job log 12 --follow`

    Args:
        job: The job's serial.
        attempt: Which attempt's log; by default the latest's.
        follow: Go on until the job has ended.
        server: The server's address, or the data folder of one that runs on this computer.
    """
    with linked(server) as client:
        name = LOG_FILENAME if attempt is None else _log_of_attempt(client, job, attempt)
        printed = _PrintedLog(client, job, name)
        printed.go_on()
        while follow and name == LOG_FILENAME and client.server.get(Job, job).state in _NOT_ENDED:
            time.sleep(_POLL_SECONDS)
            printed.go_on()
        printed.go_on()
        printed.end()
    if not printed.offset and attempt is not None:
        messages().print(f"xfworker: job {job} has no log of attempt {attempt}; see: xfworker job files {job}")
        return 1
    if not printed.offset:
        messages().print(f"job {job} has no log yet")
    return 0


def _log_of_attempt(client: "Client", job: int, attempt: int) -> str:
    latest = client.server.get(Job, job).attempt
    if not 1 <= attempt <= latest:
        raise UsageError(f"--attempt {attempt}: job {job} has had {latest} attempts")
    return LOG_FILENAME if attempt == latest else earlier_log(attempt)


def restart(jobs: tuple[int, ...], *, server: Server = None, as_json: Json = False) -> int:
    """
    Let jobs that have ended run again; all that follows from them waits for them.

    Each is tried, whatever becomes of the others. Exit code 0: all are restarted; 1: one could not be.

    Example: `xfworker job restart 12 13`

    Args:
        jobs: The jobs' serials.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    return _each(jobs, server, lambda control, serial: control.restart_job(serial), as_json=as_json)


def abort(
    jobs: tuple[int, ...],
    *,
    cancel_batch_job: Annotated[bool, Parameter(negative="")] = False,
    data: Path | None = None,
    server: Server = None,
    as_json: Json = False,
) -> int:
    """
    Abort jobs. Those that run are asked to stop, which their workers do within seconds.

    Each is tried, whatever becomes of the others. Exit code 0: all are aborted or asked; 1: one could not be, or the
    batch system refused.

    Example: `xfworker job abort 12 13`

    Args:
        jobs: The jobs' serials.
        cancel_batch_job: Wait up to a minute for the pilots of a cluster that run these jobs, and cancel the batch job
            of each that is not heard of, because its machine hangs or is suspended; other jobs of it run again
            elsewhere.
        data: The folder of --data when the pilots were submitted.
        server: The server's address, or the data folder of one that runs on this computer.
        as_json: Print one JSON document.
    """
    if not cancel_batch_job:
        return _each(jobs, server, lambda control, serial: control.abort_job(serial), as_json=as_json)
    from xfworker.api.cli.cluster import pilots_here, say_stopped
    from xfworker.services.pilots.aborted_jobs import AbortedJobs

    with pilots_here(server, data) as pilots:
        aborted = AbortedJobs(pilots=pilots)

        def abort_one(control: HttpWorkflowControl, serial: int) -> Job:
            aborted.add(pilots.server.get(Job, serial))
            return control.abort_job(serial)

        code = _each(jobs, server, abort_one, as_json=as_json)
        for pilot in aborted.cancel_unanswering():
            say_stopped(pilot)
    return code


def _each(
    jobs: tuple[int, ...], server: str | None, change: Callable[[HttpWorkflowControl, int], Job], *, as_json: bool
) -> int:
    if not jobs:
        raise UsageError("name at least one job")
    changed: list[Job] = []
    failed: list[dict[str, Any]] = []
    with linked(server) as client:
        control = HttpWorkflowControl(client.transport)
        for serial in dict.fromkeys(jobs):
            try:
                job = change(control, serial)
            except (RecordError, AccessError) as error:
                failed.append({"job_serial": serial, "error": str(error)})
                messages().print(f"xfworker: {error}")
                continue
            changed.append(job)
            if silent := silent_pilot_of(client.server, job, datetime.now(UTC)):
                messages().print(silent)
            if not as_json:
                results().print(f"job {job.serial}: {_state(job)}")
    if as_json:
        print_json({"jobs": [to_json(job) for job in changed], "errors": failed})
    return 1 if failed else 0


def _state(job: Job) -> str:
    return "asked to stop" if job.state is JobState.RUNNING and "abort_requested" in job.metadata else job.state.value


def _event_row(event: ActivityEvent) -> tuple[str, str, str]:
    moment = "" if event.created_at is None else format_time(event.created_at)
    return moment, event.user or "", event.title


def _times(started: datetime, finished: datetime | None) -> str:
    """Say when a job was claimed and ended, and how long that was."""
    ended = "" if finished is None else f", ended {format_time(finished)}, {(finished - started).total_seconds():.1f} s"
    return f"claimed {format_time(started)}{ended} (installing what it needs counts; limits begin with the script)"


def _reason(job: Job) -> str:
    for key in ("error_message", "worker_missing"):
        text = job.metadata.get(key)
        if isinstance(text, str) and text:
            return text
    return "asked to stop" if "abort_requested" in job.metadata else ""
