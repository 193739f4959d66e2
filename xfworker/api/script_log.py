"""The events that a script's process writes: to stderr, so that they stand in the job's log."""

import logging
import sys

from xfworker.api.settings.model import LoggingSettings
from xfworker.services.event_log import before_first_event


def write_script_log(settings: LoggingSettings, *, job_serial: int) -> None:
    """
    Send this package's events to stderr, each with the job's serial; a script that set structlog up itself keeps that.

    Args:
        settings: Which events, and how they are written.
        job_serial: The job.
    """
    if "structlog" in sys.modules:
        _configure(settings, job_serial)
    else:
        # The import takes longer than all the rest of a script's start.
        before_first_event(lambda: _configure(settings, job_serial))


def _configure(settings: LoggingSettings, job_serial: int) -> None:
    import structlog

    if structlog.is_configured():
        return
    as_text = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    last: structlog.typing.Processor
    last = structlog.dev.ConsoleRenderer() if as_text else structlog.processors.JSONRenderer()

    def let_pass(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if settings.level == "off":  # structlog has no level above all others
            raise structlog.DropEvent
        return event

    def name_job(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"job_serial": job_serial, **event}

    structlog.configure(
        processors=[
            let_pass,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            name_job,
            *([] if as_text else [structlog.processors.format_exc_info]),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL,
}
LEVELS = tuple(_LEVELS)
"""The levels that settings can name."""
