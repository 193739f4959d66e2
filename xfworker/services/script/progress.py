"""How long a job will take, reported to the server at most about once a second."""

import math
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from xfworker.domain.errors import ServerError, UsageError, XFWorkerError
from xfworker.ports.clock import Clock
from xfworker.services.retry_policy import RetryPolicy

ESTIMATE = "estimated_duration_seconds"
"""The key of a job's metadata that holds the estimate."""
PERCENTAGE = "progress_percentage"
"""The key of a job's metadata that holds the last progress, 0 to 100."""

INTERVAL_SECONDS = 1.0
# A job must not spend its time on reporting to an absent server.
_AWAY = RetryPolicy(on=(ServerError,), first_wait_seconds=2.0, longest_wait_seconds=60.0, jitter=0.0)
_COMPLETE = 100.0


def check_percentage(percentage: Any) -> float:
    """
    Give the percentage as a float from 0 to 100; what lies beyond is clamped.

    Raises:
        UsageError: It is not a number.
    """
    number = _number(percentage, "progress: percentage")
    return min(max(number, 0.0), _COMPLETE)


def check_duration(seconds: Any) -> float:
    """
    Give the estimated duration as a float of at least 0.

    Raises:
        UsageError: It is not a finite number of at least 0.
    """
    number = _number(seconds, "set_estimated_duration: estimated_duration_in_seconds")
    if not math.isfinite(number) or number < 0:
        raise UsageError(
            f"set_estimated_duration: estimated_duration_in_seconds must be finite and at least 0, not {number}"
        )
    return number


def _number(value: Any, what: str) -> float:
    try:
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{what} must be a number, not {value!r:.80}")
    return number


def estimated_duration_seconds(percentage: float, elapsed_seconds: float) -> float | None:
    """
    Give the whole duration that the progress so far predicts, or ``None`` while there is no progress.

    Args:
        percentage: How much is done, 0 to 100.
        elapsed_seconds: How long the script has run, by one clock: that of this computer may be hours apart from the
            server's.
    """
    if percentage <= 0:
        return None
    return elapsed_seconds / percentage * _COMPLETE


def _after(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


class Throttle:
    """
    Lets a message through at most once an interval, and less often while the server is away.

    What was held back is sent by a thread of its own when the interval is over, unless a later message was.
    """

    def __init__(
        self,
        clock: Clock,
        send: Callable[[], None],
        lock: AbstractContextManager[Any] | None = None,
        after: Callable[[float, Callable[[], None]], None] = _after,
    ) -> None:
        """
        Send nothing yet.

        Args:
            clock: Measures the interval.
            send: Sends the newest message; raises :class:`~xfworker.domain.errors.ServerError` where the server is
                away.
            lock: Held while it sends; by default one of its own.
            after: Has something called after some seconds.
        """
        self.clock = clock
        self.send = send
        self.lock = lock or threading.RLock()
        self.after = after
        self._next = -math.inf
        self._failures = 0
        self._waiting_in: int | None = None
        self._ended = False

    def offer(self) -> ServerError | None:
        """Send where the time has come, else later; give the error where the server is away."""
        with self.lock:
            if self.clock.monotonic() < self._next:
                self._wait()
                return None
            return self._send()

    def end(self) -> None:
        """Send nothing any more."""
        self._ended = True

    def _send(self) -> ServerError | None:
        try:
            self.send()
        except ServerError as error:
            self._failures += 1
            self._next = self.clock.monotonic() + _AWAY.wait_seconds(self._failures)
            return error
        self._failures = 0
        self._next = self.clock.monotonic() + INTERVAL_SECONDS
        return None

    def _wait(self) -> None:
        # A forked process has no part in the threads of the one that it was forked from.
        if self._waiting_in != os.getpid():
            self._waiting_in = os.getpid()
            self.after(max(self._next - self.clock.monotonic(), 0.0), self._due)

    def _due(self) -> None:
        with self.lock:
            self._waiting_in = None
            # A clock that stands still, as in tests, says that it is not time yet: then the next offer sends.
            if self._ended or self.clock.monotonic() < self._next:
                return
            try:
                failed = self._send()
            except XFWorkerError:
                return  # the job is over; the script's own next call is the one to say so
            if failed is not None:
                self._wait()
