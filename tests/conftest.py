"""What holds for every test."""

import pytest

from xfworker.services.event_log import write_by_structlog


@pytest.fixture(autouse=True)
def events_go_where_structlog_says():
    """A script's session of an earlier test in this process has a logger of its own, which nothing captures."""
    write_by_structlog()
