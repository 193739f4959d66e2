"""
Runs a script inside this process, as if it were one of its own.

The script gets its own ``__main__``, environment, arguments, working directory, search path and output, and everything
is as before when it has ended (umask, signal handlers, logging, seeds, decimal and numpy's error state as well):
debuggers and coverage see it, and two runs do not see each other. What only a process can have is shared: signals that
kill, ``os._exit``, ``atexit``, settings of other imported libraries.
"""

import contextlib
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

from attrs import define, field

from xfworker.api.composition.module_folders import SHIM_FOLDER
from xfworker.api.composition.provided_session import provided_session
from xfworker.api.logging import write_script_log
from xfworker.api.settings.model import LOG_LEVELS, LoggingSettings
from xfworker.domain.errors import JobError
from xfworker.domain.job_arguments import JobArguments, read_job_arguments, read_job_serial
from xfworker.domain.job_outcome import ProcessExit
from xfworker.ports.job_runner import ScriptCall
from xfworker.services.script.session import Session
from xfworker.services.worker.script_environment import TEMPORARY_FOLDER
from xfworker.testing.process_state import own_process_state
from xfworker.testing.script_modules import script_modules
from xfworker.testing.script_output import ScriptOutput

SessionMaker = Callable[[JobArguments, Path], Session]
"""Makes a script's session from its arguments and the folder for its working directories."""

_OWN = Path(__file__)


@define
class EndedScript:
    """
    A script that has run.

    Attributes:
        exit: How it ended, in the terms of processes.
        exception: What it raised and nobody caught.
    """

    exit: ProcessExit
    exception: Exception | None = None

    def wait(self, timeout_seconds: float | None = None) -> ProcessExit:
        """Give the end, which has come."""
        del timeout_seconds
        return self.exit

    def abort(self) -> None:
        """Do nothing: it has ended."""

    def pass_signal(self, number: int) -> None:
        """Do nothing: it has ended."""


@define
class InProcessRunner:
    """
    Runs scripts in the calling thread; ``start`` returns when the script has ended.

    Implements :class:`~xfworker.ports.job_runner.JobRunner`. Limits of time and memory are not kept.

    Attributes:
        make_session: Makes the script's session.
        last: The script that ran last.
    """

    make_session: SessionMaker
    last: EndedScript | None = field(default=None, init=False)

    def start(self, call: ScriptCall, on_output: Callable[[bytes], None] | None = None) -> EndedScript:
        """
        Run a script to its end.

        Args:
            call: The last word of its command is the script.
            on_output: Called with what the script writes.

        Raises:
            JobError: There is no such script or working directory, or the log file cannot be opened.
        """
        script = Path(call.command[-1])
        if not script.is_file():
            raise JobError(f"there is no script {script}")
        if not call.working_directory.is_dir():
            raise JobError(f"the script could not be started: there is no working directory {call.working_directory}")
        try:
            output = ScriptOutput(call.log_path, on_output)
        except OSError as error:
            raise JobError(
                f"the log file {call.log_path} cannot be opened ({error.strerror}), so the script was not started"
            ) from error
        session = self.make_session(read_job_arguments(call.environment), Path(call.environment[TEMPORARY_FOLDER]))
        with (
            output,
            _as_own_process(call, script, output),
            provided_session(session),
        ):
            self.last = _run(script)
            _wait_for_threads(output.threads_before)
        return self.last


def _run(script: Path) -> EndedScript:
    try:
        with warnings.catch_warnings():
            # The test run's own filters may turn warnings into errors, which they are not under a worker.
            warnings.resetwarnings()
            warnings.showwarning = _show_warning
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ending:
        return EndedScript(ProcessExit(exit_code=_exit_code(ending)))
    except Exception as error:  # noqa: BLE001  whatever a script raises is the script's end
        error.__traceback__ = _script_part(error.__traceback__)
        # As the interpreter would: this is how the error message comes to the job.
        sys.excepthook(type(error), error, error.__traceback__)
        return EndedScript(ProcessExit(exit_code=1), error)
    return EndedScript(ProcessExit(exit_code=0))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def _exit_code(ending: SystemExit) -> int:
    if ending.code is None:
        return 0
    if isinstance(ending.code, int):
        # Only eight bits of it reach a parent process on POSIX systems.
        return ending.code & 0xFF if os.name == "posix" else ending.code
    sys.stderr.write(f"{ending.code}\n")
    return 1


def _script_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this module and of runpy, which lead to the script."""
    link = trace
    while link is not None:
        filename = link.tb_frame.f_code.co_filename
        if filename != str(_OWN) and "runpy" not in Path(filename).name:
            return link
        link = link.tb_next
    return trace


def _wait_for_threads(before: frozenset[threading.Thread]) -> None:
    # The interpreter waits for them as well before it ends.
    for thread in threading.enumerate():
        if thread not in before and not thread.daemon:
            thread.join()


@contextlib.contextmanager
def _as_own_process(call: ScriptCall, script: Path, output: ScriptOutput) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # First, so that it is put back last: it looks at the environment again.
        stack.enter_context(own_process_state())
        stack.enter_context(_environment(call))
        stack.enter_context(_working_directory(call.working_directory))
        stack.enter_context(_search_path(call, script))
        stack.enter_context(_hooks())
        stack.enter_context(contextlib.redirect_stdout(output.stream))
        stack.enter_context(contextlib.redirect_stderr(output.stream))
        stack.enter_context(_event_log(call))
        yield


@contextlib.contextmanager
def _environment(call: ScriptCall) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(call.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _working_directory(directory: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _search_path(call: ScriptCall, script: Path) -> Iterator[None]:
    path, arguments = list(sys.path), list(sys.argv)
    folders = [folder for folder in call.environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:0] = [str(script.parent), *folders]
    sys.argv = [str(script)]
    try:
        with script_modules(script.parent, (SHIM_FOLDER,)):
            yield
    finally:
        sys.path[:] = path
        sys.argv = arguments


@contextlib.contextmanager
def _event_log(call: ScriptCall) -> Iterator[None]:
    import structlog

    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    level = call.environment.get("XFWORKER_LOGGING_LEVEL", "")
    settings = LoggingSettings(level=level) if level in LOG_LEVELS else LoggingSettings()
    write_script_log(settings, job_serial=read_job_serial(call.environment))
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


@contextlib.contextmanager
def _hooks() -> Iterator[None]:
    hook, thread_hook = sys.excepthook, threading.excepthook
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = hook, thread_hook
