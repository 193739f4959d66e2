"""
Linux's control groups of version 2: one for each script, which keeps it to its memory, its cores and so many processes.

A worker may use them where its own group is its to arrange: a service or scope with ``Delegate=yes``, a container whose
groups can be written to, or a machine without systemd, as root. Below that group there is one for the workers, because
a group that hands controllers to others holds no processes itself, and one for each script that runs. The worker holds
a script's group by a lock on a file of it, which the system frees when the worker dies; whoever comes next ends what
runs in a group that nobody holds.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, and https://systemd.io/CGROUP_DELEGATION of who may write.
"""

import errno
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from attrs import define

from xfworker.adapters.process.file_lock import try_lock
from xfworker.adapters.process.guard import ScriptProcesses

_WORKERS = "xfworker.workers"
_SCRIPT = "xfworker.script."
_MEMORY = "memory"
_OTHER_CONTROLLERS = ("cpu", "pids")
_PERIOD_US = 100_000
_LEAST_PROCESSES = 4096
_PROCESSES_PER_CORE = 512
_TRIES = 20
_STEP_SECONDS = 0.05
_EVENT = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)


class ScriptGroup:
    """The control group of one script."""

    def __init__(self, folder: Path, lock: BinaryIO) -> None:
        """
        Take a group that is there.

        Args:
            folder: The group.
            lock: A file of it, which is locked; :meth:`remove` closes it.
        """
        self.folder = folder
        self._lock = lock

    def take(self, pid: int) -> None:
        """
        Move a process into the group; whatever it starts from now on is in it as well.

        Raises:
            OSError: The system refuses that.
        """
        _write(self.folder / "cgroup.procs", str(pid))

    def take_all(self, processes: ScriptProcesses) -> None:
        """
        Move the processes of a script that runs already into the group.

        Raises:
            OSError: The system refuses that.
        """
        with suppress(ProcessLookupError):  # it has ended already
            self.take(processes.leader)
        # What it started before it was moved, which is next to never anything.
        while outside := set(processes.alive()) - set(self.processes()):
            for pid in outside:
                with suppress(ProcessLookupError):
                    self.take(pid)

    def processes(self) -> list[int]:
        """List what is in the group and has not ended, whatever session and environment it has."""
        return [pid for folder in _with_inner(self.folder) for pid in _processes_in(folder)]

    def kill(self) -> None:
        """End all processes of the group at once, also those that it starts meanwhile (Linux 5.14 and later)."""
        try:
            _write(self.folder / "cgroup.kill", "1")
        except OSError:
            for pid in self.processes():
                if sys.platform != "win32":
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    def was_killed_for_memory(self) -> bool:
        """Return whether the system ended processes of the group because memory ran out, its own or the machine's."""
        try:
            events = _EVENT.findall((self.folder / "memory.events").read_text("ascii"))
        except OSError:
            return False
        return any(name == "oom_kill" and int(count) for name, count in events)

    def remove(self) -> None:
        """Remove the group, which holds no processes any more; one that does all the same is left to the next sweep."""
        _remove(self.folder)
        self._lock.close()


class GroupedProcesses(ScriptProcesses):
    """All processes of a script that has a control group: what is in that, and what is known of it otherwise."""

    def __init__(self, leader: int, script_id: str, group: ScriptGroup) -> None:
        """Take what they are known by."""
        super().__init__(leader, script_id)
        self._group = group

    def alive(self) -> list[int]:
        return list(dict.fromkeys([*super().alive(), *self._group.processes()]))

    def signal(self, number: int) -> None:
        super().signal(number)
        if sys.platform != "win32" and number == signal.SIGKILL:
            self._group.kill()


@define(frozen=True)
class ControlGroups:
    """
    The control groups that a worker may make.

    Attributes:
        folder: The group below which they are made.
        controllers: What they keep a script to, beside its memory: ``cpu``, ``pids``.
    """

    folder: Path
    controllers: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say what they do."""
        kept = {"cpu": "cores", "pids": "number of processes"}
        listed = ["memory", *(kept[controller] for controller in self.controllers)]
        return f"control groups in {self.folder} ({', '.join(listed)})"

    def prepare(self) -> str | None:
        """
        Make them usable: move this process, and whatever else is in the group, into one below it.

        What scripts of workers that were killed left behind is ended.

        Returns:
            ``None``, or why they cannot be used.
        """
        try:
            if (self.folder / "cgroup.events").exists():  # the group of the whole machine has none, and needs no rest
                self._move_processes()
            for controller in (_MEMORY, *self.controllers):
                self._hand_out(controller)
        except OSError as error:
            return f"{self.folder} cannot be arranged ({error.strerror})"
        self._sweep()
        return None

    def make(self, script_id: str, *, memory_limit_bytes: int | None, cores: int | None) -> ScriptGroup:
        """
        Make the group of a script.

        Args:
            script_id: By which the script is known.
            memory_limit_bytes: The most memory that it may take, without swapping; what can be dropped, such as what
                was read of files, makes room first.
            cores: So much computing time it gets, as if it had these cores.

        Raises:
            OSError: The system refuses that.
        """
        folder = self.folder / f"{_SCRIPT}{script_id}"
        folder.mkdir()
        lock = (folder / "cgroup.procs").open("rb", buffering=0)
        group = ScriptGroup(folder, lock)
        try:
            # One that takes it for abandoned in this moment holds the lock, and removes it.
            if not try_lock(lock):
                raise OSError(errno.EBUSY, "another worker is about to remove it")  # noqa: TRY301  as the system would
            if memory_limit_bytes is not None:
                _write(folder / "memory.max", str(memory_limit_bytes))
                # Else it would go on, a thousand times slower, where there is swap; some kernels do not count that.
                with suppress(OSError):
                    _write(folder / "memory.swap.max", "0")
            # A script of which one process is missing hangs, or says something else of it (Linux 4.19 and later).
            with suppress(OSError):
                _write(folder / "memory.oom.group", "1")
            if "cpu" in self.controllers and cores is not None:
                _write(folder / "cpu.max", f"{cores * _PERIOD_US} {_PERIOD_US}")
            if "pids" in self.controllers:
                _write(folder / "pids.max", str(max(_LEAST_PROCESSES, _PROCESSES_PER_CORE * (cores or 0))))
        except OSError:
            group.remove()
            raise
        return group

    def _move_processes(self) -> None:
        workers = self.folder / _WORKERS
        workers.mkdir(exist_ok=True)
        for _ in range(_TRIES):
            pids = _processes_in(self.folder)
            if not pids:
                return
            for pid in pids:
                with suppress(ProcessLookupError):
                    _write(workers / "cgroup.procs", str(pid))

    def _hand_out(self, controller: str) -> None:
        file = self.folder / "cgroup.subtree_control"
        if controller not in file.read_text("ascii").split():
            _write(file, f"+{controller}")

    def _sweep(self) -> None:
        for folder in self.folder.glob(f"{_SCRIPT}*"):
            with suppress(OSError), (folder / "cgroup.procs").open("rb", buffering=0) as lock:
                if try_lock(lock):
                    ScriptGroup(folder, lock).kill()
                    _remove(folder)


def usable_control_groups(root: Path = Path("/")) -> ControlGroups | str:
    """
    Find the control groups that this process may make, without a change to any.

    Args:
        root: The root directory.

    Returns:
        The groups, or why there are none to be made.
    """
    if sys.platform != "linux":
        return "control groups are Linux's"
    folder = _own_folder(root)
    if folder is None:
        return "this system shows no control groups of version 2"
    if folder.name == _WORKERS:
        folder = folder.parent
    try:
        given = (folder / "cgroup.controllers").read_text("ascii").split()
    except OSError as error:
        return f"{folder} cannot be read ({error.strerror})"
    return _refusal(folder, given, root) or ControlGroups(
        folder, tuple(name for name in _OTHER_CONTROLLERS if name in given)
    )


def _refusal(folder: Path, controllers: Sequence[str], root: Path) -> str | None:
    if _MEMORY not in controllers:
        return f"{folder} has no memory controller (it has: {' '.join(controllers) or 'none'})"
    if not all(os.access(folder / name, os.W_OK) for name in (".", "cgroup.procs", "cgroup.subtree_control")):
        return f"{folder} cannot be written to by this user; start it with Delegate=yes, see docs/worker.md"
    if not _is_delegated(folder, root):
        return f"systemd arranges {folder} and has not handed it over; start it with Delegate=yes, see docs/worker.md"
    return None


def _own_folder(root: Path) -> Path | None:
    """Give the group of this process, as a folder."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    own = next((Path(line.partition("::")[2]) for line in lines if line.startswith("0::")), None)
    for mount in mounts:
        # number parent device root point options ... - type source options; what is odd in a path is in octal.
        fields, _, file_system = mount.partition(" - ")
        if own is None or not file_system.startswith("cgroup2 "):
            continue
        top, point = (re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), part) for part in fields.split(" ")[3:5])
        # In a container the path may be that of the machine, of which only a part is to be seen.
        if own.is_relative_to(top):
            return root / point.lstrip("/") / own.relative_to(top)
    return None


def _is_delegated(folder: Path, root: Path) -> bool:
    """Return whether nobody else arranges a group: systemd does, unless it has said that it leaves that to others."""
    if sys.platform != "linux" or not (root / "run/systemd/system").is_dir():
        return True
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    # Older versions show it to root only; but what belongs to a user was given to that user.
    return os.geteuid() != 0 and folder.stat().st_uid == os.geteuid()


def _processes_in(folder: Path) -> list[int]:
    try:
        listed = (folder / "cgroup.procs").read_text("ascii").split()
    except OSError:
        return []
    return [int(pid) for pid in listed if pid != "0"]  # 0 is one that is not to be seen from here


def _with_inner(folder: Path) -> Iterator[Path]:
    """Give the group and those that were made in it, the innermost first."""
    with suppress(OSError):
        for inner in folder.iterdir():
            if inner.is_dir():
                yield from _with_inner(inner)
    yield folder


def _remove(folder: Path) -> None:
    for _ in range(_TRIES):
        for inner in _with_inner(folder):
            with suppress(OSError):
                inner.rmdir()
        if not folder.exists():
            return
        time.sleep(_STEP_SECONDS)  # what was killed takes a moment to end


def _write(file: Path, content: str) -> None:
    # In one write: each of them is a command of its own to the kernel.
    descriptor = os.open(file, os.O_WRONLY)
    try:
        os.write(descriptor, content.encode("ascii"))
    finally:
        os.close(descriptor)
