"""Announces over PostgreSQL that a job has become ready, so that servers need not ask for it again and again."""

import threading
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from xfworker.adapters.sql.prepared import Runner

_ANNOUNCE = "NOTIFY xfworker_ready"
_LISTEN = text("LISTEN xfworker_ready")
_STEP_SECONDS = 0.5
_AGAIN_SECONDS = 2.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.sql")


def announce_ready(runner: Runner) -> None:
    """
    Let all servers know, once the transaction is committed, that there is something new to be claimed.

    A transaction that does so waits at its end for all others that do, so it is done for nothing else.
    """
    runner.command_later(_ANNOUNCE)


class Readiness:
    """Counts the announcements of all servers on a database, from when somebody first asks for the count."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._count = 0
        self._hears = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def count(self) -> int | None:
        """Give a number that is another one after an announcement, or ``None`` while none could be heard."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._listen, name="ready jobs", daemon=True)
                self._thread.start()
            return self._count if self._hears else None

    def close(self) -> None:
        """Listen no longer."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.detach()
                    connection.execute(_LISTEN)
                    self.note()  # what was announced before nobody heard
                    self._hears = True
                    self._follow(connection.connection.dbapi_connection)
            except (DBAPIError, OSError) as error:
                _log.warning("xfworker.announcements_not_heard", reason=str(error).strip().partition("\n")[0])
            self._hears = False
            self._closed.wait(_AGAIN_SECONDS)

    def _follow(self, driver: Any) -> None:
        with suppress(driver.Error):
            while not self._closed.is_set():
                for _ in driver.notifies(timeout=_STEP_SECONDS, stop_after=1):
                    self.note()

    def note(self) -> None:
        """Count an announcement, of this process or another."""
        with self._lock:
            self._count += 1
