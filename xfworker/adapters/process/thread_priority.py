"""Work in the background that others must not wait for."""

import ctypes
import os
import sys
import threading
from contextlib import suppress

_LOWEST_NICE = 19
_WINDOWS_BACKGROUND_BEGIN = 0x00010000


def lower_own_priority() -> None:
    """Let this thread give way to others: on Linux at the processor, on Windows also at the disk."""
    if sys.platform == "linux":
        # Of Linux, where each thread has a priority of its own.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_NICE)
    elif sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.SetThreadPriority(kernel.GetCurrentThread(), _WINDOWS_BACKGROUND_BEGIN)
