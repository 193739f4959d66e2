"""One running script: its output, its limits, its end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from xfworker.adapters.process.control_groups import ScriptGroup
from xfworker.adapters.process.fork_server import ForkedScript
from xfworker.adapters.process.guard import ScriptProcesses
from xfworker.adapters.process.job_object import JobObject, send_break
from xfworker.adapters.process.memory import (
    offer_to_out_of_memory_killer,
    out_of_memory_kills,
    processes_memory_bytes,
)
from xfworker.adapters.process.script_log import ScriptLog
from xfworker.domain.job_outcome import ProcessExit
from xfworker.services.event_log import EventLog

_READ_BYTES = 64 * 1024
_LIMIT_CHECK_SECONDS = 0.1
_LIST_SECONDS = 0.5
_LEFT_BEHIND_SECONDS = 1.0
"""How long helpers of an ended script (such as the resource tracker of multiprocessing) have to end by themselves."""
_LEFT_BEHIND_STEP_SECONDS = 0.02
_DRAIN_SECONDS = 2.0


class ScriptProcess:
    """
    A script that was started; it is watched from threads of this object.

    Implements :class:`~xfworker.ports.job_runner.RunningScript`.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes] | ForkedScript,
        log: ScriptLog,
        on_output: Callable[[bytes], None] | None,
        *,
        time_limit_seconds: float | None,
        memory_limit_bytes: int | None,
        grace_seconds: float,
        on_end: Callable[[], None],
        processes: ScriptProcesses,
        group: ScriptGroup | None = None,
    ) -> None:
        """
        Begin to watch a process.

        Args:
            process: The process, leader of its own session, with stdout and stderr in one pipe.
            log: Gets the output.
            on_output: Gets the output after the log.
            time_limit_seconds: After so long it is ended.
            memory_limit_bytes: With more memory than that it is ended.
            grace_seconds: Time between asking it to end and ending it.
            on_end: Called once when it has ended.
            processes: It and all processes that it starts.
            group: The control group in which they are; it holds the limit of memory, and is removed at the end.
        """
        self.pid = process.pid
        self._process = process
        self._log = log
        self._on_output = on_output
        self._time_limit_seconds = time_limit_seconds
        self._memory_limit_bytes = memory_limit_bytes if group is None else None
        self._grace_seconds = grace_seconds
        self._on_end = on_end
        self._processes = processes
        self._group = group
        self._aborted = self._timed_out = self._memory_exceeded = False
        self._leader_ended = threading.Event()
        self._ended = threading.Event()
        self._exit: ProcessExit | None = None
        self._kills_before = out_of_memory_kills()
        self._killer: threading.Timer | None = None
        self._windows_job: JobObject | None = None
        self._take_hold()
        self._reader = self._thread(self._read, "output")
        self._thread(self._watch, "end")
        if sys.platform == "darwin":
            self._thread(self._list_processes, "processes")
        if self._time_limit_seconds is not None or self._memory_limit_bytes is not None:
            self._thread(self._keep_limits, "limits")

    def wait(self, timeout_seconds: float | None = None) -> ProcessExit | None:
        self._ended.wait(timeout_seconds)
        return self._exit

    def abort(self) -> None:
        if not self._leader_ended.is_set():
            self._aborted = True
            self._end_with_grace()

    def pass_signal(self, number: int) -> None:
        if self._leader_ended.is_set():
            return
        if sys.platform == "win32":
            send_break(self.pid)
        else:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)

    def _take_hold(self) -> None:
        if sys.platform == "win32":
            assert isinstance(self._process, subprocess.Popen)
            try:
                self._windows_job = JobObject(self._memory_limit_bytes)
                self._windows_job.take(int(getattr(self._process, "_handle")))  # noqa: B009  no other way to it
            except BaseException:
                self._process.kill()
                self._log.close()
                raise
        elif sys.platform == "linux":
            offer_to_out_of_memory_killer(self.pid)

    def _thread(self, target: Callable[[], None], what: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"script-{self.pid}-{what}", daemon=True)
        thread.start()
        return thread

    def _read(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            try:
                piece = os.read(descriptor, _READ_BYTES)
            except OSError:
                return
            if not piece:
                return
            self._log.write(piece)
            if self._on_output is not None:
                try:
                    self._on_output(piece)
                except Exception:  # noqa: BLE001  of whatever it is, the script must not be the victim
                    # Whoever looks on must not be able to stop the script: a pipe that nobody reads is full soon.
                    self._on_output = None
                    EventLog("xfworker.process").exception("xfworker.output_observer_failed", pid=self.pid)

    def _watch(self) -> None:
        code, peak = self._reap()
        self._leader_ended.set()
        if self._killer is not None:
            self._killer.cancel()
        self._end_left_behind()
        self._reader.join(_DRAIN_SECONDS)
        self._log.close()
        if not self._reader.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()
        number = -code if code < 0 else None
        self._exit = ProcessExit(
            exit_code=code if number is None else None,
            signal=None if number is None else _signal_name(number),
            out_of_memory=self._memory_exceeded or self._killed_for_memory(number),
            timed_out=self._timed_out,
            aborted=self._aborted,
            peak_memory_bytes=peak,
        )
        if self._group is not None:
            self._group.remove()
        self._on_end()
        self._ended.set()

    def _reap(self) -> tuple[int, int | None]:
        if sys.platform == "win32":
            assert isinstance(self._process, subprocess.Popen)
            code = self._process.wait()
            return code, self._windows_job.peak_memory_bytes() if self._windows_job else None
        _, status, usage = os.wait4(self.pid, 0)
        # Popen must know that the process is gone, or it would wait for its number again.
        self._process.returncode = os.waitstatus_to_exitcode(status)
        # Linux counts in KiB, macOS in bytes.
        return self._process.returncode, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def _end_left_behind(self) -> None:
        if self._windows_job is not None:
            self._windows_job.end()
            self._windows_job.close()
            return
        for number in (None, signal.SIGTERM, _SIGKILL):
            if number is not None:
                self._processes.signal(number)
            deadline = time.monotonic() + _LEFT_BEHIND_SECONDS
            while self._processes.are_alive():
                if time.monotonic() > deadline:
                    break
                time.sleep(_LEFT_BEHIND_STEP_SECONDS)
            else:
                return

    def _list_processes(self) -> None:
        # What a process started is known by its parent only while that lives.
        while not self._leader_ended.wait(_LIST_SECONDS):
            self._processes.alive()

    def _keep_limits(self) -> None:
        started = time.monotonic()
        while not self._leader_ended.wait(_LIMIT_CHECK_SECONDS):
            if self._time_limit_seconds is not None and time.monotonic() - started > self._time_limit_seconds:
                self._timed_out = True
                self._end_with_grace()
                return
            if self._memory_limit_bytes is not None:
                used = self._memory_bytes()
                if used is not None and used > self._memory_limit_bytes:
                    self._memory_exceeded = True
                    # Without grace: cleaning up would take yet more memory.
                    self._kill()
                    return

    def _memory_bytes(self) -> int | None:
        if self._windows_job is not None:
            return self._windows_job.memory_bytes()
        return processes_memory_bytes(self._processes)

    def _end_with_grace(self) -> None:
        if sys.platform != "win32":
            self._processes.signal(signal.SIGTERM)
        elif not send_break(self.pid):
            self._kill()  # it cannot be asked, so there is nothing to wait for
            return
        if self._killer is None:
            self._killer = threading.Timer(self._grace_seconds, self._kill)
            self._killer.daemon = True
            self._killer.start()

    def _kill(self) -> None:
        if self._leader_ended.is_set():
            return
        if self._windows_job is not None:
            self._windows_job.end()
        else:
            self._processes.signal(_SIGKILL)

    def _killed_for_memory(self, number: int | None) -> bool:
        if number != _SIGKILL or self._aborted or self._timed_out:
            return False
        if self._group is not None:
            return self._group.was_killed_for_memory()
        return out_of_memory_kills() > self._kills_before


_SIGKILL: Any = getattr(signal, "SIGKILL", None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
