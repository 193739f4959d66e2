"""Detects when time did not pass as it should, so that no worker loses a lease that it could not renew."""

import threading
from datetime import datetime

from xfworker.ports.clock import Clock

_MOST_SECONDS_BETWEEN = 5.0
_LEAST_LATE_SECONDS = 1.0
_LEAST_STEP_SECONDS = 0.5


class LeaseWatch:
    """
    Compares the time of day, by which leases end, with monotonic time, and looks whether maintenance comes in time.

    The time of day is set by people, by NTP and by virtual machines that come back; a server that was suspended wakes
    up to leases that nobody could renew meanwhile. In both cases all leases get a fresh period before any of them ends.
    """

    def __init__(self, clock: Clock, lease_seconds: float) -> None:
        """
        Prepare.

        Args:
            clock: The time.
            lease_seconds: How long a lease holds without being renewed.
        """
        self._clock = clock
        self._step_seconds = max(lease_seconds / 10, _LEAST_STEP_SECONDS)
        self._late_seconds = max(lease_seconds / 3, _LEAST_LATE_SECONDS)
        self._lock = threading.Lock()
        self._seen: tuple[datetime, float] | None = None
        self._maintained_at: float | None = None
        self._irregularities = 0
        self._granted = 0

    def begin(self, *, after_pause: bool = True) -> None:
        """
        Record that serving begins, and maintenance with it.

        Args:
            after_pause: Whether nobody served before: then no lease could be renewed meanwhile.
        """
        with self._lock:
            self._irregularities += after_pause
            self._seen = self._clock.now(), self._clock.monotonic()
            self._maintained_at = self._seen[1]

    def look(self, *, for_maintenance: bool = False) -> int:
        """
        Look at the clocks, which must be done in the transaction that would end leases.

        Args:
            for_maintenance: Whether this is one of the looks that come at regular intervals.

        Returns:
            0 where time passed as it should; else a number for :meth:`grant`, until a fresh period has been granted.
        """
        with self._lock:
            now, monotonic = self._clock.now(), self._clock.monotonic()
            if self._is_irregular(now, monotonic):
                self._irregularities += 1
                self._maintained_at = None if self._maintained_at is None else monotonic
            self._seen = now, monotonic
            if for_maintenance:
                self._maintained_at = monotonic
            return self._irregularities if self._irregularities > self._granted else 0

    def grant(self, number: int) -> None:
        """Record that the fresh period was granted for what :meth:`look` gave, once it is committed."""
        with self._lock:
            self._granted = max(self._granted, number)

    def _is_irregular(self, now: datetime, monotonic: float) -> bool:
        if self._maintained_at is not None and monotonic - self._maintained_at > self._late_seconds:
            return True
        if self._seen is None:
            return False
        passed = (now - self._seen[0]).total_seconds()
        return abs(passed - (monotonic - self._seen[1])) > self._step_seconds


def maintenance_seconds(lease_seconds: float) -> float:
    """Give the interval at which leases are looked at: several times in a lease."""
    return min(_MOST_SECONDS_BETWEEN, lease_seconds / 6)
