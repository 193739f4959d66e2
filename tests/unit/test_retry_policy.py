import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.errors import (
    ChecksumMismatch,
    ProtocolViolation,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    TransferInterrupted,
)
from xfworker.services.retry_policy import RetryPolicy

AWAY = ServerUnreachable("away")


def policy(**options):
    return RetryPolicy(**{"first_wait_seconds": 1.0, "longest_wait_seconds": 8.0, "attempts": 3, **options})


@pytest.fixture
def clock():
    return ManualClock()


def failing(times, error=AWAY):
    errors = [error] * times

    def work():
        if errors:
            raise errors.pop()
        return "done"

    return work


def test_what_fails_less_often_than_the_limit_succeeds(clock):
    assert policy().with_retries(failing(2), clock, "ask") == "done"
    assert len(clock.slept) == 2


def test_the_last_error_is_raised_when_there_were_too_many(clock):
    with pytest.raises(ServerUnreachable):
        policy().with_retries(failing(3), clock, "ask")
    assert len(clock.slept) == 2


def test_an_error_that_does_not_pass_is_raised_at_once(clock):
    with pytest.raises(ProtocolViolation):
        policy().with_retries(failing(1, ProtocolViolation("nonsense")), clock, "ask")
    with pytest.raises(ProtocolViolation):
        policy().begin(clock, "ask").wait(ProtocolViolation("nonsense"))
    assert clock.slept == []


@given(st.integers(1, 10_000), st.floats(0.0, 1.0))
def test_waits_double_up_to_a_limit_with_jitter_around_their_mean(failures, jitter):
    mean = min(2.0 ** min(failures - 1, 10), 8.0)
    seconds = policy(jitter=jitter).wait_seconds(failures)
    assert mean * (1 - jitter) <= seconds <= mean * (1 + jitter)


def test_those_who_failed_together_come_back_at_times_all_over_the_range():
    seconds = [policy().wait_seconds(1) for _ in range(1000)]
    assert 0.5 <= min(seconds) < 0.6
    assert 1.4 < max(seconds) <= 1.5


def test_failures_before_progress_do_not_count(clock):
    retries = policy().begin(clock, "fetch")
    for _ in range(10):
        retries.wait(AWAY)
        retries.wait(AWAY)
        retries.progressed()
    assert len(clock.slept) == 20


def test_a_server_that_asks_to_slow_down_is_followed_and_not_counted_as_failing(clock):
    retries = policy(throttled_seconds=60.0).begin(clock, "fetch")
    for _ in range(6):
        retries.wait(ServerBusy("busy", retry_after_seconds=10.0))
    retries.wait(AWAY)
    with pytest.raises(ServerBusy):
        retries.wait(ServerBusy("busy", retry_after_seconds=0.5))
    assert clock.slept[:6] == [10.0] * 6


def test_a_busy_server_that_names_no_time_is_waited_for_with_growing_pauses(clock):
    retries = policy(throttled_seconds=1000.0, jitter=0.0).begin(clock, "fetch")
    for _ in range(5):
        retries.wait(ServerBusy("busy"))
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_busy_server_that_asks_for_no_wait_for_ever_is_asked_with_pauses_and_given_up(clock):
    retries = policy(throttled_seconds=10.0, jitter=0.0).begin(clock, "fetch")
    for _ in range(10):
        retries.wait(ServerBusy("busy", retry_after_seconds=0.0))
    assert clock.slept == [1.0] * 10
    with pytest.raises(ServerBusy):
        retries.wait(ServerBusy("busy", retry_after_seconds=0.0))


def test_a_busy_server_counts_as_failing_where_somebody_else_has_waited_for_it(clock):
    with pytest.raises(ServerBusy):
        policy().with_retries(failing(3, ServerBusy("busy", retry_after_seconds=1000.0)), clock, "ask")
    assert sum(clock.slept) < 20


def test_a_deadline_ends_the_attempts_and_no_wait_goes_beyond_it(clock):
    with pytest.raises(ServerUnreachable):
        policy(attempts=None, deadline_seconds=30.0).with_retries(failing(1000), clock, "ask")
    assert sum(clock.slept) == pytest.approx(30.0)


def test_the_last_attempt_is_made_when_the_deadline_is_there_and_not_before(clock):
    with pytest.raises(ServerUnreachable):
        policy(attempts=None, deadline_seconds=7.5, jitter=0.0).with_retries(failing(1000), clock, "ask")
    assert clock.slept == [1.0, 2.0, 4.0, 0.5]


@pytest.mark.parametrize(("options", "events"), [({}, ["xfworker.retry_scheduled"] * 2), ({"logged": False}, [])])
def test_each_wait_is_logged_unless_it_is_routine(clock, options, events):
    with capture_logs() as log:
        policy(**options).with_retries(failing(2), clock, "ask")
    assert [entry["event"] for entry in log] == events


def test_too_many_failures_can_be_said_in_other_words(clock):
    retries = policy(attempts=1, on=(ServerError,)).begin(
        clock, "fetch", exhausted=lambda error: TransferInterrupted(f"gave up: {error}")
    )
    with pytest.raises(TransferInterrupted, match="gave up: away") as raised:
        retries.wait(AWAY)
    assert raised.value.__cause__ is AWAY


def test_damaged_results_are_fetched_again_only_so_often(clock):
    retries = policy().begin(clock, "fetch")
    for _ in range(2):
        retries.start_over(ChecksumMismatch("damaged"))
    with pytest.raises(ChecksumMismatch):
        retries.start_over(ChecksumMismatch("damaged"))
    assert clock.slept == []
