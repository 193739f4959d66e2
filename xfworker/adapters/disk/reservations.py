"""Room on a disk that is promised to files while they arrive, so that several of them do not fill it together."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from xfworker.domain.errors import NotEnoughSpace

LAPSE_SECONDS = 600.0
"""How long a promise holds while nothing arrives; whoever comes later asks again."""

_HEADROOM_BYTES = 64 << 20
_HEADROOM_SHARE = 0.05
"""What is left to the records beside the files: 64 MiB, of a small disk a twentieth."""


class Reservations:
    """
    Promises of room on the disk of one folder. Safe to share between threads.

    What has arrived of a file takes room of its own, so only what is missing of it is counted. Announcing files without
    sending them keeps no room for long: a promise lapses while nothing arrives.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._missing: dict[object, int] = {}
        self._touched: dict[object, float] = {}
        self._now = now
        self._lock = threading.Lock()

    def reserve(self, key: object, size: int, what: object) -> None:
        """
        Promise room to a file.

        Args:
            key: Names the promise; a second one of this name takes its place.
            size: Bytes that are missing; where nobody knows, those that come next.
            what: What the file is called.

        Raises:
            NotEnoughSpace: The disk has not so much that is neither used nor promised.
        """
        with self._lock:
            usage = shutil.disk_usage(self._folder)
            headroom = min(_HEADROOM_BYTES, int(usage.total * _HEADROOM_SHARE))
            promised = sum(self._missing[other] for other in self._holding() if other != key)
            free = max(usage.free - promised - headroom, 0)
            if size > free:
                raise NotEnoughSpace(
                    f"cannot store {what}: it has {size} bytes, and the disk of {self._folder} has room for {free}"
                    + (f" beside {promised} bytes of files that are arriving" if promised else "")
                )
            self._set(key, size)

    def set_missing(self, key: object, size: int) -> None:
        """Say how many bytes are missing of a file that is arriving already, whether there is room or not."""
        with self._lock:
            self._set(key, size)

    def arrived(self, key: object, count: int) -> None:
        """Count bytes that were written; without a promise it does nothing."""
        with self._lock:
            if key in self._missing:
                self._set(key, max(self._missing[key] - count, 0))

    def release(self, key: object) -> None:
        """Take a promise back, if there is one."""
        with self._lock:
            self._missing.pop(key, None)
            self._touched.pop(key, None)

    def _set(self, key: object, size: int) -> None:
        self._missing[key] = size
        self._touched[key] = self._now()

    def _holding(self) -> list[object]:
        earliest = self._now() - LAPSE_SECONDS
        return [key for key, touched in self._touched.items() if touched >= earliest]
