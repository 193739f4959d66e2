"""Python's hook for uncaught exceptions, so that a script's failure is read on the job and not only in its log."""

import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from xfworker.domain.errors import ConfigurationError, XFWorkerError
from xfworker.services.script.uncaught import describe_exception, script_frames

if TYPE_CHECKING:
    from xfworker.api.facade.notebook_cells import NotebookCells

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]
ThreadHook = Callable[[threading.ExceptHookArgs], object]


class ExceptionHook:
    """Takes over ``sys.excepthook`` and ``threading.excepthook``, and looks at notebook cells, until it is removed."""

    def __init__(self, report: Callable[[str], object]) -> None:
        """
        Take nothing over yet.

        Args:
            report: Called with what people should read; what it raises is written to stderr and goes no further.
        """
        self.report = report
        self._previous: Hook | None = None
        self._previous_thread: ThreadHook | None = None
        self._first: Hook | None = None
        self._first_thread: ThreadHook | None = None
        self._showing: BaseException | None = None
        self._cells: NotebookCells | None = None

    def install(self) -> None:
        """Take the hooks over, also from code that has taken them over since the last call."""
        # Whoever runs under IPython has loaded it; all other scripts need not wait for what looks at cells.
        if self._cells is None and "IPython" in sys.modules:
            from xfworker.api.facade.notebook_cells import NotebookCells

            self._cells = NotebookCells(self._report)
        if self._cells is not None:
            self._cells.install()
        if sys.excepthook != self.uncaught:
            _remove_previous(sys.excepthook)
            self._previous = sys.excepthook
            self._first = self._first or sys.excepthook
            sys.excepthook = self.uncaught
        if threading.excepthook != self.uncaught_in_thread:
            self._previous_thread = threading.excepthook
            self._first_thread = self._first_thread or threading.excepthook
            threading.excepthook = self.uncaught_in_thread

    def remove(self) -> None:
        """Give the hooks back, unless other code has taken them over since."""
        if self._cells is not None:
            self._cells.remove()
        if self._previous is not None and sys.excepthook == self.uncaught:
            sys.excepthook = self._previous
        if self._previous_thread is not None and threading.excepthook == self.uncaught_in_thread:
            threading.excepthook = self._previous_thread
        self._previous = self._previous_thread = self._first = self._first_thread = None

    def uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Show an exception that ends the script, and report it."""
        if self._showing is error:
            # The hook that was taken over passes on to the one that it had taken over itself: this one.
            (self._first or sys.__excepthook__)(kind, error, trace)
            return
        self._showing = error
        previous = self._previous or sys.__excepthook__
        if isinstance(error, XFWorkerError) and previous is sys.__excepthook__:
            show_error(error)
        else:
            previous(kind, error, trace)
        self._report(error)

    def uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        """Show an exception that ends a thread, and report it; the script itself goes on."""
        if args.exc_value is not None and self._showing is args.exc_value:
            (self._first_thread or threading.__excepthook__)(args)
            return
        self._showing = args.exc_value
        (self._previous_thread or threading.__excepthook__)(args)
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = args.thread.name if args.thread else "a thread"
            self._report(args.exc_value, f"in thread {name}: ")

    def _report(self, uncaught_error: BaseException, where: str = "") -> None:
        try:
            self.report(where + describe_exception(uncaught_error))
        except Exception as error:  # noqa: BLE001  the script is ending already; its own error matters more
            sys.stderr.write(f"xfworker: the error message could not be saved on the job: {error}\n")


def show_error(error: XFWorkerError) -> None:
    """Write an error of ours with the script's own frames; what lies below them would explain nothing."""
    if not isinstance(error, ConfigurationError):
        frames = script_frames(error.__traceback__)
        if frames:
            sys.stderr.write("Traceback (most recent call last):\n" + "".join(traceback.format_list(frames)))
    sys.stderr.write(f"{type(error).__name__}: {error}\n")


def _remove_previous(hook: object) -> None:
    # A second XFWorkerJob in one process replaces the first; they do not report to each other's jobs.
    owner = getattr(hook, "__self__", None)
    if isinstance(owner, ExceptionHook):
        owner.remove()
