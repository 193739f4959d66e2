"""Shows a job and its script's output while it runs."""

import codecs
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from xfworker.adapters.process.script_log import last_state
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.records import Job
from xfworker.ports.job_queue import Lease
from xfworker.ports.job_runner import RunningScript
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.progress import PERCENTAGE
from xfworker.services.worker.job_executor import ExecutionEvents

_ASK_SECONDS = 1.0
_TAKEN = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGINT)}
_LONGEST_LINE = 256 * 1024
"""Characters. What is longer is shown in parts, so that output without line ends is shown, and fills no memory."""


class _JobProgress(Progress):
    """The bar of a job, and below it the line that its script is still writing: a progress bar of its own, say."""

    line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.line.strip():
            yield Text(self.line, no_wrap=True, overflow="ellipsis")


class ScriptOutput:
    """
    Shows what a script writes, as it comes.

    On a terminal lines stand above what moves; a line that is not ended yet is shown below the job's bar, in its last
    state where the script goes back to its beginning (a carriage return). Elsewhere all is passed on as it is.
    """

    def __init__(self, console: Console, show_line: Callable[[str], None]) -> None:
        """
        Prepare.

        Args:
            console: Where to show.
            show_line: Shows the line that is not ended yet.
        """
        self._console = console
        self._show_line = show_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""
        self._held = ""
        self._lock = threading.Lock()

    def write(self, piece: bytes) -> None:
        """Show a piece of output."""
        with self._lock:
            self._write(self._decoder.decode(piece))

    def end(self) -> None:
        """Show what was written without a line end."""
        with self._lock:
            self._write(self._decoder.decode(b"", final=True))
            if self._open:
                self._write("\n")
            self._decoder.reset()

    def _write(self, text: str) -> None:
        if self._console.is_terminal:
            self._show(text)
        else:
            self._pass_on(text)

    def _show(self, text: str) -> None:
        lines, ended, rest = (self._open + text).rpartition("\n")
        if ended:
            self._console.out("\n".join(map(last_state, lines.split("\n"))), highlight=False)
        self._open = last_state(rest) + ("\r" if rest.endswith("\r") else "")
        if len(self._open) > _LONGEST_LINE:
            self._console.out(self._open, highlight=False)
            self._open = ""
        self._show_line(last_state(self._open))

    def _pass_on(self, text: str) -> None:
        # A script that writes much must not wait for a console that lays out what nobody looks at.
        ends = text.endswith("\r")
        self._console.file.write((self._held + text.removesuffix("\r")).replace("\r\n", "\n"))
        self._console.file.flush()
        self._held = "\r" if ends else ""
        self._open = text.rpartition("\n")[2] if text else self._open


class LiveJob(ExecutionEvents):
    """Shows a job's progress and its script's output while it runs, and passes signals on to the script."""

    def __init__(self, console: Console, server: XFServer, *, alive: Callable[[], None] = lambda: None) -> None:
        """
        Prepare.

        Args:
            console: Where to show.
            server: Is asked for the job's progress.
            alive: Raises when the server is gone; called some times a second.
        """
        self._server = server
        self._alive = alive
        self._script: RunningScript | None = None
        self._signals = 0
        self._asked_at = 0.0
        self._task: TaskID | None = None
        self.progress = _JobProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_interactive,
        )
        self._output = ScriptOutput(console, self._show_line)

    @contextmanager
    def displayed(self) -> Iterator[None]:
        """Take Ctrl-C and the like for the script; its progress is shown from its start until it is finished."""
        before = {number: signal.signal(number, self._pass_on) for number in _TAKEN}
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
        self._output.write(piece)

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
        self._output.end()
        if self._task is not None:
            self.progress.remove_task(self._task)
            self._task = None
        self._hide()

    def _hide(self) -> None:
        # Where nothing was shown, stopping would print an empty line.
        if self.progress.live.is_started:
            self.progress.stop()

    def _show_line(self, line: str) -> None:
        self.progress.line = line

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        if self._script is None:
            raise KeyboardInterrupt
        if self._signals == 1:
            self._script.pass_signal(number)
        else:
            self._script.abort()
