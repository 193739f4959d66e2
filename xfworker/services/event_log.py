"""
Loggers whose library is imported with the first event, because a script that writes none should not wait for it.

structlog takes longer to import than all the rest of what a script needs to begin.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field


@define
class _Setup:
    """What is to be done before the first event, once per process, as logging is set up once per process."""

    pending: list[Callable[[], None]] = field(factory=list)


_setup = _Setup()


def before_first_event(configure: Callable[[], None]) -> None:
    """Have logging set up when it is first needed; the last one counts."""
    _setup.pending[:] = [configure]


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
        return structlog.stdlib.get_logger(self._name)
