"""What every clock must do, as tests to inherit."""

from datetime import timedelta

import pytest

from xfworker.ports.clock import Clock


class ClockContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your clock.

    Fixture to give:
        ``clock``: a :class:`~xfworker.ports.clock.Clock`.
    """

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError("give a clock")

    def test_the_time_of_day_is_in_utc(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    def test_monotonic_time_never_goes_back(self, clock: Clock) -> None:
        readings = [clock.monotonic() for _ in range(1000)]
        assert readings == sorted(readings)

    def test_sleeping_moves_monotonic_time_on(self, clock: Clock) -> None:
        before = clock.monotonic()
        clock.sleep(0.05)
        # Half of it, for clocks that tick in steps of some 16 ms.
        assert clock.monotonic() - before >= 0.025

    def test_sleeping_for_no_time_is_allowed(self, clock: Clock) -> None:
        before = clock.monotonic()
        clock.sleep(0)
        assert clock.monotonic() >= before
