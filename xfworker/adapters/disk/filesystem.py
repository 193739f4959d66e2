"""The local disks as a script's job uses them."""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.adapters.disk.path_map import PathMap, is_unc_path
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.filenames import MAX_BYTES
from xfworker.services.files_in_use import is_in_use, when_free

if TYPE_CHECKING:
    from xfworker.domain.files import FileStat

_DOUBLE_SUFFIXES = frozenset({".nii", ".tar", ".ome"})
"""What belongs to the suffix behind it: ``scan.nii.gz``."""


class LocalFilesystem:
    """
    Working directories, unique names and files on shared disks, on this machine.

    Safe to use from several threads.
    """

    def __init__(self, temp_directory: Path | None = None, path_map: Mapping[str, str | Path] | None = None) -> None:
        r"""
        Take the settings.

        Args:
            temp_directory: Where working directories are made; the platform's temporary folder where ``None``.
            path_map: What prefixes of direct-access paths (``\\server\share``) are called on this machine.

        Raises:
            ConfigurationError: The path map is malformed.
        """
        self._temp_directory = temp_directory
        self._path_map = PathMap(path_map)
        self._reserved: set[str] = set()
        self._lock = threading.Lock()

    def make_working_directory(self, prefix: str) -> Path:
        """
        Make a new, empty directory that only this user can read (mode 0700).

        Raises:
            ConfigurationError: The temporary folder is missing or not writable; the message names it.
        """
        base = Path(tempfile.gettempdir()) if self._temp_directory is None else self._temp_directory
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=base.absolute()))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(
                f"cannot make a working directory in the temporary folder {base}: {reason}; set XFTEMP to a folder "
                "that exists, has room and can be written to"
            ) from error

    def unique_path(self, path: Path) -> Path:
        """Give ``path``, or a sibling with a number before its suffixes where it is taken or reserved."""
        stem, suffix = _split_name(path.name)
        with self._lock:
            number = 1
            candidate = path
            while self._is_taken(candidate):
                number += 1
                candidate = path.with_name(_numbered(stem, suffix, number))
            self._reserved.add(_name_key(candidate))
        return candidate

    def _is_taken(self, path: Path) -> bool:
        return _name_key(path) in self._reserved or os.path.lexists(path)

    def remove_tree(self, directory: Path) -> None:
        """
        Delete a directory with all that is in it; one that is not there is not an error. Links are not followed.

        Raises:
            FileError: Something in it could not be deleted.
        """
        with disk_errors(f"remove the directory {directory}"):
            if directory.is_symlink() or directory.is_file():
                directory.unlink(missing_ok=True)
            elif os.path.lexists(directory):
                when_free(lambda: _remove_tree(directory))

    def free_bytes(self, directory: Path) -> int:
        existing = directory.absolute()
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        with disk_errors(f"find out the free space of {directory}"):
            return shutil.disk_usage(existing).free

    def local_path(self, direct_access_path: str) -> Path:
        return self._path_map.local_path(direct_access_path)

    def can_read(self, path: Path, *, size: int | None = None) -> bool:
        from xfworker.adapters.transfer.source_file import open_without_waiting

        try:
            with open_without_waiting(path) as file:
                status = os.fstat(file.fileno())
                return stat.S_ISREG(status.st_mode) and size in {None, status.st_size}
        except (OSError, ValueError):
            return False

    def reading_error(self, path: Path, expected: "FileStat") -> str | None:
        """Say why the file cannot be used in place of the one in the store, or ``None`` where it can."""
        from xfworker.adapters.transfer.source_file import open_without_waiting

        if not path.is_absolute():
            return "it is not a path of this computer; name its share in the path map"
        try:
            with open_without_waiting(path) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return "it is not a regular file here"
                if status.st_size != expected.size:
                    return f"it has {status.st_size} bytes here, not {expected.size}"
                if expected.sample_sha256 is not None and _sample(file, status.st_size) != expected.sample_sha256:
                    return "its content here is another"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"it cannot be opened here ({reason.lower()}); if it has another name here, say so in the path map"
        return None

    def can_write(self, path: Path) -> bool:
        from xfworker.adapters.transfer.partial_file import partial_path

        trial = partial_path(path.parent)
        if not path.is_absolute():
            return False  # to POSIX a UNC path is a file name like any other
        try:
            if path.exists():
                if not path.is_file():
                    return False
                path.open("r+b").close()
            trial.open("xb").close()
        except (OSError, ValueError):
            return False
        finally:
            with suppress(OSError, ValueError):
                trial.unlink()
        return True

    def copy(self, source: Path, target: Path) -> None:
        """
        Copy a file by reflink, in the kernel, or in blocks, whichever the disks know first.

        Raises:
            NotEnoughSpace: The disk is full.
            FileError: The source cannot be read or the target not be written.
        """
        from xfworker.adapters.transfer.file_copy import copy_file

        with disk_errors(f"copy {source} to {target}"):
            copy_file(source, target)

    def sha256(self, path: Path) -> str:
        from xfworker.adapters.transfer.hashing import file_sha256

        with disk_errors(f"read {path}"):
            return file_sha256(path)

    def is_network_path(self, path: Path) -> bool:
        string = str(path)
        # On POSIX two slashes at the start are an ordinary, if odd, absolute path.
        return is_unc_path(string) and (sys.platform == "win32" or string.startswith("\\\\"))


def sample_sha256(path: Path) -> str:
    """Give the digest over the samples of a file's content that distinguish files of one size."""
    with path.open("rb", buffering=0) as file:
        return _sample(file, os.fstat(file.fileno()).st_size)


def _sample(file: Any, size: int) -> str:
    from xfworker.domain.sampling import SAMPLE_BYTES, sample_offsets

    digest = hashlib.sha256()
    for offset in sample_offsets(size):
        file.seek(offset)
        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _split_name(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        return name, ""
    stem_of_stem, _, inner = stem.rpartition(".")
    if stem_of_stem and f".{inner}".lower() in _DOUBLE_SUFFIXES:
        return stem_of_stem, f".{inner}.{suffix}"
    return stem, f"{dot}{suffix}"


def _numbered(stem: str, suffix: str, number: int) -> str:
    ending = f"_{number}{suffix}"
    room = max(MAX_BYTES - len(ending.encode(errors="surrogateescape")), 1)
    short = stem.encode(errors="surrogateescape")[:room].decode(errors="ignore")
    return f"{short or 'file'}{ending}"


def _name_key(path: Path) -> str:
    # Two names that differ only in case are one on Windows and macOS, and a store may carry them there.
    return str(path.absolute()).casefold()


def _remove_tree(directory: Path) -> None:
    removal = _TreeRemoval()
    removal.remove(str(directory))
    if removal.in_use:
        raise removal.in_use[0]


class _TreeRemoval:
    """Removes what can be removed. What somebody has open is passed over, as Windows reports it."""

    def __init__(self) -> None:
        self.in_use: list[OSError] = []
        self._tried: set[str] = set()

    def remove(self, path: str) -> None:
        if sys.version_info >= (3, 12):
            shutil.rmtree(path, onexc=self._refused)
        else:
            shutil.rmtree(path, onerror=self._refused)

    def _refused(self, function: Callable[..., Any], path: str, error: Any) -> None:
        cause = error[1] if isinstance(error, tuple) else error
        if isinstance(cause, FileNotFoundError):
            return  # someone else was quicker
        if isinstance(cause, PermissionError) and path not in self._tried:
            self._tried.add(path)
            _make_writable(path)
            if function not in {os.unlink, os.remove, os.rmdir}:
                self.remove(path)
                return
            try:
                function(path)
            except OSError as again:
                cause = again
            else:
                return
        if not is_in_use(cause):
            raise cause
        self.in_use.append(cause)


def _make_writable(path: str) -> None:
    # Windows refuses to delete read-only files; elsewhere it is the folder that must be writable.
    for location in (os.path.dirname(path), path):  # noqa: PTH120  rmtree passes strings
        with suppress(OSError):
            os.chmod(location, stat.S_IRWXU)  # noqa: PTH101  see above
