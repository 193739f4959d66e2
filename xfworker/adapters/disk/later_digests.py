"""Computes the SHA-256 of stored files when there is time for it."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import structlog
from attrs import define, field

from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.store_layout import PRIVATE_FOLDER
from xfworker.adapters.transfer.hashing import FileHash, new_hasher
from xfworker.domain.digest_field import SHA256
from xfworker.domain.errors import FileError
from xfworker.domain.files import Resource, parse_resource

_QUIET_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 60.0
_MOST_WAITING = 100_000
_BUSY_SECONDS = 0.1
"""How long to wait before looking again whether files are still being moved."""
_NICENESS = 10
"""Not the lowest priority: on a busy computer a thread that has it may hold the interpreter's lock for long."""
_FILES_AT_ONCE = 64
_PAUSE_SECONDS = 0.001

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.files")


class LaterDigests:
    """
    A thread that adds the SHA-256 to files that were stored without one.

    It goes on while no file is moved and nothing has been stored for a moment, and does not wait for that for more than
    a minute. Which files are left is not written down: those of an earlier process are found by looking through the
    store.
    """

    def __init__(self, store: FolderFileStore, *, is_busy: Callable[[], bool] = lambda: False) -> None:
        """
        Take the store.

        Args:
            store: The files.
            is_busy: Whether files are being moved right now.
        """
        self._store = store
        self._is_busy = is_busy
        self._latest = 0.0
        self._waiting: deque[Resource] = deque()
        self._changed = threading.Condition()
        self._stored_at = time.monotonic()
        self._look_through = True
        self._stopping = False

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        self._store.stored_without_sha256 = self._add
        threading.Thread(target=self._run, name="xfworker-later-digests", daemon=True).start()

    def stop(self) -> None:
        """End behind the file that is being read; what is left is found by the next process."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def catch_up(self) -> None:
        """Do at once all that is to be done."""
        while not self._stopping and (self._look_through or self._waiting):
            if self._look_through:
                self._look_through = False
                for resource in self._left_behind():
                    self._add_sha256(resource)
            while self._waiting and not self._stopping:
                self._add_sha256(self._waiting.popleft())

    def _add_sha256(self, resource: Resource) -> None:
        self._store.add_sha256(resource, _UnhurriedHash(new_hasher(SHA256), give_way=self._give_way))

    def _add(self, resource: Resource) -> None:
        with self._changed:
            self._stored_at = time.monotonic()
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(resource)
            else:
                self._look_through = True
            self._changed.notify_all()

    def _run(self) -> None:
        _lower_priority()
        while self._wait():
            try:
                self.catch_up()
            except Exception:  # noqa: BLE001  one failure must not end the thread
                _log.exception("xfworker.later_digests_failed")

    def _wait(self) -> bool:
        """Wait until there is something to do and time for it; say whether to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._look_through or self._waiting)
        self._latest = time.monotonic() + _LONGEST_WAIT_SECONDS
        self._give_way()
        return not self._stopping

    def _give_way(self) -> None:
        """Wait while files are moved, or one was just stored: hashing would take the processor from what moves them."""
        while not self._stopping and (now := time.monotonic()) < self._latest:
            quiet_at = self._stored_at + _QUIET_SECONDS
            if self._is_busy():
                quiet_at = max(quiet_at, now + _BUSY_SECONDS)
            if (seconds := min(quiet_at, self._latest) - now) <= 0:
                return
            with self._changed:
                self._changed.wait(seconds)

    def _left_behind(self) -> Iterator[Resource]:
        root = self._store.layout.root
        looked_at = 0
        for folder, folders, names in os.walk(root):
            if PRIVATE_FOLDER in folders:
                folders.remove(PRIVATE_FOLDER)
            for name in names:
                looked_at += 1
                if looked_at % _FILES_AT_ONCE == 0:
                    time.sleep(_PAUSE_SECONDS)  # others want the interpreter's lock as well
                if self._stopping:
                    return
                with suppress(FileError):
                    path = os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118  as os.walk gives them
                    resource = parse_resource(path.replace(os.sep, "/"))
                    if self._store.lacks_sha256(resource):
                        yield resource


@define
class _UnhurriedHash(FileHash):
    """The digests of a file, computed block by block when there is time for it."""

    give_way: Callable[[], None] = field(kw_only=True)

    def update(self, data: bytes | memoryview, /) -> None:
        self.give_way()
        super().update(data)


def _lower_priority() -> None:
    if sys.platform == "linux":  # where a thread has a priority of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
