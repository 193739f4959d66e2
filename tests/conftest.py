"""What holds for every test."""

import pytest
import structlog
from hypothesis import HealthCheck, settings

from xfworker.services.event_log import reset_event_log

# How long an example takes says how busy the machine is; speed is measured by the benchmarks.
settings.register_profile("xfworker", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xfworker")


@pytest.fixture(autouse=True)
def no_log_of_an_earlier_test():
    """A command or a script that an earlier test ran in this process has set its log up for the whole process."""
    reset_event_log()
    structlog.reset_defaults()


def pytest_terminal_summary(terminalreporter):
    """Say that the page was not tried, which would be easy to miss among other tests that are skipped."""
    reasons = {str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())}
    if any("the page is not tested" in reason or "the page is tested with" in reason for reason in reasons):
        terminalreporter.write_line("NOT TRIED: the page in a browser, because playwright or Chromium is not here")
