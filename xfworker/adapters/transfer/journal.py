"""
A record beside an incomplete transfer, from which another attempt, in this process or a later one, goes on.

No locks: on network file systems they are a silent no-op. An orphan is taken over by renaming its record, which only
one can do; a transfer whose process still lives is left alone.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, partial_path, replace_text
from xfworker.domain.filenames import is_safe_filename

_SUFFIX = ".json"
_FOREIGN_ORPHAN_SECONDS = 600.0
"""After so long without being saved, a transfer begun on another machine counts as given up."""
_SWEPT_AFTER_SECONDS = 7 * 24 * 3600.0


@define
class Journal:
    """
    The record of one transfer.

    Attributes:
        fields: What was saved last; empty for a transfer that begins.
        is_saved: Whether it is written. It is not while another living process works on the same transfer.
    """

    _folder: Path
    _key_hash: str
    fields: dict[str, Any] = field(factory=dict)
    is_saved: bool = True

    @cached_property
    def data(self) -> Path:
        """The incomplete file of this attempt alone."""
        return partial_path(self._folder, f"{self._key_hash}-")

    @cached_property
    def path(self) -> Path:
        """The file of the record."""
        return self._folder / _record_name(self._key_hash)

    def save(self, **fields: Any) -> None:
        """Save how far the transfer is. A folder that cannot be written only costs the chance to go on later."""
        self.fields |= fields
        self._write({**self.fields, "owner": _myself()})

    def release(self) -> None:
        """Record that nobody works on the transfer at the moment."""
        if self.fields:
            self._write({**self.fields, "owner": None})

    def _write(self, fields: dict[str, Any]) -> None:
        if self.is_saved:
            with contextlib.suppress(OSError):
                replace_text(self.path, json.dumps({**fields, "data": self.data.name}))

    def remove(self) -> None:
        """Delete the record, if it is this transfer's, and what is left of the incomplete file."""
        # Without fields nothing was saved, so there is nothing to look for.
        mine = self.is_saved and self.fields and (_read(self.path) or {}).get("data") == self.data.name
        for path in (self.path, self.data) if mine else (self.data,):
            with contextlib.suppress(OSError):
                path.unlink()


def begin(folder: Path, key: str) -> Journal:
    """
    Begin a transfer, or take over one that was given up.

    Args:
        folder: Where the incomplete file lies.
        key: What the transfer is about; the same for every attempt at it.

    Returns:
        The record with what the earlier attempt saved, or without anything.
    """
    key_hash = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    mine = Journal(folder, key_hash)
    # Most transfers begin, and of many small files it counts what each looks for.
    if not os.path.lexists(f"{folder}/{_record_name(key_hash)}"):
        return mine
    path = mine.path
    fields = _read(path)
    if fields is None:
        return mine
    if _is_alive(fields.get("owner"), path):
        mine.is_saved = False
        return mine
    claimed = partial_path(folder, f"{key_hash}-")
    try:
        path.rename(claimed)  # only one of several can
    except OSError:
        return mine
    name = fields.pop("data", None)
    if isinstance(name, str) and name.startswith(f"{PARTIAL_PREFIX}{key_hash}-") and is_safe_filename(name):
        with contextlib.suppress(OSError):
            folder.joinpath(name).rename(mine.data)
    mine.save(**fields)
    with contextlib.suppress(OSError):
        claimed.unlink()
    return mine


def _record_name(key_hash: str) -> str:
    return f"{PARTIAL_PREFIX}{key_hash}{_SUFFIX}"


def sweep(folder: Path) -> None:
    """Delete incomplete files, and folders of such, in a folder that nobody went on with for a week."""
    limit = time.time() - _SWEPT_AFTER_SECONDS
    for path in folder.glob(f"{PARTIAL_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime >= limit:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


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
        succeeded = ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(succeeded) and code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_of(pid: int) -> str | None:
    """Give when a process started, where the system says so: process numbers are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state == "Z" else started
