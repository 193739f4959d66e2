"""
Notes beside an incomplete transfer, from which another attempt, in this process or a later one, goes on.

No locks: on network file systems they are a silent no-op. An orphan is taken over by renaming its notes, which only one
can do; a transfer whose process still lives is left alone.
"""

import contextlib
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define

from xfworker.adapters.disk.partial_file import partial_path, replacing

_SUFFIX = ".json"
_FOREIGN_ORPHAN_SECONDS = 600.0
"""After so long without a note, a transfer begun on another machine counts as given up."""
_SWEPT_AFTER_SECONDS = 7 * 24 * 3600.0


@define
class Journal:
    """
    The notes of one transfer.

    Attributes:
        data: The incomplete file that the notes are about.
        fields: What was noted last.
    """

    data: Path
    fields: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file of the notes."""
        return self.data.with_name(self.data.name + _SUFFIX)

    def save(self, **fields: Any) -> None:
        """Note how far the transfer is. A folder that takes no notes only costs the chance to go on later."""
        self.fields |= fields
        self._write({**self.fields, "owner": _myself()})

    def release(self) -> None:
        """Note that nobody works on the transfer at the moment."""
        if self.path.exists():
            self._write({**self.fields, "owner": None})

    def _write(self, fields: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), replacing(self.path) as partial:
            partial.write_text(json.dumps(fields), encoding="utf-8")

    def remove(self) -> None:
        """Drop the notes and what is left of the incomplete file."""
        for path in (self.path, self.data):
            with contextlib.suppress(OSError):
                path.unlink()


def begin(folder: Path, key: str) -> Journal:
    """Give empty notes for a new transfer; nothing is written yet."""
    return Journal(partial_path(folder, _mark(key)), {})


def take_over(folder: Path, key: str) -> Journal | None:
    """
    Take over the notes of a transfer that was given up, if there are any.

    Args:
        folder: Where the incomplete file lies.
        key: What the transfer is about; the same for every attempt at it.
    """
    for path in _notes(folder, key):
        fields = _read(path)
        if fields is None or _is_alive(fields.get("owner"), path):
            continue
        old = path.with_name(path.name.removesuffix(_SUFFIX))
        mine = Journal(partial_path(folder, _mark(key)), fields)
        try:
            path.rename(mine.path)  # only one of several can
            if old.exists():
                old.rename(mine.data)
        except OSError:
            continue
        mine.save()
        return mine
    return None


def sweep(folder: Path) -> None:
    """Delete incomplete files in a folder that nobody went on with for a week."""
    limit = time.time() - _SWEPT_AFTER_SECONDS
    for path in folder.glob(f"{partial_path(folder).name[:8]}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()


def _mark(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:20] + "-"


def _notes(folder: Path, key: str) -> Iterator[Path]:
    begin_of_name = partial_path(folder, _mark(key)).name[:-16]
    with contextlib.suppress(OSError):
        yield from sorted(folder.glob(f"{begin_of_name}*{_SUFFIX}"))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None


def _myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_of(os.getpid())}


def _is_alive(owner: Any, path: Path) -> bool:
    if not isinstance(owner, dict):
        return False
    if owner.get("host") != socket.gethostname():
        try:
            return time.time() - path.stat().st_mtime < _FOREIGN_ORPHAN_SECONDS
        except OSError:
            return False
    pid = owner.get("pid")
    return isinstance(pid, int) and _process_lives(pid) and _start_of(pid) == owner.get("started")


def _process_lives(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        query_limited_information, still_active = 0x1000, 259
        handle = ctypes.windll.kernel32.OpenProcess(query_limited_information, 0, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        found = ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(found) and code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_of(pid: int) -> str | None:
    """Tell when a process started, where the system says so: process numbers are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state == "Z" else started
