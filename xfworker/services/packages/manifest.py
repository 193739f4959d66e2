"""
What a folder held when it was made, so that one that lost or changed a file is noticed.

A file of the same size and time counts as unchanged, so that looking takes no reading; one of another size or time is
read and compared by its SHA-256. What Python compiles meanwhile does not count.
"""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from xfworker.services.packages.checkin import file_sha256

MANIFEST = ".xfworker-files.json"
"""The name of the file that holds it, in the folder itself."""
_BYTE_CODE = "__pycache__"


def write_manifest(folder: Path) -> None:
    """Keep what a folder holds now."""
    files = {name: [about.st_size, about.st_mtime_ns, _digest(folder / name, about)] for name, about in _files(folder)}
    (folder / MANIFEST).write_text(json.dumps(files), "utf-8")


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds what it held; without a manifest nobody knows, so it does not."""
    try:
        stated: Any = json.loads((folder / MANIFEST).read_text("utf-8"))
        found = dict(_files(folder))
        return stated.keys() == found.keys() and all(
            stated[name][:2] == [about.st_size, about.st_mtime_ns]
            or (stated[name][0] == about.st_size and stated[name][2] == _digest(folder / name, about))
            for name, about in found.items()
        )
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        return False


def _files(folder: Path) -> list[tuple[str, os.stat_result]]:
    # By the system's own listing, because an environment of 20,000 files is looked at whenever a job starts.
    found: list[tuple[str, os.stat_result]] = []
    pending = [""]
    while pending:
        above = pending.pop()
        with os.scandir(folder / above) as entries:
            for entry in entries:
                if entry.name in (MANIFEST, _BYTE_CODE):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{above}{entry.name}/")
                else:
                    found.append((f"{above}{entry.name}", entry.stat(follow_symlinks=False)))
    return found


def _digest(path: Path, about: os.stat_result) -> str:
    if stat.S_ISLNK(about.st_mode):
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    return file_sha256(path)
