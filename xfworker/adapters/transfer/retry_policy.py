"""How long a transfer puts up with faults: breaks and a server's wish to slow down are counted apart."""

import random

from xfworker.domain.errors import (
    ServerBusy,
    ServerError,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    TransferInterrupted,
)
from xfworker.ports.clock import Clock
from xfworker.services.event_log import EventLog

_PASSING = (ServerUnreachable, ServerTimeout, ServerFault, ServerBusy)
"""What may be better the next time. A wrong certificate or a peer that talks nonsense will not."""

_LONGEST_BACKOFF_SECONDS = 20.0

_log = EventLog("xfworker.transfers")


class Patience:
    """Decides whether a transfer tries again, and waits until then."""

    def __init__(
        self, clock: Clock, *, attempts: int, backoff_seconds: float, patience_seconds: float, what: str
    ) -> None:
        self._clock = clock
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        self._patience_seconds = patience_seconds
        self._what = what
        self._failures = 0
        self._throttled = 0
        self._waited = 0.0

    def progressed(self) -> None:
        """Note that the transfer got further: earlier breaks no longer count."""
        self._failures = 0

    def bear(self, error: ServerError) -> None:
        """
        Wait before the next attempt.

        Raises:
            ServerBusy: The server asked to slow down for too long.
            TransferInterrupted: The transfer broke too often without getting further.
            ServerError: The fault will not pass.
        """
        if not isinstance(error, _PASSING):
            raise error
        seconds = self._throttle(error) if isinstance(error, ServerBusy) else self._fail(error)
        _log.info(
            "xfworker.transfer_waits",
            file=self._what,
            failures=self._failures,
            throttled=self._throttled,
            seconds=round(seconds, 2),
            reason=str(error),
        )
        self._clock.sleep(seconds)

    def _throttle(self, error: ServerBusy) -> float:
        self._throttled += 1
        wait = error.retry_after_seconds
        if wait is None:
            wait = self._jittered(min(self._throttled, 7))
        self._waited += wait
        if self._waited > self._patience_seconds:
            raise error
        return wait

    def _fail(self, error: ServerError) -> float:
        self._failures += 1
        if self._failures >= self._attempts:
            raise TransferInterrupted(
                f"{self._what}: the transfer broke {self._failures} times without getting further; what arrived is "
                f"kept, and the next try goes on from there. Last: {error}"
            ) from error
        return self._jittered(self._failures)

    def _jittered(self, exponent: int) -> float:
        doubled = self._backoff_seconds * 2 ** min(exponent - 1, 16)
        return float(min(doubled, _LONGEST_BACKOFF_SECONDS) * (0.5 + random.random()))  # noqa: S311  jitter
