"""
Several processes that serve one database from one socket, looked after by the process that was asked for them.

Granian's own workers are not used: its server that forks them cannot take the socket that this one has bound, and
serves an application that it imports by name, whereas ours is composed from arguments.
"""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from attrs import define, field

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process.owned_folder import owned_folder
from xfworker.api.composition.endpoint_file import ServerEndpoint, read_endpoint
from xfworker.domain.errors import UsageError

_BACKLOG = 1024
_STEP_SECONDS = 0.05
_STOP_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0
_WELL_SECONDS = 60.0
"""One that ran for so long did not die of how it was started."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.serve")


@define
class _Process:
    """One of the processes, and when it is started again should it die."""

    number: int
    popen: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0
    wait_seconds: float = _FIRST_WAIT_SECONDS


@define
class ServerProcesses:
    """
    Runs a command several times over one listening socket until it is asked to stop.

    Attributes:
        command: The command of one process; it takes ``--listener FD`` and ``--announce FILE``, and ends with its
            standard input.
        listener: The socket.
        say: Gets a line about what happens to the processes.
    """

    command: Sequence[str]
    listener: socket.socket
    say: Callable[[str], None]
    _stopping: threading.Event = field(factory=threading.Event, init=False)

    def run(self, count: int, announce: Callable[[ServerEndpoint], None]) -> int:
        """
        Run the processes.

        Args:
            count: How many.
            announce: Called once with where they are, when all of them serve.

        Returns:
            The exit code: that of a process that did not even start, else 0.
        """
        processes = [_Process(number) for number in range(1, count + 1)]
        with owned_folder("serve", LocalFilesystem()) as folder:
            try:
                return self._run(processes, folder, announce)
            finally:
                self._end(processes)

    def stop(self, reason: str) -> None:
        """End all processes; :meth:`run` returns when they have."""
        _log.info("xfworker.server_stopping", reason=reason)
        self._stopping.set()

    def _run(self, processes: list[_Process], folder: Path, announce: Callable[[ServerEndpoint], None]) -> int:
        first: ServerEndpoint | None = None
        for process in processes:
            self._start(process, folder)
            # One after the other: the first finds out whether the settings fit, and its error is said once.
            while (endpoint := read_endpoint(_announcement(folder, process))) is None:
                code = process.popen.poll() if process.popen else None
                if code is not None:
                    return code or 1
                if self._stopping.wait(_STEP_SECONDS):
                    return 0
            first = first or endpoint
        if first is not None:
            announce(first)
        while not self._stopping.wait(_STEP_SECONDS):
            for process in processes:
                self._look_after(process, folder)
        return 0

    def _look_after(self, process: _Process, folder: Path) -> None:
        now = time.monotonic()
        if process.popen is None:
            if now >= process.start_at:
                self._start(process, folder)
            return
        code = process.popen.poll()
        if code is None:
            return
        if now - process.started_at >= _WELL_SECONDS:
            process.wait_seconds = _FIRST_WAIT_SECONDS
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self.say(
            f"server process {process.number} (process {process.popen.pid}) {how}; it is started again in "
            f"{process.wait_seconds:g} s"
        )
        _log.warning(
            "xfworker.server_process_ended", number=process.number, pid=process.popen.pid, code=code, again=True
        )
        process.popen = None
        process.start_at = now + process.wait_seconds
        process.wait_seconds = min(2 * process.wait_seconds, _LONGEST_WAIT_SECONDS)

    def _start(self, process: _Process, folder: Path) -> None:
        announcement = _announcement(folder, process)
        announcement.unlink(missing_ok=True)
        descriptor = self.listener.fileno()
        process.popen = subprocess.Popen(  # noqa: S603  our own command line
            [*self.command, "--listener", str(descriptor), "--announce", str(announcement)],
            stdin=subprocess.PIPE,
            pass_fds=(descriptor,),
            # Ctrl-C in a terminal goes to the whole group; this process passes it on, so that none is started again.
            start_new_session=True,
        )
        process.started_at = time.monotonic()
        _log.info("xfworker.server_process_started", number=process.number, pid=process.popen.pid)

    @staticmethod
    def _end(processes: list[_Process]) -> None:
        running = [process.popen for process in processes if process.popen is not None]
        for popen in running:
            with contextlib.suppress(OSError):
                popen.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        deadline = time.monotonic() + _STOP_SECONDS
        for popen in running:
            try:
                popen.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


def _announcement(folder: Path, process: _Process) -> Path:
    return folder / f"server-{process.number}.json"


def require_several_possible(count: int, database: str | None) -> None:
    """
    Refuse several processes where they could not share what they serve.

    Raises:
        UsageError: There is no database for several processes, or this system cannot hand a socket on.
    """
    if count < 1:
        raise UsageError("--processes is at least 1")
    if count == 1:
        return
    if not is_postgresql(database):
        raise UsageError(
            f"--processes {count} needs --database postgresql://...: SQLite lets one process write, so several would "
            "only wait for each other"
        )
    if sys.platform == "win32":
        raise UsageError(
            f"--processes {count} is for Linux and macOS; on Windows start several servers with the same --database, "
            "each with its own --port, behind a balancer"
        )


def is_postgresql(database: str | None) -> bool:
    """Return whether the address of a database is that of one which several processes share."""
    return (database or "").partition(":")[0].partition("+")[0] in {"postgresql", "postgres"}


def bound_listener(address: str, port: int) -> socket.socket:
    """Give a socket that listens at a free address, to be handed on to several processes."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    return listener
