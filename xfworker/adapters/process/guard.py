"""
Finds all processes of a script, and ends scripts whose runner died without a chance to end them itself (``kill -9``).

As a program it is a small process of its own that the runner starts. It reads lines ``+PID ID`` and ``-PID ID`` from
its stdin; when the stream ends, because the runner ended in whatever way, it ends all scripts that are still noted. It
imports nothing of this package, so that it starts quickly and stays small. POSIX only: on Windows, job objects do this.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

SCRIPT_ID = "_XF_SCRIPT_ID"
"""The variable by which the processes of a script are known, whatever sessions and parents they have."""

_PROC = Path("/proc")
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_ENDED = frozenset({b"Z", b"X"})


class ScriptProcesses:
    """
    All processes of one script.

    On Linux these are the processes of its session, those that inherited its id by their environment, and the children
    of both; so a process that made a session of its own, or whose parent has ended, is among them. Elsewhere it is the
    process group.
    """

    def __init__(self, leader: int, script_id: str) -> None:
        """
        Take what they are known by.

        Args:
            leader: The process that was started as the leader of a session.
            script_id: The value of :data:`SCRIPT_ID` in its environment.
        """
        self.leader = leader
        self.script_id = script_id
        self._mark = f"{SCRIPT_ID}={script_id}".encode()
        # By number and start time. An environment is read once per process; nobody gets the id later.
        self._marked: dict[tuple[int, bytes], bool] = {}

    def alive(self) -> list[int]:
        """List them (Linux). Ended ones that nobody has waited for are left out."""
        children: dict[int, list[int]] = {}
        pids: list[int] = []
        seen: dict[tuple[int, bytes], bool] = {}
        keys: dict[int, tuple[int, bytes]] = {}
        for entry in _PROC.iterdir():
            if not entry.name.isdigit():
                continue
            try:
                # Behind the command's name, which is in parentheses and may hold anything: state ppid pgrp session.
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] in _ENDED:
                continue
            pid = int(entry.name)
            key = keys[pid] = (pid, fields[19])
            children.setdefault(int(fields[1]), []).append(pid)
            seen[key] = self._marked[key] if key in self._marked else self._is_marked(entry)
            if int(fields[3]) == self.leader or seen[key]:
                pids.append(pid)
        members = dict.fromkeys(pids)
        while pids:
            for child in children.get(pids.pop(), ()):
                if child not in members:
                    members[child] = None
                    pids.append(child)
        # What was one of them once is one for good, also when its parent has ended.
        self._marked = seen | dict.fromkeys((keys[pid] for pid in members), True)
        return list(members)

    def are_alive(self) -> bool:
        """Return whether any of them lives."""
        if sys.platform == "win32":
            return False
        if sys.platform == "linux":
            return bool(self.alive())
        try:
            os.killpg(self.leader, 0)
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        if sys.platform == "win32":
            return
        # Listed first: what is known only from its parent cannot be listed any more once the parent has ended.
        members = self.alive() if sys.platform == "linux" else []
        with contextlib.suppress(OSError):
            os.killpg(self.leader, number)
        for pid in members:
            with contextlib.suppress(OSError):
                if os.getpgid(pid) != self.leader:
                    os.kill(pid, number)

    def _is_marked(self, entry: Path) -> bool:
        try:
            return self._mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            return False


def watch(lines: Iterable[str]) -> list[ScriptProcesses]:
    """Follow the lines to their end and give the scripts that were left."""
    scripts: dict[int, ScriptProcesses] = {}
    for line in lines:
        number, _, script_id = line[1:].strip().partition(" ")
        if not number.isdigit():
            continue
        if line[0] == "+":
            scripts[int(number)] = ScriptProcesses(int(number), script_id)
        elif line[0] == "-":
            scripts.pop(int(number), None)
    return list(scripts.values())


def end_scripts(scripts: list[ScriptProcesses]) -> None:
    """Ask scripts to end, and end those that do not."""
    for script in scripts:
        script.signal(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while scripts and time.monotonic() < deadline:
        scripts = [script for script in scripts if script.are_alive()]
        time.sleep(_POLL_SECONDS)
    if sys.platform != "win32":
        for script in scripts:
            script.signal(signal.SIGKILL)


if __name__ == "__main__":
    # The runner decides when this process ends: by closing the stream.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_scripts(watch(sys.stdin))
