"""Sends the events of this process to stderr; a process that set structlog up itself keeps that."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from xfworker.api.settings.model import LOG_LEVELS, LoggingSettings
from xfworker.services.event_log import before_first_event, write_privately

_COMMAND_LEVEL = "warning"


def write_script_log(settings: LoggingSettings, *, job_serial: int) -> None:
    """
    Send a script's events to stderr, so that they stand in the job's log, each with the job's serial.

    Args:
        settings: Which events, and how they are written.
        job_serial: The job.
    """
    # The import of structlog takes longer than all the rest of a script's start, so it waits for the first event.
    write_privately(partial(_options, settings.level, settings.format, {"job_serial": job_serial}))


def show_standard_log() -> None:
    """
    Let ``logging.info`` of a script that has not set up the standard library's logging reach the job's log.

    Without a set-up only warnings are shown. What a script sets up, before or later, is as it says.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return  # nobody can have asked for a logger yet
    root = logging.getLogger()
    if root.handlers or root.level != logging.WARNING or logging.lastResort is None:
        return
    root.setLevel(logging.INFO)
    # Not a handler of the root logger: with one there logging.basicConfig() would do nothing.
    logging.lastResort.setLevel(logging.INFO)
    logging.lastResort.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))


def write_command_log() -> None:
    """Send a command's events to stderr, warnings only, since stdout is for results."""
    level = os.environ.get("XFWORKER_LOGGING_LEVEL", "").lower()
    before_first_event(partial(_configure, level if level in LOG_LEVELS else _COMMAND_LEVEL, "console"))


def write_server_log() -> None:
    """Send a server's or worker's events to stderr, as JSON unless a person is looking."""
    _configure("info", "auto", replace=True)


def _configure(level: str, form: str, *, replace: bool = False) -> None:
    import structlog

    from xfworker.api.kept_stderr import KeptStderr

    if replace or not structlog.is_configured():
        output: Any = KeptStderr(sys.stderr)
        structlog.configure(**_options(level, form), logger_factory=structlog.PrintLoggerFactory(output))


def _options(level: str, form: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    import structlog

    to_a_person = sys.stderr.isatty()
    as_text = form == "console" or (form == "auto" and to_a_person)

    def let_pass(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if level == "off":  # structlog has no level above all others
            raise structlog.DropEvent
        return {**(facts or {}), **event}

    return {
        "processors": [
            let_pass,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if as_text else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer(colors=to_a_person) if as_text else structlog.processors.JSONRenderer(),
        ],
        "wrapper_class": structlog.make_filtering_bound_logger(LOG_LEVELS[level]),
    }
