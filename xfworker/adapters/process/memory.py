"""
How much memory a script takes, and whether the system killed something because memory ran out.

What counts is memory that cannot be given back: private pages and shared memory. Pages of memory-mapped files do not
count, because the system drops them when it needs room, and mapping volumes is how images are read here.
"""

import re
import sys
from contextlib import suppress
from pathlib import Path

from xfworker.adapters.process.guard import ScriptProcesses

_PROC = Path("/proc")
_KIBIBYTE = 1024
_COUNTED = re.compile(rb"^(?:RssAnon|RssShmem):\s+(\d+) kB$", re.MULTILINE)
_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def processes_memory_bytes(processes: ScriptProcesses) -> int | None:
    """Return how much memory the processes of a script take together; ``None`` where the system does not state it."""
    if sys.platform == "linux":
        return sum(_process_bytes(pid) for pid in processes.alive())
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    total = 0
    for pid in processes.alive():
        with suppress(psutil.Error):  # it has ended meanwhile
            total += psutil.Process(pid).memory_info().rss
    return total


def _process_bytes(pid: int) -> int:
    try:
        status = (_PROC / str(pid) / "status").read_bytes()
    except OSError:
        return 0
    return sum(int(number) for number in _COUNTED.findall(status)) * _KIBIBYTE


def out_of_memory_kills() -> int:
    """
    Count the processes that Linux killed so far because memory ran out, in this control group or on this machine.

    Two calls with a rise between them, and a script that ended by SIGKILL, make an out-of-memory kill.
    """
    return sum(_count(path) for path in (*_control_group_events(), _PROC / "vmstat"))


def _control_group_events() -> list[Path]:
    try:
        lines = (_PROC / "self" / "cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    # Version 2 of control groups is the line `0::/path`.
    paths = [line.partition("::")[2] for line in lines if line.startswith("0::")]
    return [Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events" for path in paths]


def _count(path: Path) -> int:
    try:
        match = _OOM_KILLS.search(path.read_text("utf-8"))
    except OSError:
        return 0
    return int(match[1]) if match else 0


def offer_to_out_of_memory_killer(pid: int) -> None:
    """Let Linux choose this process before the worker and the server when memory runs out."""
    try:
        (_PROC / str(pid) / "oom_score_adj").write_text("500", "ascii")
    except OSError:
        return
