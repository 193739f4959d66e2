"""Copies of images of a bucket on a disk of this machine, for what has to read in the middle of them."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import define

from xfworker.adapters.transfer.hashing import FileHash
from xfworker.adapters.transfer.os_errors import disk_errors
from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX, partial_path, rename
from xfworker.domain.digests import Digests
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    ImageError,
    NotEnoughSpace,
    ServerBusy,
    XFWorkerError,
)
from xfworker.domain.files import AuthorizationToken, FileStat, Resource, Scope
from xfworker.domain.image.omni_document import info_of
from xfworker.ports.served_files import ServedFiles
from xfworker.services.event_log import EventLog

_AT_ONCE_BYTES: Final = 32 << 20
"""Up to this size an image is fetched while somebody waits for it; larger ones in the background."""
_DOCUMENT_BYTES: Final = 16 << 20
_OMNI: Final = ".omni"
_OTHER_DOCUMENTS: Final = frozenset({".mhd", ".nhdr", ".hdr", ".vgi"})
_KNOWN_SECONDS: Final = 2.0
"""So long what a file holds is taken to be what it was: it is asked for with every tile."""
_MOST_KNOWN: Final = 1024
_TRY_AGAIN_SECONDS: Final = 1.0
_USED: Final = ".xfused"

_log = EventLog("xfworker.images")


class _Closed(Exception):
    """The server ends."""


@define
class _Fetch:
    """
    An image on its way.

    Attributes:
        size: Its bytes.
        done: Those that are here.
        error: Why it ended without a copy.
    """

    size: int
    done: int = 0
    error: XFWorkerError | None = None


class LocalCopies:
    """
    The ``LocalFiles`` port over a store that is elsewhere: images are fetched once, and dropped when room is needed.

    An image is its file and those beside it that belong to it: which an OMNI document names, and for the documents of
    other formats those with the same stem (``scan.mhd`` and ``scan.raw``). Every file is checked by its digest. Safe
    for threads.
    """

    def __init__(self, store: ServedFiles, folder: Path, *, limit_bytes: int) -> None:
        """
        Take the parts; what a server that was killed left half fetched is removed.

        Args:
            store: The files.
            folder: Where the copies go; it need not exist, and may be removed whenever no server runs.
            limit_bytes: What all copies together may take; they never take more than half of what is free.
        """
        self._store, self._folder, self._limit_bytes = store, folder, limit_bytes
        self._fetches: dict[Path, _Fetch] = {}
        self._known: dict[Resource, tuple[float, FileStat]] = {}
        self._lock = threading.Lock()
        self._room = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="xfworker-copies")
        self._is_closed = False
        with suppress(FileNotFoundError):
            for left in folder.glob(f"{PARTIAL_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)

    def local_path(self, resource: Resource) -> Path:
        """
        Give the path of a copy of a file, with all files of its image beside it; see the port.

        Raises:
            ServerBusy: It is on its way.
            NotEnoughSpace: It is larger than copies may be.
        """
        stats = self._image(resource)
        copy = self._folder / _name_of(stats)
        if (copy / _USED).exists():
            with suppress(OSError):
                (copy / _USED).touch()
            return copy / resource.filename
        with self._lock:
            fetch = self._fetches.get(copy)
            if fetch is None:
                fetch = self._fetches[copy] = _Fetch(sum(stat.size for stat in stats))
                work = self._background.submit(self._fetch, fetch, stats, copy)
            else:
                work = None
        if work is not None and fetch.size <= _AT_ONCE_BYTES:
            work.result()
        if fetch.error is not None:
            with self._lock:
                self._fetches.pop(copy, None)  # the next one who asks tries again
            raise fetch.error
        if (copy / _USED).exists():
            return copy / resource.filename
        raise ServerBusy(
            f"{resource.filename} is being fetched from the bucket ({fetch.done / max(fetch.size, 1):.0%}); try again"
            " in a moment",
            retry_after_seconds=_TRY_AGAIN_SECONDS,
        )

    def content_id(self, resource: Resource) -> str:
        """Name the content of a file, as it was two seconds ago at most; see the port."""
        now = time.monotonic()
        known = self._known.get(resource)
        if known is None or now - known[0] > _KNOWN_SECONDS:
            known = now, self._stat(resource)
            with self._lock:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[resource] = known
        stat = known[1]
        return stat.xxh3 or stat.sha256 or f"{stat.size}-{stat.etag}"

    def close(self) -> None:
        """End what is on its way."""
        self._is_closed = True
        self._background.shutdown(wait=True, cancel_futures=True)

    # --- which files -----------------------------------------------------------------------------------------------

    def _stat(self, resource: Resource) -> FileStat:
        return self._store.stat(_reading(resource), resource)

    def _image(self, resource: Resource) -> Sequence[FileStat]:
        """Describe a file and those beside it that belong to the same image."""
        main, suffix = self._stat(resource), Path(resource.filename).suffix.lower()
        if suffix != _OMNI and suffix not in _OTHER_DOCUMENTS:
            return [main]
        names = self._named_by(main) if suffix == _OMNI else frozenset()
        stem = None if suffix == _OMNI else _stem(resource)
        folder = Resource(resource.segments[:-1])
        listed = [stat.resource for stat in self._store.list(_listing(folder), folder).files]
        beside = [file for file in listed if file.filename in names or _stem(file) == stem]
        return [main, *(self._stat(file) for file in beside if file != resource)]

    def _named_by(self, main: FileStat) -> frozenset[str]:
        """Give the names of the files that an OMNI document needs beside it."""
        if main.size > _DOCUMENT_BYTES:
            return frozenset()
        _, opened = self._store.open_file(_reading(main.resource), main.resource)
        try:
            document = json.loads(b"".join(opened.blocks(offset=0, length=main.size)))
            info = info_of(document, Path(main.resource.filename))
        except (ValueError, ImageError):
            return frozenset()  # whoever opens it says what is wrong
        finally:
            opened.close()
        return frozenset(file.name for file in (info.pixels_path, *info.files))

    # --- fetching, by one thread -----------------------------------------------------------------------------------

    def _fetch(self, fetch: _Fetch, stats: Sequence[FileStat], copy: Path) -> None:
        partial = partial_path(self._folder)
        try:
            with disk_errors(f"keep a copy of {stats[0].resource}"):
                partial.mkdir(parents=True, mode=0o700)
                self._make_room(fetch.size, stats[0])
                for stat in stats:
                    self._fetch_file(fetch, stat, partial / stat.resource.filename)
                (partial / _USED).touch()
                with suppress(FileExistsError):  # another server made the same one
                    rename(partial, copy)
            with self._lock:
                self._fetches.pop(copy, None)
        except _Closed:
            fetch.error = ServerBusy("the server ends")
        except XFWorkerError as error:
            fetch.error = error
            _log.warning("xfworker.image_not_fetched", image=str(stats[0].resource), reason=str(error))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _fetch_file(self, fetch: _Fetch, stat: FileStat, path: Path) -> None:
        found, opened = self._store.open_file(_reading(stat.resource), stat.resource)
        try:
            if found.etag != stat.etag:
                raise FileChanged(f"{stat.resource} changed while it was fetched; open it again")
            hashed = FileHash.begin(sha256=stat.xxh3 is None and stat.sha256 is not None)
            with path.open("xb") as file:
                for block in opened.blocks(offset=0, length=stat.size):
                    file.write(block)
                    hashed.update(block)
                    fetch.done += len(block)
                    if self._is_closed:
                        raise _Closed
        finally:
            opened.close()
        if not hashed.digests().fit(Digests(stat.sha256 if stat.xxh3 is None else None, stat.xxh3)):
            raise ChecksumMismatch(f"{stat.resource} is damaged in the bucket, or on its way: its digest is another")

    def _make_room(self, size: int, stat: FileStat) -> None:
        """Drop the copies that were used longest ago, as far as another needs their room."""
        with self._room:
            sizes = {copy: _byte_count(copy) for copy in self._copies()}
            others = sum(sizes.values())
            limit = min(self._limit_bytes, (shutil.disk_usage(self._folder).free + others) // 2)
            if size > limit:
                raise NotEnoughSpace(
                    f"{stat.resource} has {size} bytes, and copies of images of a bucket may have {limit};"
                    " xfworker serve --image-cache, and free space on the disk, say how many"
                )
            for copy in sorted(sizes, key=_used_at):
                if others + size <= limit:
                    break
                others -= sizes[copy]
                gone = partial_path(self._folder)
                with suppress(OSError):
                    copy.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)

    def _copies(self) -> Iterator[Path]:
        yield from (entry for entry in self._folder.iterdir() if not entry.name.startswith(PARTIAL_PREFIX))


def _stem(file: Resource) -> str:
    return file.filename.partition(".")[0]


def _reading(resource: Resource) -> AuthorizationToken:
    return AuthorizationToken(url="", token="", scopes=(Scope("read", resource),))


def _listing(folder: Resource) -> AuthorizationToken:
    return AuthorizationToken(url="", token="", scopes=(Scope("list", folder),))


def _name_of(stats: Sequence[FileStat]) -> str:
    """Name the content of all files of an image."""
    content = [[str(stat.resource), stat.size, stat.etag] for stat in stats]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _byte_count(folder: Path) -> int:
    with suppress(OSError):
        return sum(entry.stat().st_size for entry in folder.iterdir())
    return 0


def _used_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _USED).stat().st_mtime
    return 0.0
