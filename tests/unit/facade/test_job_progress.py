"""Telling how far a job is: seldom, quietly, and never at the job's expense."""

import threading

import numpy as np
import pytest

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.memory.clock import ManualClock
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.domain.errors import LeaseLost, ServerTimeout, ServerUnreachable, UsageError
from xfworker.services.script.progress import (
    Throttle,
    check_duration,
    check_percentage,
    estimated_duration_seconds,
)


class Counting:
    """A server that counts updates, and is away while it is told to be."""

    def __init__(self, server):
        self._server = server
        self.updates = []
        self.away = None

    def __getattr__(self, name):
        return getattr(self._server, name)

    def update(self, kind, serial, change):
        self.updates.append(change)
        if self.away:
            raise self.away
        return self._server.update(kind, serial, change)


@pytest.fixture
def counted(script_platform, session):
    session.server = Counting(session.server)
    return XFWorkerJob(session=session)


def test_the_estimate_follows_from_the_time_so_far(script_platform, worker):
    script_platform.clock.advance(30)
    worker.progress(25)
    metadata = script_platform.job(worker.job["serial"]).metadata
    assert metadata["estimated_duration_seconds"] == pytest.approx(120)
    assert metadata["progress_percentage"] == 25


def test_progress_does_not_bump_the_lock_version(script_platform, worker):
    before = script_platform.job(worker.job["serial"]).occ_lock_version
    worker.progress(1)
    assert script_platform.job(worker.job["serial"]).occ_lock_version == before


def test_a_thousand_calls_a_second_are_about_one_request_a_second(script_platform, counted):
    for step in range(3000):
        counted.progress(step / 30)
        script_platform.clock.advance(0.001)
    assert 3 <= len(counted.session.server.updates) <= 4


def test_the_last_value_is_saved_with_the_end(script_platform, counted):
    script_platform.clock.advance(10)
    counted.progress(10)
    counted.progress(50)
    assert script_platform.job(counted.job["serial"]).metadata["progress_percentage"] == 10
    with pytest.raises(SystemExit):
        counted.error("stop")
    assert script_platform.job(counted.job["serial"]).metadata["progress_percentage"] == 50


def test_a_finished_job_is_at_a_hundred(script_platform, counted):
    counted.progress(10)
    counted.finish({"volume": 1.0, "label": "a"})
    assert script_platform.job(counted.job["serial"]).metadata["progress_percentage"] == 100


def test_a_server_that_is_away_is_no_fault_of_the_job_and_asked_less_and_less(script_platform, counted, capsys):
    counted.session.server.away = ServerUnreachable("no route")
    for _ in range(600):
        counted.progress(5)
        script_platform.clock.advance(1)
    assert 5 <= len(counted.session.server.updates) <= 16
    assert "the job goes on" in capsys.readouterr().err
    counted.session.server.away = None
    script_platform.clock.advance(60)
    counted.progress(6)
    assert script_platform.job(counted.job["serial"]).metadata["progress_percentage"] == 6


def test_progress_of_a_lost_attempt_ends_the_script(counted):
    counted.session.server.away = LeaseLost("over")
    with pytest.raises(LeaseLost):
        counted.progress(5)


@pytest.mark.parametrize(("given", "kept"), [(-5, 0.0), (150, 100.0), (np.float32(12.5), 12.5), (np.int64(7), 7.0)])
def test_percentages_are_drawn_in(script_platform, worker, given, kept):
    worker.progress(given)
    assert script_platform.job(worker.job["serial"]).metadata["progress_percentage"] == kept


@pytest.mark.parametrize("given", ["50", None, float("nan"), [1], True])
def test_what_is_no_number_is_refused(worker, given):
    with pytest.raises(UsageError, match="percentage must be a number"):
        worker.progress(given)


def test_progress_of_nothing_gives_no_estimate(script_platform, worker):
    worker.progress(0)
    assert "estimated_duration_seconds" not in script_platform.job(worker.job["serial"]).metadata


def test_progress_that_is_not_to_be_saved_asks_nothing(counted):
    counted.progress(5, save=False)
    assert counted.session.server.updates == []


@pytest.mark.parametrize("seconds", [-1, float("inf"), "1", None])
def test_an_estimated_duration_must_be_a_time(worker, seconds):
    with pytest.raises(UsageError):
        worker.set_estimated_duration(seconds)


def test_a_job_with_a_hundred_steps_costs_few_requests(counted):
    for step in range(100):
        counted.progress(step)
    counted.finish({"volume": 1, "label": None})
    assert len(counted.session.server.updates) == 2


def test_finish_waits_for_a_server_that_is_away_for_a_moment(script_platform, counted):
    server = counted.session.server
    failures = iter([ServerTimeout("slow"), ServerUnreachable("gone")])
    original = server.update

    def update(kind, serial, change):
        fault = next(failures, None)
        if fault:
            raise fault
        return original(kind, serial, change)

    server.update = update
    counted.finish({"volume": 1, "label": "b"})
    assert script_platform.job(counted.job["serial"]).state == "Done"


@pytest.fixture
def throttled():
    """A throttle whose calls for later are collected."""
    clock, sent, later = ManualClock(), [], []
    throttle = Throttle(clock, lambda: sent.append(clock.monotonic()), after=lambda seconds, call: later.append(call))
    return throttle, clock, sent, later


def test_what_was_held_back_is_sent_when_the_interval_is_over(throttled):
    throttle, clock, sent, later = throttled
    for _ in range(3):
        throttle.offer()
    assert (len(sent), len(later)) == (1, 1)
    clock.advance(1.0)
    later.pop()()
    assert len(sent) == 2


def test_nothing_is_sent_after_the_end(throttled):
    throttle, clock, sent, later = throttled
    throttle.offer()
    throttle.offer()
    throttle.end()
    clock.advance(1.0)
    later.pop()()
    assert len(sent) == 1


def test_what_was_held_back_while_the_server_is_away_is_tried_again(throttled):
    throttle, clock, sent, later = throttled

    def away():
        raise ServerUnreachable("away")

    throttle.offer()
    throttle.offer()
    throttle.send = away
    clock.advance(1.0)
    later.pop()()
    throttle.send = lambda: sent.append("again")
    clock.advance(2.0)
    later.pop()()
    assert sent[-1] == "again"


def test_a_single_estimate_after_progress_reaches_the_server(script_platform, counted, monkeypatch):
    later = []

    def timer(_, call):
        later.append(call)
        return threading.Thread()

    monkeypatch.setattr("threading.Timer", timer)
    counted.progress(1)
    counted.set_estimated_duration(3600)
    script_platform.clock.advance(1.0)
    later.pop()()
    metadata = script_platform.job(counted.job["serial"]).metadata
    assert metadata["estimated_duration_seconds"] == 3600


def test_an_absent_server_is_asked_after_two_seconds_and_then_ever_more_rarely():
    clock, sent = ManualClock(), []

    def send():
        sent.append(clock.monotonic())
        raise ServerUnreachable("no route")

    throttle = Throttle(clock, send, after=lambda _seconds, _call: None)
    clock.advance(100.0)
    for _ in range(400):
        throttle.offer()
        clock.advance(0.5)
    assert sent == [100.0, 102.0, 106.0, 114.0, 130.0, 162.0, 222.0, 282.0]


def test_what_is_held_back_is_sent_when_its_second_is_over():
    clock, later = ManualClock(), []
    throttle = Throttle(clock, lambda: None, after=lambda seconds, _call: later.append(seconds))
    clock.advance(100.0)
    throttle.offer()
    clock.advance(0.25)
    throttle.offer()
    assert later == [0.75]


def test_it_is_sent_by_a_thread_that_holds_up_no_script():
    threads, sent = [], threading.Event()

    def send():
        threads.append(threading.current_thread())
        if len(threads) == 2:
            sent.set()

    throttle = Throttle(SystemClock(), send)
    throttle.offer()
    throttle.offer()
    assert sent.wait(60)
    assert threads[0] is threading.current_thread()
    assert threads[1].daemon


def test_durations_and_percentages_are_numbers_and_predict_the_end():
    assert (check_duration(0), check_duration(0.5)) == (0.0, 0.5)
    assert (check_percentage(-1), check_percentage(101), check_percentage(0.5)) == (0.0, 100.0, 0.5)
    with pytest.raises(UsageError, match=r"^progress: percentage must be a number"):
        check_percentage("much")
    with pytest.raises(UsageError, match=r"^set_estimated_duration: estimated_duration_in_seconds must be a number"):
        check_duration("long")
    assert (estimated_duration_seconds(0.0, 10.0), estimated_duration_seconds(0.5, 10.0)) == (None, 2000.0)
