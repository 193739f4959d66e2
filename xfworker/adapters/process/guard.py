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
from collections.abc import Iterable, Iterator
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
    of both; so a process that made a session of its own, or whose parent has ended, is among them. On macOS, which
    shows no environments, they are those of its process group and all children; one whose parent has ended is among
    them if it was listed before.
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
        """List them. Ended ones that nobody has waited for are left out."""
        children: dict[int, list[int]] = {}
        pids: list[int] = []
        seen: dict[tuple[int, bytes], bool] = {}
        keys: dict[int, tuple[int, bytes]] = {}
        for pid, start, parent, session in _processes_of_linux() if sys.platform == "linux" else _listed_processes():
            key = keys[pid] = (pid, start)
            children.setdefault(parent, []).append(pid)
            seen[key] = self._marked[key] if key in self._marked else self._is_marked(_PROC / str(pid))
            if session == self.leader or seen[key]:
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
        return sys.platform != "win32" and bool(self.alive())

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        if sys.platform == "win32":
            return
        # Listed first: what is known only from its parent cannot be listed any more once the parent has ended.
        members = self.alive()
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


def _processes_of_linux() -> Iterator[tuple[int, bytes, int, int]]:
    """Give number, start, parent and session of every process that has not ended."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # Behind the command's name, which is in parentheses and may hold anything: state ppid pgrp session.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in _ENDED:
            yield int(entry.name), fields[19], int(fields[1]), int(fields[3])


def _listed_processes() -> Iterator[tuple[int, bytes, int, int]]:
    """Give the same by ``ps``, which POSIX systems have; the process group stands for the session."""
    import subprocess

    listed = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="], env={"LC_ALL": "C"}, capture_output=True, check=False
    )
    for line in listed.stdout.splitlines():
        pid, parent, group, state, start = line.split(None, 4)
        if state[:1] not in _ENDED:
            yield int(pid), start, int(parent), int(group)


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


def end_scripts(scripts: list[ScriptProcesses], grace_seconds: float = _GRACE_SECONDS) -> None:
    """Ask scripts to end, and end those that have not after a while."""
    for script in scripts:
        script.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
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
