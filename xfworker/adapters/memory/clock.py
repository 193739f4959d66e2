"""A clock that stands still until it is moved, for tests."""

from datetime import UTC, datetime, timedelta

_START = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)


class ManualClock:
    """A clock that moves only by :meth:`advance` and by :meth:`sleep`, which returns at once."""

    def __init__(self, start: datetime = _START) -> None:
        self._now = start
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Give the time that the clock was set to."""
        return self._now

    def monotonic(self) -> float:
        """Give the seconds that the clock was moved by."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Record the wait and move on by it."""
        self.slept.append(seconds)
        self.advance(seconds)

    def set_time(self, now: datetime) -> None:
        """Set the time of day alone, as a person or NTP does; monotonic time stays."""
        self._now = now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
