"""A file store that is made when a file is first asked for: many jobs move none."""

import threading
from collections.abc import Callable
from typing import Any

from xfworker.ports.file_store import FileStore


class DeferredFileStore:
    """Stands for a file store; any use of it makes the real one."""

    def __init__(self, make: Callable[[], FileStore]) -> None:
        self._make = make
        self._made: FileStore | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "a file store that was not used yet" if self._made is None else repr(self._made)

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Let go of connections, if there ever were any."""
        if self._made is not None:
            self._made.close()
