"""
ZIP files with a manifest that says what is in them: opened with suspicion, because they may come from anybody.

Job bundles and captures are of this kind. What an entry holds counts only when its size and digest are the manifest's.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xfworker.domain.errors import ChecksumMismatch, UsageError
from xfworker.services.files_in_use import when_free

_BLOCK = 1024 * 1024
_ENCRYPTED = 0x1
_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, OSError)


class SealedArchive:
    """
    An archive that is open for reading; use it in a ``with`` block.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, noun: str, making: str) -> None:
        """
        Open an archive.

        Args:
            path: The file.
            noun: What it is called.
            making: How one is made, for who names a file that is not there.

        Raises:
            UsageError: There is no such file, or it is not a ZIP file that can be read.
        """
        self.path = path
        self._noun = noun
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UsageError(f"there is no {noun} {path}; {making}") from None
        except _DAMAGE as error:
            raise UsageError(f"{path} is not a {noun}, or it is damaged: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        """
        Give every entry by its name.

        Raises:
            UsageError: A name is there twice, or an entry is encrypted or compressed in an unknown way.
        """
        entries: dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            if info.filename in entries:
                raise UsageError(f"{self.path} is damaged: {info.filename!r:.100} is in it twice")
            if info.flag_bits & _ENCRYPTED or info.compress_type not in _KNOWN:
                raise UsageError(f"{self.path}: {info.filename!r:.100} is encrypted or compressed in an unknown way")
            entries[info.filename] = info
        return entries

    def _manifest_content(self, entries: dict[str, zipfile.ZipInfo], name: str, largest: int) -> bytes:
        """
        Read the manifest's bytes.

        Raises:
            UsageError: It is not there, it is too large or it is damaged.
        """
        if name not in entries:
            raise UsageError(f"{self.path} is not a {self._noun}: it has no {name}")
        if entries[name].file_size > largest:
            raise UsageError(f"{self.path}: {name} in it is too large to be one")
        try:
            with self._archive.open(name) as source:
                return source.read(largest + 1)
        except _DAMAGE as error:
            raise UsageError(f"{self.path} is damaged: {name}: {error}") from None

    def _pieces(self, entry: str, size: int, sha256: str, *, called: str, otherwise: str) -> Iterator[bytes]:
        """
        Give the bytes of an entry in pieces; the end is reached only where they are what the manifest says.

        Args:
            entry: The name of the entry.
            size: The size that it must have.
            sha256: The digest that it must have.
            called: What messages call it.
            otherwise: How a message goes on about content that is another.

        Raises:
            ChecksumMismatch: It cannot be read, or is something else.
        """
        digest, count = hashlib.sha256(), 0
        try:
            with self._archive.open(entry) as source:
                while piece := source.read(_BLOCK):
                    count += len(piece)
                    if count > size:
                        break
                    digest.update(piece)
                    yield piece
        except _DAMAGE as error:
            raise ChecksumMismatch(f"{self.path} is damaged at {called}: {error}") from None
        if count != size or digest.hexdigest() != sha256:
            raise ChecksumMismatch(f"{self.path}: {called} in it is not what {otherwise}")


def write_whole(pieces: Iterable[bytes], target: Path) -> None:
    """
    Write a file that appears only when all of its pieces have come.

    Raises:
        OSError: It cannot be written.
    """
    partial = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        with partial.open("xb") as copy:
            for piece in pieces:
                copy.write(piece)
        when_free(lambda: partial.replace(target))
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def manifest_document(content: bytes, name: str, *, noun: str, manifest: str, format_name: str) -> dict[str, Any]:
    """
    Read a manifest as the JSON object that it is.

    Args:
        content: The JSON.
        name: What messages call the archive.
        noun: What kind of archive it is.
        manifest: The manifest's entry.
        format_name: The format that it must be of.

    Raises:
        UsageError: It is not JSON, or of another format.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is damaged: {manifest} in it is not JSON") from None
    stated = document.get("format") if isinstance(document, dict) else None
    if stated != format_name:
        raise UsageError(
            f"{name} is not a {noun} of a known version: its format is {stated!r:.40}, and this reads {format_name!r}"
        )
    known: dict[str, Any] = document
    return known
