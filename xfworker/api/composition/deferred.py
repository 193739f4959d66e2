"""Parts of a session that are made when they are first used: many jobs move no file and open no image."""

import threading
from collections.abc import Callable
from typing import Any


class Deferred:
    """Stands for a part of a session; any use of it makes the real one."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "not used yet" if self._made is None else repr(self._made)

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Let go of connections, if there ever were any."""
        if self._made is not None:
            self._made.close()
