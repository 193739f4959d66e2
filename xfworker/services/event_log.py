"""
Loggers whose library is imported with the first event, because a script that writes none should not wait for it.

structlog takes longer to import than all the rest of what a script needs to begin.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any


class _Setup:
    """
    How events are written, once per process, as logging is set up once per process.

    Attributes:
        pending: What is to be done before the first event.
        private: Gives the options of this package's own logger, and those once they were asked for.
    """

    def __init__(self) -> None:
        self.pending: list[Callable[[], None]] = []
        self.private: Callable[[], Mapping[str, Any]] | None = None
        self.options: Mapping[str, Any] | None = None

    def logger(self) -> Any:
        import structlog

        if self.private is None or structlog.is_configured():
            return None
        if self.options is None:
            self.options = self.private()
        return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), **self.options)


_setup = _Setup()


def before_first_event(configure: Callable[[], None]) -> None:
    """Have logging set up when it is first needed; the last one counts."""
    _setup.pending[:] = [configure]


def write_privately(options: Callable[[], Mapping[str, Any]]) -> None:
    """
    Write events by a logger of this package's own, and leave structlog itself as it is: that is the script's.

    In a process that has configured structlog the events go where it says.

    Args:
        options: Gives the arguments of ``structlog.wrap_logger`` when the first event comes.
    """
    _setup.private, _setup.options = options, None


def reset_event_log() -> None:
    """Drop what a command or a script of this process has set up: events go to structlog as it is."""
    _setup.pending.clear()
    _setup.private = _setup.options = None


class EventLog:
    """A structlog logger of a name; ``log.info("xfworker.upload_finished", bytes=3)``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **facts: Any) -> None:
        """Write what only helps to find errors."""
        self._logger().debug(event, **facts)

    def info(self, event: str, **facts: Any) -> None:
        """Write what happened."""
        self._logger().info(event, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Write what went wrong without stopping anything."""
        self._logger().warning(event, **facts)

    def exception(self, event: str, **facts: Any) -> None:
        """Write what went wrong, with the exception that is being handled."""
        self._logger().exception(event, **facts)

    def _logger(self) -> Any:
        import structlog

        while _setup.pending:
            _setup.pending.pop()()
        return _setup.logger() or structlog.stdlib.get_logger(self._name)
