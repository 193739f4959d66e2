"""Shows running jobs and what came of them."""

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from xfworker.adapters.process.script_log import read_end
from xfworker.domain.conversion import to_json
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.job_outcome import Ending
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.ports.job_queue import Lease
from xfworker.ports.job_runner import RunningScript
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.progress import PERCENTAGE
from xfworker.services.worker.job_executor import EndedJob, ExecutionEvents

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_ASK_SECONDS = 1.0
_MOST_CHARACTERS = 100
_LONGEST_LINE_BYTES = 256 * 1024
"""What is longer is shown in parts, so that output without line ends is shown at all, and fills no memory."""

HEADLINES: dict[Ending, str] = {
    Ending.ERROR_REPORTED: "the script reported an error",
    Ending.CRASHED: "the script crashed",
    Ending.KILLED: "the script was killed",
    Ending.OUT_OF_MEMORY: "the script ran out of memory",
    Ending.TIMED_OUT: "the script took too long",
    Ending.ABORTED: "the job was aborted",
    Ending.NO_FINISH: "the script ended without calling finish()",
    Ending.NOT_STARTED: "the script could not be started",
    Ending.SERVER_LOST: "the server was lost",
}
"""The kinds of failures, as people read them."""


class LiveJob(ExecutionEvents):
    """Shows a job's progress and its script's output while it runs, and passes signals on to the script."""

    def __init__(self, console: "Console", server: XFServer, *, alive: Callable[[], None] = lambda: None) -> None:
        """
        Prepare.

        Args:
            console: Where to show.
            server: Is asked for the job's progress.
            alive: Raises when the server is gone; called some times a second.
        """
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._server = server
        self._alive = alive
        self._script: RunningScript | None = None
        self._signals = 0
        self._line = bytearray()
        self._lock = threading.Lock()
        self._asked_at = 0.0
        self._task: TaskID | None = None
        self.progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_interactive,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for the script; its progress is shown from its start until it is finished."""
        before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self._hide()
            for number, handler in before.items():
                signal.signal(number, handler)

    def started(self, lease: Lease, script: RunningScript) -> None:
        self._script = script
        self.progress.start()
        self._task = self.progress.add_task(lease.job.name or lease.task.name, total=100)

    def output(self, lease: Lease, piece: bytes) -> None:
        del lease
        with self._lock:
            whole, end, rest = piece.rpartition(b"\n")
            if end:
                self._print(bytes(self._line) + whole)
                self._line.clear()
            self._line += rest
            if len(self._line) > _LONGEST_LINE_BYTES:
                self._print_rest()

    def waiting(self, lease: Lease) -> None:
        self._alive()
        now = self.progress.get_time()
        if self._task is None or now < self._asked_at + _ASK_SECONDS:
            return
        self._asked_at = now
        try:
            job = self._server.get(Job, lease.job.serial)
        except XFWorkerError:
            return
        done = job.metadata.get(PERCENTAGE)
        self.progress.update(self._task, completed=float(done) if isinstance(done, int | float) else 0.0)

    def finished(self) -> None:
        """Let go of the script and print what it wrote without a line end."""
        self._script = None
        with self._lock:
            self._print_rest()
        if self._task is not None:
            self.progress.remove_task(self._task)
            self._task = None
        self._hide()

    def _hide(self) -> None:
        # Where nothing was shown, stopping would print an empty line.
        if self.progress.live.is_started:
            self.progress.stop()

    def _print_rest(self) -> None:
        if self._line:
            self._print(bytes(self._line))
            self._line.clear()

    def _print(self, lines: bytes) -> None:
        text = lines.decode("utf-8", "replace").replace("\r\n", "\n")
        console = self.progress.console
        if console.is_terminal:
            console.out(text, highlight=False)
        else:
            # A script that writes much must not wait for a console that lays out what nobody looks at.
            console.file.write(text + "\n")
            console.file.flush()

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        if self._script is None:
            raise KeyboardInterrupt
        if self._signals == 1:
            self._script.pass_signal(number)
        else:
            self._script.abort()


def show_failure(console: "Console", ended: EndedJob, name: str) -> None:
    """Say what kind of failure it was, with the message and the end of the log."""
    end = read_end(ended.log_path)
    if end:
        console.rule(f"end of the log of {name}", style="dim")
        console.out(end, highlight=False)
        console.rule(style="dim")
    outcome = ended.outcome
    headline = HEADLINES.get(outcome.ending, "the job failed")
    message = outcome.message
    error = ended.job.metadata.get("error_message")
    if isinstance(error, str) and error and error not in message:
        message = f"{message}; it had reported: {error}" if message else error
    said = message if message.startswith(headline) else f"{headline}: {message}" if message else headline
    console.print(f"{name} failed: {said}", style="red")


def outputs_table(job: Job, files: Mapping[str, Sequence[Path]], *, title: str) -> Any:
    """Give a table of a job's outputs: key, type, value and where the files are."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for heading in ("output", "type", "value", "files"):
        table.add_column(heading, overflow="fold")
    units = job.metadata.get("output_units")
    for key, value in job.outputs.items():
        unit = units.get(key, "") if isinstance(units, Mapping) else ""
        paths = "\n".join(_relative(path) for path in files.get(key, ()))
        table.add_row(*map(Text, (key, type_of(value), formatted_value(value, unit), paths)))
    return table


def job_document(job: Job, files: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Give a job's record as JSON, with ``files``: for each output with files their absolute paths."""
    return {**to_json(job), "files": {key: [str(path.resolve()) for path in paths] for key, paths in files.items()}}


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def type_of(value: Any) -> str:
    """Give the name of a value's parameter type."""
    if isinstance(value, Mapping):
        return str(value.get("type", "object"))
    names = {bool: "Bool", int: "Int", float: "Float", str: "String", type(None): "none"}
    return names.get(type(value), type(value).__name__)


def formatted_value(value: Any, unit: str = "") -> str:
    """Write a value on one line, shortened; of a composite its main file or name."""
    if isinstance(value, Mapping):
        size = value.get("size")
        words = [str(value[key]) for key in ("filename", "name", "virtualpath") if value.get(key)][:1]
        if isinstance(size, list):
            words.append(" x ".join(map(str, size)))
        if words or "type" in value:
            return ", ".join(words)
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[: _MOST_CHARACTERS - 3]}..."
    return f"{text} {unit}".rstrip()


def exit_code(job: Job) -> int:
    """Give the command line's exit code for a job: 0 done, 3 handed over to a person, 1 otherwise."""
    if job.state is JobState.DONE:
        return 0
    return 3 if job.state is JobState.READY_FOR_INTERACTIVE else 1
