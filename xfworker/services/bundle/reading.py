"""Opens a bundle, with suspicion: it may be damaged, and it may come from anybody."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from xfworker.domain.errors import ChecksumMismatch, UsageError
from xfworker.services.bundle.manifest import MANIFEST, BundledFile, Manifest, read_manifest
from xfworker.services.files_in_use import when_free

_BLOCK = 1024 * 1024
_LARGEST_MANIFEST = 256 * 1024 * 1024
_ENCRYPTED = 0x1
_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, OSError)


class OpenBundle:
    """
    A bundle that is open for reading; use it in a ``with`` block.

    Attributes:
        path: The file.
        manifest: What is in it.
    """

    manifest: Manifest

    def __init__(self, path: Path) -> None:
        """
        Open a bundle and read its manifest; every file's size is checked against it.

        Raises:
            UsageError: There is no such file, it is not a bundle, or it is damaged.
        """
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UsageError(f"there is no bundle {path}; make one with: xfworker job bundle SERIAL") from None
        except _DAMAGE as error:
            raise UsageError(f"{path} is not a bundle, or it is damaged: {error}") from None
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def extract(self, file: BundledFile, target: Path) -> None:
        """
        Write one file's content; ``target`` appears only when complete and verified.

        Raises:
            ChecksumMismatch: The content is not what the manifest says.
        """
        partial = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("xb") as copy:
                for block in self._pieces(file):
                    size += len(block)
                    if size > file.size:
                        break
                    digest.update(block)
                    copy.write(block)
            if size != file.size or digest.hexdigest() != file.sha256:
                raise ChecksumMismatch(
                    f"{self.path}: {file.resource} in it is not what it was when the bundle was made; it is damaged"
                )
            when_free(lambda: partial.replace(target))
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _pieces(self, file: BundledFile) -> Iterator[bytes]:
        try:
            with self._archive.open(file.entry) as source:
                while block := source.read(_BLOCK):
                    yield block
        except _DAMAGE as error:
            raise ChecksumMismatch(f"{self.path} is damaged at {file.resource}: {error}") from None

    def _read_manifest(self) -> Manifest:
        entries = {}
        for info in self._archive.infolist():
            if info.filename in entries:
                raise UsageError(f"{self.path} is damaged: {info.filename!r:.100} is in it twice")
            if info.flag_bits & _ENCRYPTED or info.compress_type not in _KNOWN:
                raise UsageError(f"{self.path}: {info.filename!r:.100} is encrypted or compressed in an unknown way")
            entries[info.filename] = info
        if MANIFEST not in entries:
            raise UsageError(f"{self.path} is not a bundle: it has no {MANIFEST}")
        if entries[MANIFEST].file_size > _LARGEST_MANIFEST:
            raise UsageError(f"{self.path}: {MANIFEST} in it is too large to be one")
        try:
            content = self._archive.read(MANIFEST)
        except _DAMAGE as error:
            raise UsageError(f"{self.path} is damaged: {MANIFEST}: {error}") from None
        manifest = read_manifest(content, str(self.path))
        for file in manifest.files:
            if file.entry not in entries or entries[file.entry].file_size != file.size:
                raise UsageError(f"{self.path} is damaged: {file.resource} in it is missing or has another size")
        return manifest
