"""What all faults have in common: a quiet log, and figures of how many calls failed, which `make faults` writes."""

import logging
from collections import Counter
from pathlib import Path

import pytest
import structlog

from tests.faults.counting import EACH_CALL
from tests.trust_figures import table, write

_TRUST = Path(__file__).parents[2] / "docs" / "trust.md"
_COUNTED = "calls that failed: "
_calls, _stories = Counter(), Counter()


@pytest.fixture(autouse=True)
def _quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def counted(record_property):
    """Count in how many calls of a kind a story failed, each in a try of its own."""
    return lambda kind, calls: record_property(f"{_COUNTED}{kind}", calls)


def pytest_runtest_logreport(report):
    for name, calls in report.user_properties if report.when == "call" and report.passed else ():
        if name.startswith(_COUNTED):
            _calls[name.removeprefix(_COUNTED)] += calls
            _stories[name.removeprefix(_COUNTED)] += 1


def pytest_sessionfinish(session, exitstatus):
    is_controller = not hasattr(session.config, "workerinput")
    if EACH_CALL and is_controller and exitstatus == pytest.ExitCode.OK and _calls:
        rows = [[kind, _stories[kind], f"{_calls[kind]:,}"] for kind in sorted(_calls)]
        write(_TRUST, "make faults", table(["what fails", "stories", "calls, each in a try"], rows))
