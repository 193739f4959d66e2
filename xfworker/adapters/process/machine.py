"""What this process may use of its machine: cores, memory, GPUs, and the kind of disk that a folder is on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from xfworker.domain.allocation import Allocation
from xfworker.domain.resources import Scratch

_MEBIBYTE = 1024 * 1024
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_LISTING_SECONDS = 10.0
_SHARED_TYPES = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "smbfs", "afs", "panfs", "pvfs2", "orangefs"}
    | {"glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph", "fuse.juicefs", "9p", "virtiofs", "wekafs"}
)
_UNLIMITED = 2**60
"""Version 1 of control groups says so that there is no limit: by one that no machine has."""


def own_allocation(variables: Mapping[str, str]) -> Allocation:
    """
    Give what a job may use: the least of what its environment declares, its control groups, and the computer.

    Args:
        variables: The job's environment.
    """
    return Allocation.declared(variables, cores=[usable_cores()], memory_bytes=[_usable_bytes(Path("/"))])


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may use: by its affinity and by the quota of its control group."""
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    for folder in _control_groups(root, "cpu"):
        quota = _quota(folder)
        if quota is not None:
            cores = min(cores, max(int(quota), 1))
    return cores


def usable_memory_mib(root: Path = Path("/")) -> int:
    """Give the memory that this process may use, MiB: that of the machine, or the limit of its control group."""
    return (_usable_bytes(root) or 0) // _MEBIBYTE


def _usable_bytes(root: Path) -> int | None:
    limits = [_machine_bytes()]
    for folder in _control_groups(root, "memory"):
        limits += [_number(folder / name) for name in ("memory.max", "memory.limit_in_bytes")]
    return min((limit for limit in limits if limit is not None), default=None)


def usable_gpus(environment: Mapping[str, str]) -> list[str]:
    """List the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = environment.get(_VISIBLE)
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() not in {"", "-1", "NoDevFiles"}]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run(  # noqa: S603  the driver's own program
            [program, "-L"], capture_output=True, text=True, timeout=_LISTING_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return [str(number) for number in range(count)]


def scratch_of(folder: Path, mounts: Path = Path("/proc/mounts")) -> Scratch:
    """Give on which kind of disk a folder is, by the type of its file system; where nobody says that, ``local``."""
    path, nearest, kind = folder.resolve(), Path(), ""
    with suppress(OSError, UnicodeDecodeError):
        for line in mounts.read_text("utf-8").splitlines():
            fields = line.split(" ")
            point = Path(fields[1].encode("ascii", "backslashreplace").decode("unicode_escape"))
            if path.is_relative_to(point) and len(point.parts) >= len(nearest.parts):
                nearest, kind = point, fields[2]
    return Scratch.SHARED if kind in _SHARED_TYPES else Scratch.LOCAL


def _machine_bytes() -> int | None:
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


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of this process's control group and those around it, of both versions."""
    if sys.platform != "linux":
        return
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / (controller if controllers else "")
            inner = top / path.lstrip("/")
            # In a container the path may be that of the machine, where only the container's own is to be seen.
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    quota_us, period_us = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota_us / period_us if quota_us is not None and period_us else None


def _number(path: Path) -> int | None:
    try:
        number = int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return number if 0 < number < _UNLIMITED else None
