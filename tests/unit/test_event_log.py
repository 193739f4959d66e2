"""Where this package's own events go, and when what that needs is set up."""

import json

import pytest
import structlog

from xfworker.services.event_log import EventLog, before_first_event, reset_event_log, write_privately

LEVELS = ("debug", "info", "warning", "exception")


@pytest.fixture(autouse=True)
def _nothing_set_up():
    structlog.reset_defaults()
    yield
    reset_event_log()
    structlog.reset_defaults()


def test_events_are_written_by_a_logger_of_this_package_whose_options_are_asked_for_once(capsys):
    asked = []

    def options():
        asked.append(1)
        return {"processors": [structlog.processors.add_log_level, structlog.processors.JSONRenderer()]}

    write_privately(options)
    log = EventLog("xfworker.test")
    assert asked == []
    for level in LEVELS:
        getattr(log, level)("xfworker.said", number=3)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(event["event"], event["number"]) for event in said] == [("xfworker.said", 3)] * 4
    assert [event["level"] for event in said] == ["debug", "info", "warning", "error"]
    assert (asked, structlog.is_configured()) == ([1], False)
    # Where the process sets structlog up itself, that is where they go.
    with structlog.testing.capture_logs() as entries:
        log.info("xfworker.said")
    assert (len(entries), capsys.readouterr().err) == (1, "")


def test_logging_is_set_up_before_the_first_event_by_what_was_named_last_and_once():
    done = []
    log = EventLog("xfworker.test")
    for name in ("first", "last"):
        before_first_event(lambda name=name: done.append(name))
    assert done == []
    with structlog.testing.capture_logs() as entries:
        log.info("xfworker.said")
        log.info("xfworker.said")
    assert (done, len(entries)) == (["last"], 2)
    before_first_event(lambda: done.append("dropped"))
    reset_event_log()
    log.info("xfworker.said")
    assert done == ["last"]
