"""
Windows job objects: all processes of a script as one thing that can be ended, limited and measured.

The job object ends its processes when its last handle is closed, so scripts do not outlive a runner that died.
Source: the Windows API, ``CreateJobObjectW``, ``JOBOBJECT_EXTENDED_LIMIT_INFORMATION``, ``GenerateConsoleCtrlEvent``.
"""

import ctypes
import sys
from typing import Any

from xfworker.domain.errors import JobError

_KILL_ON_JOB_CLOSE = 0x2000
_JOB_MEMORY = 0x200
_PROCESS_LIST = 3
_EXTENDED_LIMIT_INFORMATION = 9
_QUERY_INFORMATION, _READ_MEMORY = 0x400, 0x10
_CTRL_BREAK = 1
_ENDED_BY_US = 1
_MOST_PROCESSES = 4096
_HEADROOM = 8
"""Windows refuses memory beyond an eighth more than the limit: the runner has a moment to see that it was exceeded."""

START_SUSPENDED = 0x4
"""The creation flag of a process that runs only after :meth:`JobObject.take`: what it starts cannot escape."""


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class _ProcessList(ctypes.Structure):
    _fields_ = (
        ("NumberOfAssignedProcesses", ctypes.c_uint32),
        ("NumberOfProcessIdsInList", ctypes.c_uint32),
        ("ProcessIdList", ctypes.c_size_t * _MOST_PROCESSES),
    )


class _MemoryCounters(ctypes.Structure):
    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        ("WorkingSetSize", ctypes.c_size_t),
        ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
        ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
        ("PagefileUsage", ctypes.c_size_t),
        ("PeakPagefileUsage", ctypes.c_size_t),
    )


class JobObject:
    """One job object with its handle."""

    def __init__(self, memory_limit_bytes: int | None) -> None:
        """
        Make a job object, with a limit on the memory that its processes may commit together.

        Windows refuses memory to processes that are well beyond it; ending them is the runner's business.

        Raises:
            JobError: Windows refused.
        """
        self._kernel = _kernel()
        self._handle = self._kernel.CreateJobObjectW(None, None)
        self._check(self._handle, "made")
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
        if memory_limit_bytes is not None:
            limits.BasicLimitInformation.LimitFlags |= _JOB_MEMORY
            limits.JobMemoryLimit = memory_limit_bytes + memory_limit_bytes // _HEADROOM
        done = self._kernel.SetInformationJobObject(
            self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        self._check(done, "limited")

    def take(self, process_handle: int) -> None:
        """
        Put a process, and all that it will start, into the job object, and let it run if it was suspended.

        Raises:
            JobError: Windows refused.
        """
        handle = ctypes.c_void_p(process_handle)
        self._check(self._kernel.AssignProcessToJobObject(self._handle, handle), "filled")
        _resume(handle)

    def end(self) -> None:
        """End all processes."""
        self._kernel.TerminateJobObject(self._handle, _ENDED_BY_US)

    def memory_bytes(self) -> int:
        """Give how much memory the processes have committed together; pages of mapped files do not count."""
        return sum(self._committed_bytes(pid) for pid in self._processes())

    def _processes(self) -> list[int]:
        listed = _ProcessList()
        self._kernel.QueryInformationJobObject(
            self._handle, _PROCESS_LIST, ctypes.byref(listed), ctypes.sizeof(listed), None
        )
        return list(listed.ProcessIdList[: listed.NumberOfProcessIdsInList])

    def _committed_bytes(self, pid: int) -> int:
        process = self._kernel.OpenProcess(_QUERY_INFORMATION | _READ_MEMORY, 0, pid)
        if not process:
            return 0  # it has ended meanwhile
        try:
            counters = _MemoryCounters(cb=ctypes.sizeof(_MemoryCounters))
            done = self._kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb)
            return int(counters.PagefileUsage) if done else 0
        finally:
            self._kernel.CloseHandle(process)

    def peak_memory_bytes(self) -> int | None:
        """Give the most memory that the processes had committed together; ``None`` where the system does not count."""
        limits = _ExtendedLimits()
        done = self._kernel.QueryInformationJobObject(
            self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits), None
        )
        return int(limits.PeakJobMemoryUsed) or None if done else None

    def close(self) -> None:
        """Let go of the handle; processes that are left end."""
        self._kernel.CloseHandle(self._handle)

    def _check(self, done: Any, what: str) -> None:
        if not done:
            raise JobError(f"the Windows job object for a script could not be {what}: {_last_error()}")


def send_break(group: int) -> bool:
    """
    Send Ctrl-Break to a process group on this console; return whether it was sent.

    It cannot be where this process has no console, as a service without one. ``os.kill`` would end the process then.
    """
    return bool(_kernel().GenerateConsoleCtrlEvent(_CTRL_BREAK, group))


def _resume(process: ctypes.c_void_p) -> None:
    if sys.platform == "win32":
        # Its first thread has no handle here, since Popen closes it; this resumes them all.
        ctypes.WinDLL("ntdll").NtResumeProcess(process)


def _kernel() -> Any:
    if sys.platform != "win32":
        raise JobError("job objects exist on Windows only")
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    # Handles are pointers; without this they would be cut to 32 bits.
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    handle = ctypes.c_void_p
    kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, ctypes.c_wchar_p)
    kernel.SetInformationJobObject.argtypes = (handle, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
    kernel.QueryInformationJobObject.argtypes = (
        handle,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_void_p,
    )
    kernel.AssignProcessToJobObject.argtypes = (handle, ctypes.c_void_p)
    kernel.TerminateJobObject.argtypes = (handle, ctypes.c_uint32)
    kernel.CloseHandle.argtypes = (handle,)
    kernel.OpenProcess.restype = handle
    kernel.OpenProcess.argtypes = (ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32)
    kernel.K32GetProcessMemoryInfo.argtypes = (handle, ctypes.c_void_p, ctypes.c_uint32)
    kernel.GenerateConsoleCtrlEvent.argtypes = (ctypes.c_uint32, ctypes.c_uint32)
    return kernel


def _last_error() -> str:
    if sys.platform != "win32":
        return ""
    return str(ctypes.WinError(ctypes.get_last_error()))
