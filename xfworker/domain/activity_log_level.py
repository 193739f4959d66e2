"""How serious an event in the activity log is."""

from enum import Enum


class ActivityLogLevel(Enum):
    """Levels of activity log events. ``INFO`` is attested; the others are this project's."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
