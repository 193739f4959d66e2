"""What holds for every test."""

import pytest
import structlog

from xfworker.services.event_log import reset_event_log


@pytest.fixture(autouse=True)
def no_log_of_an_earlier_test():
    """A command or a script that an earlier test ran in this process has set its log up for the whole process."""
    reset_event_log()
    structlog.reset_defaults()
