"""
Keeps what only this process should know from other processes of the same user.

The system shows the environment with which a process was started to every process of its user (``/proc/PID/environ``,
``ps e``), whatever became of the variables since. So the values are overwritten where they lie.
"""

import ctypes
import os
import sys
from collections.abc import Collection

_SET_DUMPABLE = 4


def hide_environment(public: Collection[str]) -> None:
    """
    Overwrite the environment with which this process was started, but for the variables of ``public``.

    The process itself, libraries included, goes on to see them. On Linux its memory cannot be read any more by other
    processes of its user either (``PR_SET_DUMPABLE``, prctl(2)). Called before other threads are started.

    Args:
        public: Names of variables that are not secret.
    """
    if sys.platform == "win32":
        return  # the system shows no process's environment to others, other than by reading its memory
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    for name, value in os.environb.items():
        if os.fsdecode(name) not in public:
            location = library.getenv(name)
            if location:
                # The value first: some C libraries would write a new one of the same length into its place.
                ctypes.memset(location, 0, len(value))
            os.putenv(name, value)
            if location and library.getenv(name) != location:
                ctypes.memset(location - len(name) - 1, 0, len(name) + 1)
    if sys.platform == "linux":
        library.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
