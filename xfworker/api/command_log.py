"""The events of a command: warnings only, on stderr, since stdout is for results."""

import logging
import os
import sys

from xfworker.services.event_log import before_first_event


def write_command_log() -> None:
    """Have events set up when the first one comes; a command that sets them up itself keeps that."""
    before_first_event(_configure)


def _configure() -> None:
    import structlog

    if structlog.is_configured():
        return
    stated = logging.getLevelNamesMapping().get(os.environ.get("XFWORKER_LOGGING_LEVEL", "").upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(stated or logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
