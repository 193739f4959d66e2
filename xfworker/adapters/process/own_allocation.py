"""How many cores and how much memory the system lets this process have."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from xfworker.domain.allocation import Allocation

_GROUPS = Path("/sys/fs/cgroup")


def own_allocation(variables: Mapping[str, str]) -> Allocation:
    """
    Give what a job may use: the least of what its environment declares, its control groups, and the computer.

    Args:
        variables: The job's environment.
    """
    groups = list(_control_groups())
    return Allocation.declared(
        variables,
        cores=[_affinity(), *(_cores_of(group) for group in groups)],
        memory_bytes=[_physical_memory(), *(_limit(group / "memory.max") for group in groups)],
    )


def _affinity() -> int | None:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


def _physical_memory() -> int | None:
    if sys.platform == "win32":
        import ctypes

        # MEMORYSTATUSEX: its own length, the load in percent, then seven counts of bytes, the first of them the total.
        status = (ctypes.c_uint64 * 8)()
        ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
        return int(status[1]) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _control_groups() -> Iterator[Path]:
    """Give the folder of this process's control group of version 2, and those above it: the limits of all hold."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("0::"):
            group = _GROUPS / line.partition("::")[2].lstrip("/")
            yield group
            yield from (parent for parent in group.parents if parent.is_relative_to(_GROUPS))


def _cores_of(group: Path) -> float | None:
    quota, _, period = _words(group / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _limit(file: Path) -> int | None:
    text = _words(file)
    return int(text) if text.isdecimal() else None


def _words(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
