"""
Windows job objects: all processes of a script as one thing that can be ended, limited and measured.

The job object ends its processes when its last handle is closed, so scripts do not outlive a runner that died.
Source: the Windows API, ``CreateJobObjectW`` and ``JOBOBJECT_EXTENDED_LIMIT_INFORMATION``.
"""

import ctypes
import sys
from typing import Any

from xfworker.domain.errors import JobError

_KILL_ON_JOB_CLOSE = 0x2000
_JOB_MEMORY = 0x200
_EXTENDED_LIMIT_INFORMATION = 9
_ENDED_BY_US = 1


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


class JobObject:
    """One job object with its handle."""

    def __init__(self, memory_limit_bytes: int | None) -> None:
        """
        Make a job object, with a limit on the memory that its processes may commit together.

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
            limits.JobMemoryLimit = memory_limit_bytes
        done = self._kernel.SetInformationJobObject(
            self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        self._check(done, "limited")

    def take(self, process_handle: int) -> None:
        """
        Put a process, and all that it will start, into the job object.

        Raises:
            JobError: Windows refused.
        """
        self._check(self._kernel.AssignProcessToJobObject(self._handle, ctypes.c_void_p(process_handle)), "filled")

    def end(self) -> None:
        """End all processes."""
        self._kernel.TerminateJobObject(self._handle, _ENDED_BY_US)

    def peak_memory_bytes(self) -> int | None:
        """Give the most memory that the processes had committed together."""
        limits = _ExtendedLimits()
        done = self._kernel.QueryInformationJobObject(
            self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits), None
        )
        return int(limits.PeakJobMemoryUsed) if done else None

    def close(self) -> None:
        """Let go of the handle; processes that are left end."""
        self._kernel.CloseHandle(self._handle)

    def _check(self, done: Any, what: str) -> None:
        if not done:
            raise JobError(f"the Windows job object for a script could not be {what}: {_last_error()}")


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
    return kernel


def _last_error() -> str:
    if sys.platform != "win32":
        return ""
    return str(ctypes.WinError(ctypes.get_last_error()))
