"""Which workers got no job when they last asked."""

import random
import threading

from attrs import define

from xfworker.domain.resources import Offer
from xfworker.ports.clock import Clock

_LOOK_SECONDS = (5.0, 10.0)
"""After so long it is looked all the same whether there is something to do, at times that are spread."""


@define(frozen=True)
class _Idle:
    ready_count: int | None
    look_at: float
    offer: Offer | None


class IdleWorkers:
    """
    Records the workers whose last claim got no job.

    They ask again every second, mostly for nothing, and so look first without keeping others from writing; and where
    nothing has become claimable since they last looked, the store is not asked at all. Safe to share between threads.
    """

    def __init__(self, clock: Clock) -> None:
        """Take the time."""
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, int], _Idle] = {}

    def is_idle(self, caller: str, worker_serial: int) -> bool:
        """Return whether the last claim of a caller for a worker got no job."""
        return (caller, worker_serial) in self._idle

    def has_nothing_new(self, caller: str, worker_serial: int, ready_count: int | None, offer: Offer | None) -> bool:
        """Return whether an idle worker would find what it found last; then it need not look."""
        idle = self._idle.get((caller, worker_serial))
        if idle is None or ready_count is None or idle.ready_count != ready_count:
            return False
        if self._clock.monotonic() >= idle.look_at:
            return False
        if offer is None or idle.offer is None:
            return offer is idle.offer
        return offer.is_only_later_than(idle.offer)

    def record(
        self, caller: str, worker_serial: int, *, idle: bool, ready_count: int | None, offer: Offer | None
    ) -> None:
        """
        Record whether a claim got no job.

        Args:
            caller: Who asked.
            worker_serial: For which worker.
            idle: Whether it got none.
            ready_count: The store's count from before it was asked.
            offer: What it had free, and for how long.
        """
        with self._lock:
            if idle:
                look_at = self._clock.monotonic() + random.uniform(*_LOOK_SECONDS)  # noqa: S311  not a secret
                self._idle[caller, worker_serial] = _Idle(ready_count, look_at, offer)
            else:
                self._idle.pop((caller, worker_serial), None)
