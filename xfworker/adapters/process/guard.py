"""
Ends scripts whose runner died without a chance to end them itself (``kill -9``, a crash).

A small process of its own that the runner starts once. It reads ``+PGID`` and ``-PGID`` lines from its stdin; when the
stream ends, because the runner ended in whatever way, it ends all process groups that are still listed. It imports
nothing of this package, so that it starts quickly and stays small. POSIX only: on Windows, job objects do this.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def watch(lines: Iterable[str]) -> set[int]:
    """Follow the lines to their end and give the process groups that were left."""
    groups: set[int] = set()
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        if not number.isdigit():
            continue
        if sign == "+":
            groups.add(int(number))
        elif sign == "-":
            groups.discard(int(number))
    return groups


def end_groups(groups: set[int]) -> None:
    """Ask process groups to end, and end those that do not."""
    if sys.platform == "win32":
        return
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if _lives(group)}
        time.sleep(_POLL_SECONDS)
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: int) -> None:
    if sys.platform != "win32":
        for group in groups:
            with contextlib.suppress(OSError):
                os.killpg(group, number)


def _lives(group: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    # The runner decides when this process ends: by closing the stream.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_groups(watch(sys.stdin))
