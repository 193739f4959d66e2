"""``lab = xfworker.connect("labdata")``: a server as people see it in a notebook."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from xfworker.api.notebook.table import table
from xfworker.api.notebook.waiting import wait_until_ended
from xfworker.domain.errors import FileError, RecordNotFound, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import Sequence
from xfworker.domain.record import Record
from xfworker.domain.records import Job, Project, Run, RunPriority, Task, Workflow
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.workflow_control import WorkflowControl
from xfworker.ports.xf_server import XFServer
from xfworker.services.jobs.result_table import result_table
from xfworker.services.jobs.results import collect_files
from xfworker.services.jobs.user_files import store_user_file, user_resources

if TYPE_CHECKING:
    from xfworker.api.facade.omni import Image

_LOG = "log.txt"


class Server:
    """
    A server: its workflows, runs, jobs, images and values.

    Tables are ``pandas.DataFrame`` where pandas is installed, else :class:`~xfworker.api.notebook.table.Table`. Files
    that are fetched stay in a temporary folder until :meth:`close`, or until Python ends.
    """

    def __init__(
        self,
        *,
        name: str,
        server: XFServer,
        control: WorkflowControl,
        files: FileStore,
        filesystem: Filesystem,
        folder: Path,
        stack: ExitStack | None = None,
    ) -> None:
        """
        Put it together; :func:`connect` does.

        Args:
            name: What it is called.
            server: The records.
            control: Starts runs, restarts and aborts jobs.
            files: The files.
            filesystem: The local disks.
            folder: Where fetched files go.
            stack: What is closed with it.
        """
        self._name = name
        self._server = server
        self._control = control
        self._files = files
        self._filesystem = filesystem
        self._folder = folder
        self._stack = stack or ExitStack()

    def __repr__(self) -> str:
        return f"Server({self._name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections, and remove the files that were fetched."""
        self._stack.close()

    # --- tables --------------------------------------------------------------------------------------------------

    def projects(self) -> Any:
        """Give the projects as a table."""
        rows = [{"project": item.serial, "name": item.name} for item in self._server.find(Project, {"obsolete": False})]
        return table(("project", "name"), rows)

    def workflows(self) -> Any:
        """Give the workflows as a table."""
        workflows = self._server.find(Workflow, {"obsolete": False})
        rows = [
            {"workflow": item.serial, "project": item.project_serial, "name": item.name, "state": item.state.value}
            for item in workflows
        ]
        return table(("workflow", "project", "name", "state"), rows)

    def runs(self, workflow: int | str) -> Any:
        """
        Give the runs of a workflow with their results as a table: a row per run, a column per output with its unit.

        Args:
            workflow: Its serial or its name.

        Raises:
            RecordNotFound: There is no such workflow.
            UsageError: Several have the name.
        """
        where = {"workflow_serial": self._workflow(workflow).serial}
        made = result_table(
            self._server.find(Run, where), self._server.find(Task, where), self._server.find(Job, where)
        )
        return table(made.columns, made.rows)

    def jobs(self, *, workflow: int | str | None = None, run: int | None = None, state: str | None = None) -> Any:
        """
        Give jobs as a table.

        Args:
            workflow: Only those of this workflow: its serial or its name.
            run: Only those of this run.
            state: Only those in this state, such as ``"Failed"``.

        Raises:
            UsageError: There is no such state.
        """
        where: dict[str, Any] = {}
        if workflow is not None:
            where["workflow_serial"] = self._workflow(workflow).serial
        if run is not None:
            where["run_serial"] = run
        if state is not None:
            where["state"] = _state(state)
        columns = ("job", "workflow", "task", "run", "state", "name", "error")
        rows = [
            {
                "job": job.serial,
                "workflow": job.workflow_serial,
                "task": job.task_serial,
                "run": job.run_serial,
                "state": job.state.value,
                "name": job.name,
                "error": job.metadata.get("error_message"),
            }
            for job in self._server.find(Job, where)
        ]
        return table(columns, rows)

    def sequence(self, task: int, output: str) -> list[Any]:
        """
        Give the values of an output over all done jobs of a task, in sort order.

        Args:
            task: The task's serial.
            output: The output's key.

        Raises:
            RecordNotFound: There is no such task.
        """
        values = self._server.output_values(Sequence(task_serial=task, key=output))
        return [item.value for item in values]

    # --- one job -------------------------------------------------------------------------------------------------

    def job(self, serial: int) -> dict[str, Any]:
        """Give a job's record, with its ``inputs``, ``outputs`` and ``state``."""
        from xfworker.domain.conversion import to_json

        return to_json(self._server.get(Job, serial))

    def log(self, job: int) -> str:
        """Give what a job's script wrote; an empty string where there is nothing yet."""
        log = record_resource("job_log", self._server.get(Job, job).serial, _LOG)
        token = self._server.file_token([Scope("read", log)])
        try:
            return b"".join(self._files.open_read(token, log)).decode("utf-8", "replace")
        except FileError:
            return ""

    def files(self, job: int, output: str) -> list[Path]:
        """
        Fetch the files of an output of a job, the main one first; fetched once, they are where they were.

        Raises:
            UsageError: The job has no such output, or it has no files.
            FileError: They could not be fetched.
        """
        record = self._server.get(Job, job)
        if output not in record.outputs:
            known = ", ".join(record.outputs) or "none"
            raise UsageError(f"job {job} ({record.state.value}) has no output {output!r}; it has: {known}")
        # A job that ran again has another version, and files of its own.
        name = hashlib.sha256(output.encode()).hexdigest()[:16]
        folder = self._folder / f"job-{job}-{record.occ_lock_version}" / name
        here = sorted(folder.iterdir()) if folder.is_dir() else []
        chosen = {output: record.outputs[output]}
        if not here:
            collected = collect_files(self._server, self._files, self._filesystem, chosen, folder)
            if collected.errors:
                raise FileError("; ".join(collected.errors))
            here = collected.paths.get(output, [])
        if not here:
            raise UsageError(f"output {output!r} of job {job} has no files")
        main = record.outputs[output].get("filename") if isinstance(record.outputs[output], Mapping) else None
        return sorted(here, key=lambda path: path.name != main)

    def image(self, job: int, output: str) -> "Image":
        """
        Fetch an image output of a job and open it; ``.pixels`` is an array ``(z, y, x)``.

        Raises:
            UsageError: The job has no such output, or it has no files.
            ImageError: It is not an image.
        """
        from xfworker.api.facade.omni import open_image

        return open_image(self.files(job, output)[0])

    # --- start and wait ------------------------------------------------------------------------------------------

    def start(
        self,
        workflow: int | str,
        inputs: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        sample: str | None = None,
        source_task: int | None = None,
        priority: str = "Normal",
    ) -> int:
        """
        Start a run of a workflow, and give its serial.

        Args:
            workflow: Its serial or its name.
            inputs: Inputs of the source task. A ``pathlib.Path`` is a file, which is stored on the server: an image
                by content, a table, else a ``ForeignFile``.
            name: What the run is called.
            sample: What the run is about; a new entity of this name.
            source_task: The source task's serial, where the workflow has several.
            priority: ``Paused``, ``Normal`` or ``High``.

        Raises:
            InvalidParameter: The inputs do not fit, or a file is not there.
            IllegalTransition: The workflow is a draft.
        """
        serial = self._workflow(workflow).serial
        chosen = _priority(priority)
        files = {key: _described(value) for key, value in (inputs or {}).items() if isinstance(value, Path)}
        values = {key: value for key, value in (inputs or {}).items() if key not in files}
        for key, file in files.items():
            values[key] = store_user_file(self._server, self._files, file, user_resources(file))
        started = self._control.start_run(
            serial,
            inputs=values or None,
            task_serial=source_task,
            name=name,
            entity=None if sample is None else _new_entity(sample),
            priority=chosen,
        )
        return started.serial

    def wait(self, run: int, *, timeout_seconds: float | None = None) -> Any:
        """
        Wait until all jobs of a run have ended or wait for a person, and give them as a table.

        Raises:
            JobError: The time is over.
        """
        serial = self._server.get(Run, run).serial
        wait_until_ended(lambda: self._server.find(Job, {"run_serial": serial}), f"run {serial}", timeout_seconds)
        return self.jobs(run=serial)

    def restart(self, job: int) -> str:
        """Let a job that has ended run again, and give its state."""
        return self._control.restart_job(job).state.value

    def abort(self, job: int) -> str:
        """Abort a job, and give its state; one that runs is asked to stop."""
        return self._control.abort_job(job).state.value

    # --- inside --------------------------------------------------------------------------------------------------

    def _workflow(self, named: int | str) -> Workflow:
        if isinstance(named, int):
            return self._server.get(Workflow, named)
        workflows = self._server.find(Workflow, {"name": named, "obsolete": False})
        if not workflows:
            raise RecordNotFound(f"there is no workflow {named!r}; there are: {_names(self._server.find(Workflow))}")
        if len(workflows) > 1:
            serials = ", ".join(str(item.serial) for item in workflows)
            raise UsageError(f"workflows {serials} are all called {named!r}; name one by its serial")
        return workflows[0]


def _names(records: Iterable[Record]) -> str:
    return ", ".join(repr(getattr(record, "name", "")) for record in records) or "none"


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a state of jobs; states are {', '.join(JobState)}") from None


def _priority(text: str) -> RunPriority:
    try:
        return RunPriority(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a priority; priorities are {', '.join(RunPriority)}") from None


def _described(path: Path) -> Any:
    from xfworker.api.composition.image_formats import image_formats
    from xfworker.api.composition.input_files import describe_input_file

    return describe_input_file(path, None, image_formats())


def _new_entity(name: str) -> dict[str, Any]:
    import uuid

    return {"uuid": str(uuid.uuid4()), "name": name}
