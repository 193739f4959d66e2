"""
The skeleton of ``xfworker run``, ``run --bundle`` and ``demo``: jobs on a server of one's own, and what came of them.

The three differ in where their jobs come from and in what they compare; everything else is here, once.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from xfworker.adapters.process.environments import Installation
from xfworker.adapters.terminal.transfer_bars import Bars, transfer_bars
from xfworker.api.cli.console import messages, print_json
from xfworker.api.cli.job_display import exit_code, job_document, print_outputs, show_failure
from xfworker.api.cli.live_job import LiveJob
from xfworker.api.cli.open_page import open_page
from xfworker.api.composition.local_platform import LocalPlatform, local_platform
from xfworker.api.composition.target import Target
from xfworker.domain.errors import FileError, ServerError, UsageError
from xfworker.domain.job_logs import LOG_FILENAME
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.jobs.results import collect_files
from xfworker.services.worker.job_executor import EndedJob
from xfworker.services.worker.outcome import server_lost

if TYPE_CHECKING:
    from rich.console import Console


def _can_hold_files(_: object, __: object, out: Path) -> None:
    """Look at ``--out`` before a job works for hours whose files cannot be brought there."""
    folder = out.absolute()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        what = "a file" if folder.is_file() else "not a folder"
        raise UsageError(f"--out {out}: {folder} is {what}; name a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: {folder} cannot be written to; name another folder")


@define(frozen=True, kw_only=True)
class LocalRunOptions:
    """
    How jobs run on a server of one's own; making it raises :class:`UsageError` where ``out`` cannot be written to.

    Attributes:
        out: Folder for output files; made when there are any.
        as_json: Whether one JSON document is printed.
        keep: Whether the server's data and the working directories stay.
        data: Folder for the server's data, which stays; ``None`` for a temporary one.
        installations: What is installed for the scripts.
        open: Whether the page shows what was run when it has ended, until Ctrl-C.
    """

    out: Path = field(validator=_can_hold_files)
    as_json: bool = False
    keep: bool = False
    data: Path | None = None
    installations: tuple[Installation, ...] = ()
    open: bool = False


@define(frozen=True)
class FinishedJob:
    """
    A job that ended, or that was lost with its server.

    Attributes:
        job: Its record.
        files: For each output with files where they are now.
        code: The exit code of a command that runs this job only.
    """

    job: Job
    files: Mapping[str, Sequence[Path]]
    code: int


@define
class LocalRun:
    """
    A server of one's own on which jobs run one after another.

    Attributes:
        platform: The server.
        options: How jobs run.
        console: Where progress and messages go.
        live: Shows the job that runs.
        jobs: The jobs so far.
        comparison: What came of comparing the outputs, for the JSON document.
        pictures: What was drawn of the outputs, by what it shows.
        files_left: Whether files could not be brought to ``out`` and are in the server's data only.
    """

    platform: LocalPlatform
    options: LocalRunOptions
    console: "Console"
    live: LiveJob
    jobs: list[FinishedJob] = field(factory=list)
    comparison: Any = None
    pictures: Mapping[str, Path] = field(factory=dict)
    files_left: bool = False

    def bars(self) -> AbstractContextManager[Bars]:
        """Show how far the larger transfers of a block are."""
        return transfer_bars(self.console, shown=not self.options.as_json)

    def run_job(self, target: Target, job: Job) -> FinishedJob:
        """
        Run a job that was staged, bring its files to ``out`` and show what came of it.

        Raises:
            ServerError: The server was lost; the job stands in :attr:`jobs` all the same.
        """
        ended: EndedJob | None = None
        target = evolve(target, installations=self.options.installations)
        try:
            ended = self.platform.run_job(job, target, self.live)
            self.live.finished()
            with self.bars():
                collected = collect_files(
                    self.platform.server,
                    self.platform.files,
                    self.platform.filesystem,
                    ended.job.outputs,
                    self.options.out,
                )
        except ServerError as error:
            self.live.finished()
            known = _lost(job, server_lost(None, str(error))) if ended is None else ended.job
            self.jobs.append(FinishedJob(known, {}, 1))
            raise
        job = _lost(ended.job, ended.outcome) if ended.outcome.ending is Ending.SERVER_LOST else ended.job
        code = exit_code(job)
        if code == 1:
            show_failure(self.console, ended, target.name)
            self._keep_log(ended)
        elif code:
            message = ended.outcome.message or "no message"
            self.console.print(f"{target.name} handed the job over to a person: {message}")
        elif not self.options.as_json:
            print_outputs(job, collected.paths, title=f"{target.name}: done")
        for problem in collected.errors:
            self.console.print(problem, style="red")
        self.files_left |= collected.left
        self.jobs.append(FinishedJob(job, collected.paths, code or int(bool(collected.errors))))
        return self.jobs[-1]

    def _keep_log(self, ended: EndedJob) -> None:
        out = self.options.out
        path = self.platform.filesystem.unique_path(out / LOG_FILENAME)
        try:
            if not ended.log_path.stat().st_size:
                return
            out.mkdir(parents=True, exist_ok=True)
            self.platform.filesystem.copy(ended.log_path, path)
        except (FileError, OSError) as error:
            # What became of the job is known and shown; a script may have removed its log, and a disk may be full.
            self.console.print(f"the whole log could not be kept: {error}")
        else:
            self.console.print(f"the whole log: {path}")


def one_job(local: LocalRun) -> dict[str, Any]:
    """Give the JSON document of a run with one job: its record and files, and the comparison if there was one."""
    document = job_document(local.jobs[0].job, local.jobs[0].files)
    return document if local.comparison is None else {**document, "comparison": local.comparison}


@contextmanager
def local_run(options: LocalRunOptions, document: Callable[[LocalRun], dict[str, Any]] = one_job) -> Iterator[LocalRun]:
    """
    Start a server to run jobs on; when the block ends, print the JSON document if it is asked for, and stop the server.

    A server that is lost meanwhile still leaves a document of the jobs that were staged.
    """
    console = messages()
    with console.status("starting the server") as status, local_platform(options.data, keep=options.keep) as platform:
        status.stop()
        local = LocalRun(platform, options, console, LiveJob(console, platform.server, alive=platform.check_alive))
        try:
            with local.live.displayed():
                yield local
        except ServerError:
            if options.as_json and local.jobs:
                print_json(document(local))
            raise
        if options.as_json:
            print_json(document(local))
        if options.open and local.jobs:
            open_page(platform, _page_of(local.jobs), console)
        if local.files_left and options.data is None:
            platform.keep()
        if options.keep or options.data is not None or local.files_left:
            console.print(f"kept: {options.data or platform.folder}")


def _page_of(jobs: Sequence[FinishedJob]) -> str:
    """Give the path of the page that shows what was run: a job, or the board of several."""
    last = jobs[-1].job
    return f"/jobs/{last.serial}" if len(jobs) == 1 else f"/workflows/{last.workflow_serial}"


def _lost(job: Job, outcome: Outcome) -> Job:
    """Give a job as it must be taken where its server is gone: it is not known what was stored."""
    metadata = {**job.metadata, "outcome": outcome.to_json(), "error_message": outcome.message}
    return evolve(job, state=JobState.FAILED, metadata=metadata)
