"""
Values between their recorded forms and Python: what a capture holds is decoded, what a script gives is encoded.

The forms are those of docs/capture.md. Nothing here runs code that a capture names: classes are made anew from names.
"""

import base64
import builtins
import datetime as dt
import decimal
import enum
import hashlib
import shutil
import uuid
from collections import namedtuple
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from xfworker.api.capture.errors import NotRecorded
from xfworker.domain.errors import InvalidFilename
from xfworker.domain.filenames import check_filename
from xfworker.services.capture.manifest import CaptureManifest
from xfworker.services.capture.reading import LARGEST_TOTAL

SECRET = "[secret]"  # noqa: S105  a mark that stands for one
"""What a secret is when it is played back; recorders write the same where a secret stood inside a longer string."""


class SecretString(str):
    """Stands for a secret string."""

    __slots__ = ()


class SecretInt(int):
    """Stands for a secret number, such as a port."""


class SecretBytes(bytes):
    """Stands for secret bytes."""


class RecordedDict(dict[str, Any]):
    """A mapping of a class of its own; its keys can be read as attributes, as those of many such classes can."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class LeftOut:
    """Stands for a value that the recorder left out; whatever is done with it says so."""

    def __init__(self, reason: str) -> None:
        self.__dict__["_reason"] = reason

    def __getattr__(self, name: str) -> Any:
        raise NotRecorded(f"this value was left out of the capture, because {self.__dict__['_reason']}")

    def __repr__(self) -> str:
        return f"<left out of the capture: {self.__dict__['_reason']}>"


class Places:
    """
    Where the folders that a job's calls named are when it is played back, and its files.

    Attributes:
        working: The working directory of the job that is played back.
    """

    def __init__(self, manifest: CaptureManifest, contents: Path, folder: Path, note: Callable[[str], None]) -> None:
        """
        Take the folders of a capture.

        Args:
            manifest: Says which folder lies in which, and what files held.
            contents: The folder with the content of files, each named by its SHA-256.
            folder: The folder in which to lay out files that were not in the working directory.
            note: Called with a sentence about what is missing.
        """
        self._manifest, self._contents, self._folder, self._note = manifest, contents, folder, note
        self.working: Path | None = None
        self._working_number: int | None = None
        self._known: dict[Path, int] = {}
        self._laid: dict[Path, tuple[int, int]] = {}

    def set_working(self, path: Path, number: int | None) -> None:
        """Say where the working directory is, and which of the captured folders it stands for."""
        self.working, self._working_number = path, number
        if number is not None:
            self._known[path] = number

    def folder(self, number: int) -> Path:
        """Give the folder that stands for a captured one; it exists."""
        path = self._located(number, 0)
        path.mkdir(parents=True, exist_ok=True)
        self._known.setdefault(path, number)
        return path

    def number(self, path: Path) -> int | None:
        """Give the captured folder that a folder stands for."""
        return self._known.get(path)

    def holds(self, path: str) -> bool:
        """Return whether a path lies where this job's files do."""
        roots = [str(self._folder), *([] if self.working is None else [str(self.working)])]
        return any(path == root or path.startswith((root + "/", root + "\\")) for root in roots)

    def path(self, encoded: Mapping[str, Any]) -> Path:
        """Give the local path that stands for a captured one; no file is made."""
        number = encoded.get("folder")
        folder = self._folder if not isinstance(number, int) else self.folder(number)
        if encoded.get("is_folder"):
            return folder
        try:
            return folder / check_filename(str(encoded.get("name")))
        except InvalidFilename as error:
            raise NotRecorded(f"the capture names a file that cannot be: {error}") from None

    def materialised(self, encoded: Mapping[str, Any], target: Path | None = None, *, is_written: bool = False) -> Path:
        """
        Give the local path that stands for a captured one, with the file that was there.

        Args:
            encoded: The captured path.
            target: The local path, where it is known.
            is_written: Whether a call wrote the file just now. Otherwise what a script has written there stays.
        """
        path = target or self.path(encoded)
        file = encoded.get("file")
        if not isinstance(file, Mapping):
            return path
        content = None if file.get("omitted") else self.content(str(file.get("sha256")))
        if content is None:
            reason = file.get("omitted") or "its content is not in it"
            self._note(f"{path.name} ({file.get('size')} bytes) was left out of the capture: {reason}")
            return path
        if is_written or not path.exists() or self._laid.get(path) == _stamp(path):
            shutil.copyfile(content, path)
            self._laid[path] = _stamp(path)
        return path

    def content(self, key: str) -> Path | None:
        """Give the content of a captured file, where it is there."""
        file = self._manifest.files.get(key)
        return None if file is None or file.entry is None else self._contents / key

    def texts(self) -> dict[str, int]:
        """Give the folders that are in use as strings, with the numbers of what they stand for."""
        return {str(path): number for path, number in self._known.items()}

    def _located(self, number: int, depth: int) -> Path:
        if number == self._working_number and self.working is not None:
            return self.working
        described = self._manifest.folders.get(str(number), {})
        inside = described.get("in")
        if isinstance(inside, int) and inside != number and depth < 64:  # noqa: PLR2004  no path is deeper
            parts = str(described.get("as", "")).split("/")
            try:
                return self._located(inside, depth + 1).joinpath(*(check_filename(part) for part in parts))
            except InvalidFilename:
                pass
        return self._folder / f"folder-{number}"


def decode_simple(kind: str, encoded: Mapping[str, Any]) -> Any:
    """
    Decode a value of the standard library's small classes.

    Raises:
        KeyError: It is of another kind.
        ValueError: It is not what a recorder writes; also TypeError, LookupError and ArithmeticError, by its kind.
    """
    return _SIMPLE[kind](encoded.get("value"))


def decode_secret(encoded: Mapping[str, Any]) -> Any:
    """Give what stands for a secret, of the type that it had."""
    kind = encoded.get("type")
    if kind == "int":
        return SecretInt(0)
    if kind == "float":
        return 0.0
    return SecretBytes(SECRET.encode()) if kind == "bytes" else SecretString(SECRET)


def decode_bytes(encoded: Mapping[str, Any], places: Places) -> bytes | None:
    """Give recorded bytes, or ``None`` where they were left out."""
    if "base64" in encoded:
        return base64.b64decode(str(encoded["base64"]))
    content = places.content(str(encoded.get("sha256")))
    return None if content is None else content.read_bytes()


def decode_array(encoded: Mapping[str, Any], places: Places) -> Any:
    """Give a recorded array: in memory, or as a map of its file where it was one."""
    import numpy as np

    dtype = np.dtype(str(encoded["dtype"]))
    if dtype.hasobject:
        return LeftOut("it holds objects")
    shape = tuple(int(n) for n in encoded.get("shape", ()))
    if isinstance(encoded.get("file"), Mapping):
        path = places.path(encoded["file"])
        offset = int(encoded.get("offset", 0))
        if not path.exists():
            places.materialised(encoded["file"], path)
        wanted = offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if wanted > LARGEST_TOTAL:
            return LeftOut(f"it has {wanted:,} bytes, more than a capture ever holds")
        if not path.exists() or path.stat().st_size < wanted:
            with path.open("ab") as file:
                file.truncate(wanted)
        mode: Any = "r" if encoded.get("mode") == "r" else "r+"
        return np.memmap(path, dtype, mode, offset, shape)
    content = decode_bytes(encoded, places)
    if content is None:
        return LeftOut(str(encoded.get("omitted", "its content is not there")))
    return np.frombuffer(content, dtype).reshape(shape).copy()


def decode_scalar(encoded: Mapping[str, Any]) -> Any:
    """Give a recorded number of numpy."""
    import numpy as np

    value = encoded.get("value")
    if isinstance(value, Mapping):
        value = decode_simple(str(value.get("$")), value)
    return np.dtype(str(encoded["dtype"])).type(value)


def decode_tuple(encoded: Mapping[str, Any], items: list[Any]) -> tuple[Any, ...]:
    """Give a tuple, with the names of its fields where it had any."""
    fields = encoded.get("fields")
    if isinstance(fields, list) and len(fields) == len(items) and all(str(name).isidentifier() for name in fields):
        make: Any = namedtuple  # noqa: PYI024  its class and fields are data of the capture
        given: tuple[Any, ...] = make(_identifier(encoded.get("class")), list(map(str, fields)), rename=True)(*items)
        return given
    return tuple(items)


def builtin_exception(names: list[Any]) -> type[BaseException]:
    """Give the first of some classes that is an exception of Python's own."""
    for name in names:
        found = getattr(builtins, str(name), None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return Exception


def encode_array(value: Any) -> dict[str, Any]:
    """Give an array as recorders do, without its content but with its digest."""
    shape = [int(n) for n in value.shape]
    encoded: dict[str, Any] = {"$": "array", "dtype": str(value.dtype.str), "shape": shape}
    if value.dtype.hasobject or value.nbytes > _MOST_HASHED:
        return encoded
    content = encode_bytes(value.tobytes())
    return {**encoded, **{key: item for key, item in content.items() if key != "$"}}


def encode_simple(value: Any) -> dict[str, Any] | None:
    """Give a value of the standard library's small classes as recorders do, or ``None`` for another."""
    if isinstance(value, enum.Enum):
        return {"$": "enum", "class": type(value).__name__, "name": value.name, "value": value.value}
    if isinstance(value, dt.datetime):
        return {"$": "datetime", "value": value.isoformat()}
    if isinstance(value, dt.date):
        return {"$": "date", "value": value.isoformat()}
    if isinstance(value, dt.time):
        return {"$": "time", "value": value.isoformat()}
    if isinstance(value, dt.timedelta):
        return {"$": "timedelta", "value": value.total_seconds()}
    if isinstance(value, uuid.UUID):
        return {"$": "uuid", "value": str(value)}
    if isinstance(value, decimal.Decimal):
        return {"$": "decimal", "value": str(value)}
    if isinstance(value, complex):
        return {"$": "complex", "value": [repr(value.real), repr(value.imag)]}
    if isinstance(value, range):
        return {"$": "range", "value": [value.start, value.stop, value.step]}
    return None


def encode_bytes(value: bytes) -> dict[str, Any]:
    """Give bytes as recorders do."""
    if len(value) <= _LONGEST_INLINE:
        return {"$": "bytes", "base64": base64.b64encode(value).decode()}
    return {"$": "bytes", "sha256": hashlib.sha256(value).hexdigest(), "size": len(value)}


def holds(path: Path, file: Mapping[str, Any]) -> bool:
    """Return whether a file has the content that was captured; one whose content was left out counts by its size."""
    if not path.is_file() or path.stat().st_size != file.get("size"):
        return False
    with path.open("rb") as opened:
        return "sha256" not in file or hashlib.file_digest(opened, "sha256").hexdigest() == file["sha256"]


def is_path(value: Any) -> bool:
    """Return whether a value is a path object."""
    return isinstance(value, PurePath)


def _identifier(name: Any) -> str:
    text = str(name)
    return text if text.isidentifier() else "Recorded"


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


_LONGEST_INLINE = 4096
_MOST_HASHED = 1024**3
_SIMPLE: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda value: dt.timedelta(seconds=value),
    "uuid": uuid.UUID,
    "decimal": decimal.Decimal,
    "complex": lambda value: complex(float(value[0]), float(value[1])),
    "range": lambda value: range(*value),
}
