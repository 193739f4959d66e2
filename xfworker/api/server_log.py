"""The server's log: one event a line on stderr, as JSON unless a person is looking."""

import logging
import sys

import structlog


def write_server_log(*, level: int = logging.INFO) -> None:
    """Send the events of this process to stderr."""
    to_a_person = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if to_a_person else structlog.processors.JSONRenderer()
    )
    errors: list[structlog.typing.Processor] = [] if to_a_person else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *errors,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
