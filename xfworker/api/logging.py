"""Sends the events of this process to stderr; a process that set structlog up itself keeps that."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from xfworker.api.settings.model import LOG_LEVELS, LoggingSettings
from xfworker.services.event_log import before_first_event

_COMMAND_LEVEL = "warning"


def write_script_log(settings: LoggingSettings, *, job_serial: int) -> None:
    """
    Send a script's events to stderr, so that they stand in the job's log, each with the job's serial.

    Args:
        settings: Which events, and how they are written.
        job_serial: The job.
    """
    configure = partial(_configure, settings.level, settings.format, {"job_serial": job_serial})
    if "structlog" in sys.modules:
        configure()
    else:
        # The import takes longer than all the rest of a script's start.
        before_first_event(configure)


def write_command_log() -> None:
    """Send a command's events to stderr, warnings only, since stdout is for results."""
    level = os.environ.get("XFWORKER_LOGGING_LEVEL", "").lower()
    before_first_event(partial(_configure, level if level in LOG_LEVELS else _COMMAND_LEVEL, "console"))


def write_server_log() -> None:
    """Send a server's or worker's events to stderr, as JSON unless a person is looking."""
    _configure("info", "auto", replace=True)


def _configure(level: str, form: str, facts: Mapping[str, Any] | None = None, *, replace: bool = False) -> None:
    import structlog

    if structlog.is_configured() and not replace:
        return
    to_a_person = sys.stderr.isatty()
    for_people = form == "console" or (form == "auto" and to_a_person)

    def let_pass(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if level == "off":  # structlog has no level above all others
            raise structlog.DropEvent
        return {**(facts or {}), **event}

    structlog.configure(
        processors=[
            let_pass,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if for_people else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer(colors=to_a_person) if for_people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LOG_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
