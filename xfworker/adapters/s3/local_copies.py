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
    FileNotInStore,
    ImageError,
    NotEnoughSpace,
    ServerBusy,
    UnsupportedImage,
    XFWorkerError,
)
from xfworker.domain.files import FileStat, Resource, own_token
from xfworker.domain.image.omni_document import info_of
from xfworker.domain.image.series import may_be_of_series, require_image_folder, series_member
from xfworker.ports.served_files import ServedFiles
from xfworker.services.event_log import EventLog

_AT_ONCE_BYTES: Final = 32 << 20
"""Up to this size an image is fetched while somebody waits for it; larger ones in the background."""
_DOCUMENT_BYTES: Final = 16 << 20
_OMNI: Final = ".omni"
_OTHER_DOCUMENTS: Final = frozenset({".mhd", ".nhdr", ".hdr", ".vgi"})
_KNOWN_SECONDS: Final = 2.0
"""So long what a file holds is taken to be what it was: it is asked for with every tile."""
_KNOWN_TIMES: Final = 20
"""Of many files, so many times as long as it took to look."""
_MOST_KNOWN: Final = 1024
_MOST_FILES: Final = 100_000
_FETCHED_TOGETHER: Final = 8
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


@define(frozen=True)
class _Image:
    """
    The files of an image.

    Attributes:
        stats: What the store says of each.
        names: The path of each in its copy, with slashes.
        name: What is opened of the copy.
    """

    stats: Sequence[FileStat]
    names: Sequence[str]
    name: str


class LocalCopies:
    """
    The ``LocalFiles`` port over a store that is elsewhere: images are fetched once, and dropped when room is needed.

    An image is its file and those beside it that belong to it: which an OMNI document names, and for the documents of
    other formats those with the same stem (``scan.mhd`` and ``scan.raw``); of a folder all files in it, of a series
    those that may be slices of it. Every file is checked by its digest. Safe for threads.
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
        self._known: dict[Resource, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._room = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="xfworker-copies")
        self._is_closed = False
        with suppress(FileNotFoundError):
            for left in folder.glob(f"{PARTIAL_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)

    def local_path(self, resource: Resource) -> Path:
        """
        Give the path of a copy of a file or folder, with all files of its image beside it; see the port.

        Raises:
            ServerBusy: It is on its way.
            NotEnoughSpace: It is larger than copies may be.
        """
        image = self._image(resource)
        stats, copy = image.stats, self._folder / _name_of(image.stats)
        path = copy / image.name
        if (copy / _USED).exists():
            with suppress(OSError):
                (copy / _USED).touch()
            return path
        with self._lock:
            fetch = self._fetches.get(copy)
            if fetch is None:
                fetch = self._fetches[copy] = _Fetch(sum(stat.size for stat in stats))
                work = self._background.submit(self._fetch, fetch, image, copy)
            else:
                work = None
        if work is not None and fetch.size <= _AT_ONCE_BYTES:
            work.result()
        if fetch.error is not None:
            with self._lock:
                self._fetches.pop(copy, None)  # the next one who asks tries again
            raise fetch.error
        if (copy / _USED).exists():
            return path
        raise ServerBusy(
            f"{resource.filename} is being fetched from the bucket ({fetch.done / max(fetch.size, 1):.0%}); try again"
            " in a moment",
            retry_after_seconds=_TRY_AGAIN_SECONDS,
        )

    def content_id(self, resource: Resource) -> str:
        """Name the content, as it was two seconds ago (of many files: twenty times as long as a look) at most."""
        begun = time.monotonic()
        known = self._known.get(resource)
        if known is None or begun >= known[0]:
            seconds = _KNOWN_SECONDS
            try:
                stat = self._stat(resource)
                content = stat.xxh3 or stat.sha256 or f"{stat.size}-{stat.etag}"
            except FileNotInStore:
                content = _name_of(self._many(resource).stats)
                seconds = max(seconds, _KNOWN_TIMES * (time.monotonic() - begun))
            known = time.monotonic() + seconds, content
            with self._lock:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[resource] = known
        return known[1]

    def close(self) -> None:
        """End what is on its way."""
        self._is_closed = True
        self._background.shutdown(wait=True, cancel_futures=True)

    # --- which files -----------------------------------------------------------------------------------------------

    def _stat(self, resource: Resource) -> FileStat:
        return self._store.stat(own_token(("read",), resource), resource)

    def _image(self, resource: Resource) -> _Image:
        """Describe the files of an image."""
        try:
            main = self._stat(resource)
        except FileNotInStore:
            return self._many(resource)
        stats = self._with_beside(main, resource)
        return _Image(stats, [stat.resource.filename for stat in stats], resource.filename)

    def _many(self, resource: Resource) -> _Image:
        """
        Describe the files of a series or of a folder.

        Raises:
            FileNotInStore: There is neither a file nor a folder of this name.
        """
        member = series_member(resource)
        if member is not None:
            folder = Resource(member.segments[:-1])
            listed = self._store.list(own_token(("list",), folder), folder).files
            stats = [stat for stat in listed if may_be_of_series(stat.resource.filename, member.filename)]
            if any(stat.resource == member for stat in stats):
                return _Image(stats, [stat.resource.filename for stat in stats], member.filename)
        require_image_folder(resource)
        stats = []
        for stat in self._below(resource):
            if len(stats) >= _MOST_FILES:
                raise UnsupportedImage(
                    f"{resource} has more than {_MOST_FILES} files, which are not fetched to be shown"
                )
            stats.append(stat)
        if not stats:
            raise FileNotInStore(f"the file store holds no file and no folder {resource}")
        above = len(resource.segments) - 1
        return _Image(stats, ["/".join(stat.resource.segments[above:]) for stat in stats], resource.filename)

    def _below(self, folder: Resource) -> Iterator[FileStat]:
        found = self._store.list(own_token(("list",), folder), folder)
        yield from found.files
        for name in found.folders:
            yield from self._below(folder.child(name))

    def _with_beside(self, main: FileStat, resource: Resource) -> Sequence[FileStat]:
        """Describe a file and those beside it that belong to the same image."""
        suffix = Path(resource.filename).suffix.lower()
        if suffix != _OMNI and suffix not in _OTHER_DOCUMENTS:
            return [main]
        names = self._named_by(main) if suffix == _OMNI else frozenset()
        stem = None if suffix == _OMNI else _stem(resource)
        folder = Resource(resource.segments[:-1])
        listed = [stat.resource for stat in self._store.list(own_token(("list",), folder), folder).files]
        beside = [file for file in listed if file.filename in names or _stem(file) == stem]
        return [main, *(self._stat(file) for file in beside if file != resource)]

    def _named_by(self, main: FileStat) -> frozenset[str]:
        """Give the names of the files that an OMNI document needs beside it."""
        if main.size > _DOCUMENT_BYTES:
            return frozenset()
        _, opened = self._store.open_file(own_token(("read",), main.resource), main.resource)
        try:
            document = json.loads(b"".join(opened.blocks(offset=0, length=main.size)))
            info = info_of(document, Path(main.resource.filename))
        except (ValueError, ImageError):
            return frozenset()  # whoever opens it says what is wrong
        finally:
            opened.close()
        return frozenset(file.name for file in (info.pixels_path, *info.files))

    # --- fetching, by one thread -----------------------------------------------------------------------------------

    def _fetch(self, fetch: _Fetch, image: _Image, copy: Path) -> None:
        stats = image.stats
        partial = partial_path(self._folder)
        try:
            with disk_errors(f"keep a copy of {stats[0].resource}"):
                partial.mkdir(parents=True, mode=0o700)
                self._make_room(fetch.size, stats[0])
                for folder in {(partial / name).parent for name in image.names}:
                    folder.mkdir(parents=True, exist_ok=True)
                # Small files are mostly waited for; of large ones there are few.
                with ThreadPoolExecutor(min(_FETCHED_TOGETHER, len(stats))) as together:
                    work = [
                        together.submit(self._fetch_file, fetch, stat, partial / name)
                        for stat, name in zip(stats, image.names, strict=True)
                    ]
                    try:
                        for one in work:
                            one.result()
                    except BaseException:
                        together.shutdown(wait=True, cancel_futures=True)
                        raise
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
        found, opened = self._store.open_file(own_token(("read",), stat.resource), stat.resource)
        try:
            if found.etag != stat.etag:
                raise FileChanged(f"{stat.resource} changed while it was fetched; open it again")
            hashed = FileHash.begin(sha256=found.xxh3 is None and found.sha256 is not None)
            with path.open("xb") as file:
                for block in opened.blocks(offset=0, length=stat.size):
                    file.write(block)
                    hashed.update(block)
                    fetch.done += len(block)
                    if self._is_closed:
                        raise _Closed
        finally:
            opened.close()
        if not hashed.digests().fit(Digests(found.sha256 if found.xxh3 is None else None, found.xxh3)):
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


def _name_of(stats: Sequence[FileStat]) -> str:
    """Name the content of all files of an image."""
    content = [[str(stat.resource), stat.size, stat.etag] for stat in stats]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _byte_count(folder: Path) -> int:
    with suppress(OSError):
        return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
    return 0


def _used_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _USED).stat().st_mtime
    return 0.0
