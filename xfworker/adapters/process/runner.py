"""Runs scripts as processes of this computer."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from xfworker.adapters.process import guard
from xfworker.adapters.process.control_groups import ControlGroups, GroupedProcesses, ScriptGroup
from xfworker.adapters.process.fork_server import ForkedScript, ForkServers
from xfworker.adapters.process.job_object import START_SUSPENDED
from xfworker.adapters.process.script_log import ScriptLog
from xfworker.adapters.process.script_process import ScriptProcess
from xfworker.adapters.process.script_user import ScriptUser
from xfworker.domain.errors import JobError
from xfworker.ports.job_runner import ScriptCall
from xfworker.services.event_log import EventLog
from xfworker.services.worker.script_environment import allowed_variables

_SHORTEST_GUARD_SECONDS = 1.0
GRACE_SECONDS = 10.0
"""How long a script has to end by itself after it was asked to."""


class ProcessRunner:
    """
    Starts scripts in process groups of their own, and ends them when it dies itself.

    Implements :class:`~xfworker.ports.job_runner.JobRunner`.
    """

    def __init__(
        self,
        *,
        grace_seconds: float = GRACE_SECONDS,
        user: ScriptUser | None = None,
        preload: Sequence[str] = (),
        control_groups: ControlGroups | None = None,
    ) -> None:
        """
        Make a runner; nothing is started yet.

        Args:
            grace_seconds: How long a script has to end by itself when it is aborted or takes too long.
            user: As whom scripts run; as this process's own user by default.
            preload: On Linux, start scripts as forks of a process that has called these functions (``module:function``)
                where that makes no difference to them; by default, and as another user, each is started anew.
            control_groups: Keep scripts to their parts of the machine by groups of these, which are prepared.
        """
        self._control_groups = control_groups
        self._fork_servers = ForkServers(preload) if preload and user is None and sys.platform == "linux" else None
        self._grace_seconds = grace_seconds
        self._user = user
        self._guard: subprocess.Popen[bytes] | None = None
        self._running: dict[int, str] = {}
        self._lock = threading.Lock()

    def start(self, call: ScriptCall, on_output: Callable[[bytes], None] | None = None) -> ScriptProcess:
        try:
            log = ScriptLog(call.log_path)
        except OSError as error:
            raise JobError(
                f"the log file {call.log_path} cannot be opened ({error.strerror}), so the script was not started"
            ) from error
        script_id = uuid.uuid4().hex
        own = {guard.SCRIPT_ID: script_id, **({} if self._user is None else self._user.variables)}
        if self._user is not None:
            _hand_over(call.working_directory, self._user)
        environment = {**call.environment, **own}
        group = self._group(call, script_id)
        try:
            forked = self._forked(call, environment, script_id, group)
            process = forked or self._spawn(call, environment)
        except (OSError, ValueError) as error:
            log.close()
            if group is not None:
                group.remove()
            raise JobError(
                f"the script could not be started: {_program(call.command)}: {error} "
                f"(working directory {call.working_directory})"
            ) from error
        self._began(process.pid, script_id)
        processes = guard.ScriptProcesses(process.pid, script_id)
        if group is not None:
            group = _joined(group, processes)
            processes = processes if group is None else GroupedProcesses(process.pid, script_id, group)
        return ScriptProcess(
            process,
            log,
            on_output,
            time_limit_seconds=call.time_limit_seconds,
            memory_limit_bytes=call.memory_limit_bytes,
            grace_seconds=self._grace_seconds,
            on_end=lambda: self._ended(process.pid),
            processes=processes,
            group=group,
        )

    def _group(self, call: ScriptCall, script_id: str) -> ScriptGroup | None:
        if self._control_groups is None:
            return None
        try:
            return self._control_groups.make(script_id, memory_limit_bytes=call.memory_limit_bytes, cores=call.cores)
        except OSError as error:
            _say_without_group(error)
            return None

    def _forked(
        self, call: ScriptCall, environment: Mapping[str, str], script_id: str, group: ScriptGroup | None
    ) -> ForkedScript | None:
        if self._fork_servers is None:
            return None

        def before(pid: int) -> None:
            if group is not None:
                with suppress(OSError):  # which the next try says
                    group.take(pid)

        return self._fork_servers.start(call, environment, script_id, before)

    def _spawn(self, call: ScriptCall, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  running scripts is what this is for
            call.command,
            env=environment,
            cwd=call.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            creationflags=_creation_flags(),
            **({} if self._user is None else self._user.process_options),
        )

    def close(self) -> None:
        """Let go of the guard; scripts that still run are ended by it."""
        if self._fork_servers is not None:
            self._fork_servers.close()
        with self._lock:
            process, self._guard = self._guard, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()

    def _began(self, pid: int, script_id: str) -> None:
        with self._lock:
            self._running[pid] = script_id
            if self._guard is None:
                self._engage_guard()
            else:
                _write(self._guard, f"+{pid} {script_id}")

    def _ended(self, pid: int) -> None:
        with self._lock:
            self._running.pop(pid, None)
            if self._guard is not None:
                _write(self._guard, f"-{pid}")

    def _engage_guard(self) -> None:
        if sys.platform == "win32":
            return
        self._guard = _start_guard()
        if self._guard is not None:
            for pid, script_id in self._running.items():
                _write(self._guard, f"+{pid} {script_id}")
            threading.Thread(target=self._replace_guard, args=(self._guard,), name="guard", daemon=True).start()

    def _replace_guard(self, guard_process: subprocess.Popen[bytes]) -> None:
        """Wait for a guard's end; where it was killed, give the scripts that run another."""
        started = time.monotonic()
        guard_process.wait()
        with self._lock:
            if self._guard is not guard_process:
                return
            self._guard = None
            # One that ends at once cannot run here; the next script's start tries again.
            if self._running and time.monotonic() - started > _SHORTEST_GUARD_SECONDS:
                self._engage_guard()


def _joined(group: ScriptGroup, processes: guard.ScriptProcesses) -> ScriptGroup | None:
    """Move a script that was just started into its group; give ``None`` where that is refused."""
    try:
        group.take_all(processes)
    except OSError as error:
        group.remove()
        _say_without_group(error)
        return None
    return group


def _say_without_group(error: OSError) -> None:
    EventLog("xfworker.process").warning("xfworker.control_group_refused", reason=str(error))


def _write(guard_process: subprocess.Popen[bytes], line: str) -> None:
    assert guard_process.stdin is not None
    # A guard that was killed is replaced by whoever waits for its end.
    with suppress(OSError):
        guard_process.stdin.write(f"{line}\n".encode())
        guard_process.stdin.flush()


def _start_guard() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(  # noqa: S603  our own file, by our own interpreter
            [sys.executable, "-I", "-S", str(Path(guard.__file__))],
            # Scripts can read the environment of every process of their user.
            env=allowed_variables(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None


def _hand_over(directory: Path, user: ScriptUser) -> None:
    """Let a script's user work in its directory, in which the log and what else the runner made stay the runner's."""
    user.share(directory)
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            user.give(path)


def _creation_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | START_SUSPENDED
    return 0


def _program(command: Sequence[str]) -> str:
    return " ".join(command[:1])
