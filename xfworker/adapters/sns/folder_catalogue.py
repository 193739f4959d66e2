"""A folder of ISQ files as a catalogue of measurements."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from xfworker.adapters.transfer.file_copy import copy_file
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.domain.conversion import parse_time
from xfworker.domain.errors import ConfigurationError, ImageError, RecordNotFound
from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import ImageCodec
from xfworker.ports.sns_server import Measurement
from xfworker.services.event_log import EventLog

_HEAD_BYTES = 4096

_log = EventLog("xfworker.sns")


@define(frozen=True)
class _Entry:
    path: Path
    modified_ns: int
    measurement: Measurement


@define
class FolderSnsCatalogue:
    """
    Every ISQ file below a folder, whatever it is called; links that lead out of the folder are left alone.

    Files are looked at again only when they changed. What is not an ISQ, or a broken one, is left out.

    Attributes:
        folder: The folder.
    """

    folder: Path
    _isq: ImageCodec
    _known: dict[tuple[Path, int, int], _Entry | None] = field(factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigurationError(
                f"the folder of measurements {self.folder} is not there; name a folder of ISQ files"
            )

    def measurements(
        self, *, patient_index: int | None = None, measurement_index: int | None = None
    ) -> Sequence[Measurement]:
        matches = [
            entry.measurement
            for entry in self._entries()
            if patient_index in (None, entry.measurement.patient_index)
            and measurement_index in (None, entry.measurement.measurement_index)
        ]
        return sorted(matches, key=lambda item: (item.patient_index, item.measurement_index, item.filename))

    def file(self, measurement_index: int) -> tuple[Path, Measurement]:
        matches = [entry for entry in self._entries() if entry.measurement.measurement_index == measurement_index]
        if not matches:
            raise RecordNotFound(f"there is no measurement {measurement_index} in the catalogue")
        entry = max(matches, key=lambda item: item.modified_ns)
        return entry.path, entry.measurement

    def download(self, measurement_index: int, target: Path) -> Path:
        path, _ = self.file(measurement_index)
        with disk_errors(f"fetch measurement {measurement_index} to {target}"):
            copy_file(path, target)
        return target

    def close(self) -> None:
        """Nothing is held open."""

    def _entries(self) -> list[_Entry]:
        with self._lock:
            seen = {key: self._known[key] if key in self._known else _entry(self._isq, key) for key in self._files()}
            self._known = seen
            return [entry for entry in seen.values() if entry is not None]

    def _files(self) -> Iterator[tuple[Path, int, int]]:
        root = Path(os.path.realpath(self.folder))
        for parent, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                try:
                    if path.is_symlink() and root not in path.resolve().parents:
                        continue
                    state = path.stat()
                except OSError:
                    continue
                yield path, state.st_mtime_ns, state.st_size


def _entry(codec: ImageCodec, key: tuple[Path, int, int]) -> _Entry | None:
    path, modified_ns, size = key
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not codec.recognises(path, head):
            return None
        return _Entry(path, modified_ns, _measurement(codec.describe(path), path, size))
    except (ImageError, OSError) as error:
        # The path may hold a person's name, the reason does not.
        _log.warning("xfworker.measurement_left_out", format=codec.name, reason=type(error).__name__)
        return None


def _measurement(info: ImageInfo, path: Path, size: int) -> Measurement:
    header = info.header
    created = header.get("created")
    # As ``ctdata_header.described`` names them: its fields, the name and the date.
    return Measurement(
        patient_index=int(header.get("patient_index", 0)),
        measurement_index=int(header.get("index_measurement", 0)),
        site=int(header.get("site", 0)),
        scanner_id=int(header.get("scanner_id", 0)),
        created_at=parse_time(created) if isinstance(created, str) else created,
        size=info.size_3d,
        spacing_mm=info.spacing_mm,
        filename=path.name,
        size_bytes=size,
        name=str(header.get("name", "")),
    )
