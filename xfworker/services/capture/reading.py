"""Opens a capture, with suspicion: it may be damaged, and it may come from anybody."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from xfworker.domain.errors import ChecksumMismatch, InvalidFilename, NotEnoughSpace, UsageError
from xfworker.domain.filenames import check_filename
from xfworker.services.capture.calls import RecordedCall
from xfworker.services.capture.manifest import (
    CALLS,
    LOG,
    MANIFEST,
    CapturedEntry,
    CapturedFile,
    CaptureManifest,
    read_manifest,
)
from xfworker.services.sealed_archive import SealedArchive, write_whole

MOST_ENTRIES = 50_000
LARGEST_MANIFEST = 64 * 1024 * 1024
LARGEST_CALLS = 1024 * 1024 * 1024
LARGEST_LOG = 64 * 1024 * 1024
LARGEST_TOTAL = 64 * 1024**3
"""What all entries of a capture may hold together when they are unpacked; recorders stop far below."""


class OpenCapture(SealedArchive):
    """
    A capture that is open for reading; use it in a ``with`` block.

    Attributes:
        path: The file.
        manifest: What it says of itself.
    """

    manifest: CaptureManifest

    def __init__(self, path: Path) -> None:
        """
        Open a capture, and check names, sizes and counts of all that is in it before anything is read.

        Raises:
            UsageError: There is no such file, it is not a capture, it is damaged, or it breaks a limit.
        """
        super().__init__(path, "capture", "a script that imports xfcapture makes one (`xfworker capture init`)")
        try:
            self.manifest = self._checked_manifest()
        except BaseException:
            self.close()
            raise

    def calls(self) -> list[RecordedCall]:
        """
        Read the calls, in the order in which they were made.

        Raises:
            UsageError: They are not what a recorder writes.
            ChecksumMismatch: They are not what the manifest says.
        """
        listed = []
        for number, line in enumerate(self._content(CALLS).splitlines(), 1):
            try:
                listed.append(RecordedCall.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise UsageError(f"{self.path} is damaged: call {number} in {CALLS}: {error!r:.200}") from None
        return listed

    def log(self) -> str:
        """Read what the script wrote to stdout and stderr. Raises as :meth:`calls`."""
        return self._content(LOG).decode("utf-8", "replace") if LOG in self.manifest.entries else ""

    def verify(self) -> None:
        """
        Read everything, and hold it against the manifest.

        Raises:
            ChecksumMismatch: Something is not what was written; the message names it.
            UsageError: The calls are not what a recorder writes.
        """
        for entry in self.manifest.entries.values():
            for _ in self._verified(entry):
                pass
        count = len(self.calls())
        if count != self.manifest.calls:
            raise ChecksumMismatch(f"{self.path}: it holds {count} calls, and {self.manifest.calls} were written")

    def extract(self, entry: CapturedEntry, target: Path) -> None:
        """
        Write one entry's content; ``target`` appears only when complete and verified.

        Raises:
            ChecksumMismatch: The content is not what the manifest says.
            OSError: It cannot be written.
        """
        write_whole(self._verified(entry), target)

    def unpack_package(self, folder: Path) -> None:
        """Write the script's package into a folder that exists; raises as :meth:`extract`."""
        for entry in self.manifest.package:
            target = folder.joinpath(*PurePosixPath(entry.name).parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            self.extract(entry, target)

    def unpack_files(self, folder: Path) -> None:
        """
        Write the content of all captured files into a folder that exists, each named by its SHA-256 on the worker.

        Raises:
            NotEnoughSpace: The disk has no room for them.
            ChecksumMismatch: The content of one is not what the manifest says.
        """
        kept: dict[str, CapturedFile] = {key: file for key, file in self.manifest.files.items() if file.entry}
        needed, free = sum(file.size for file in kept.values()), shutil.disk_usage(folder).free
        if needed > free:
            raise NotEnoughSpace(f"{self.path} unpacks to {needed:,} bytes, and {folder} has room for {free:,}")
        for key, file in kept.items():
            assert file.entry is not None
            self.extract(file.entry, folder / key)

    def _content(self, name: str) -> bytes:
        entry = self.manifest.entries.get(name)
        if entry is None:
            raise UsageError(f"{self.path} is damaged: it has no {name}")
        return b"".join(self._verified(entry))

    def _verified(self, entry: CapturedEntry) -> Iterator[bytes]:
        return self._pieces(
            entry.name,
            entry.size,
            entry.sha256,
            called=entry.name,
            otherwise="was written; the file is damaged",
        )

    def _checked_manifest(self) -> CaptureManifest:
        count = len(self._archive.infolist())
        if count > MOST_ENTRIES:
            raise UsageError(f"{self.path} has {count:,} entries; a capture has at most {MOST_ENTRIES:,}")
        infos = self._entries()
        manifest = read_manifest(self._manifest_content(infos, MANIFEST, LARGEST_MANIFEST), str(self.path))
        for entry in manifest.entries.values():
            self._check_entry(entry, infos)
        if sum(entry.size for entry in manifest.entries.values()) > LARGEST_TOTAL:
            raise UsageError(f"{self.path} unpacks to more than {LARGEST_TOTAL:,} bytes, which a capture never does")
        return manifest

    def _check_entry(self, entry: CapturedEntry, infos: dict[str, zipfile.ZipInfo]) -> None:
        info = infos.get(entry.name)
        if info is None or info.file_size != entry.size:
            raise UsageError(f"{self.path} is damaged: {entry.name!r:.100} in it is missing or has another size")
        limit = {CALLS: LARGEST_CALLS, LOG: LARGEST_LOG}.get(entry.name, LARGEST_TOTAL)
        if entry.size > limit:
            raise UsageError(f"{self.path}: {entry.name} in it has {entry.size:,} bytes; {limit:,} are allowed")
        parts = entry.name.split("/")
        if entry.name not in (CALLS, LOG) and (parts[0] not in ("files", "package") or len(parts) < 2):  # noqa: PLR2004  a folder and a name
            raise UsageError(f"{self.path}: {entry.name!r:.100} in it does not belong into a capture")
        try:
            for part in parts:
                check_filename(part)
        except InvalidFilename as error:
            raise UsageError(f"{self.path}: the name of an entry is not safe: {error}") from None


def as_document(capture: OpenCapture) -> dict[str, Any]:
    """Describe a capture as JSON: all of its manifest but the tables that only replaying needs."""
    manifest = capture.manifest
    left_out = {"entries", "names", "classes", "signatures", "folders"}
    document = {key: value for key, value in manifest.document.items() if key not in left_out}
    return {"path": str(capture.path), **document, "package": [entry.name for entry in manifest.package]}
