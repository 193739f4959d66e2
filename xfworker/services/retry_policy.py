"""When something that failed is tried again, and how long is waited until then: the one rule for all of them."""

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define

from xfworker.domain.errors import (
    ServerBusy,
    ServerCertificateError,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    XFWorkerError,
)
from xfworker.ports.clock import Clock
from xfworker.services.event_log import EventLog

ResultT = TypeVar("ResultT")

PASSING_ERRORS = (ServerUnreachable, ServerTimeout, ServerFault, ServerBusy)
"""What may be better the next time. A wrong certificate or a peer that talks nonsense will not."""

_MOST_DOUBLINGS = 16
_MOST_RESTARTS = 3

_log = EventLog("xfworker.retries")


@define(frozen=True, kw_only=True)
class RetryPolicy:
    """
    How often and how long to try again.

    The wait doubles with each failure since the last progress, up to a limit, with jitter, so that those who failed
    together do not come back together.

    Attributes:
        on: The errors after which it is tried again; others are raised at once.
        attempts: How often it is tried without getting further; ``None`` for no limit.
        deadline_seconds: How long after the beginning it is tried again; ``None`` for no limit.
        first_wait_seconds: The wait after the first failure, in the mean.
        longest_wait_seconds: Up to which the mean doubles.
        jitter: How far a wait is from its mean at most, as a part of it: 0.5 gives half to one and a half times.
        throttled_seconds: How long in all to wait for a server that asks to slow down (429, 503), which is not counted
            as a failure. Each wait is as long as the server asks for, but no shorter than the first one of a failure.
            ``None`` where it is counted: the HTTP client below has waited already.
        logged: Whether the log says of each wait; meeting other writers is routine.
    """

    on: tuple[type[XFWorkerError], ...] = PASSING_ERRORS
    attempts: int | None = None
    deadline_seconds: float | None = None
    first_wait_seconds: float
    longest_wait_seconds: float
    jitter: float = 0.5
    throttled_seconds: float | None = None
    logged: bool = True

    def wait_seconds(self, failures: int) -> float:
        """Give a random wait after so many failures (1 or more)."""
        import random

        mean = min(self.first_wait_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.longest_wait_seconds)
        return mean * random.uniform(1.0 - self.jitter, 1.0 + self.jitter)  # noqa: S311  jitter, not a secret

    def begin(self, clock: Clock, what: str, *, exhausted: Callable[[Any], XFWorkerError] | None = None) -> "Retries":
        """
        Begin to count.

        Args:
            clock: Waits, and says when the deadline is over.
            what: What is tried, for the log.
            exhausted: Gives the error to raise in place of the last one (one of ``on``) when there were too many.
        """
        return Retries(self, clock, what, exhausted)

    def with_retries(self, work: Callable[[], ResultT], clock: Clock, what: str) -> ResultT:
        """
        Do something, and again where it fails.

        Raises:
            XFWorkerError: The last error, where there were too many, or one that is not to be retried.
        """
        retries = self.begin(clock, what)
        while True:
            try:
                return work()
            except self.on as error:
                retries.wait(error)


class Retries:
    """What was tried so far of one thing, counted by its policy."""

    def __init__(
        self, policy: RetryPolicy, clock: Clock, what: str, exhausted: Callable[[Any], XFWorkerError] | None
    ) -> None:
        """Begin to count; see :meth:`RetryPolicy.begin`."""
        self._policy = policy
        self._clock = clock
        self._what = what
        self._exhausted = exhausted
        self._began = clock.monotonic()
        self._failures = 0
        self._throttled = 0
        self._throttled_seconds = 0.0
        self._restarts = 0

    def progressed(self) -> None:
        """Record that it got further: earlier failures no longer count."""
        self._failures = 0

    def wait(self, error: XFWorkerError) -> None:
        """
        Wait before the next attempt.

        Raises:
            XFWorkerError: The error, or what stands for it, where it is not tried again.
        """
        # Whoever retries on everything that a server can do wrong need not try a wrong certificate for a minute.
        if not isinstance(error, self._policy.on) or isinstance(error, ServerCertificateError):
            raise error
        if isinstance(error, ServerBusy) and self._policy.throttled_seconds is not None:
            seconds = self._throttle(error, self._policy.throttled_seconds)
        else:
            seconds = self._fail(error)
        if self._policy.logged:
            _log.info(
                "xfworker.retry_scheduled",
                doing=self._what,
                failures=self._failures,
                throttled=self._throttled,
                seconds=round(seconds, 2),
                reason=str(error),
            )
        self._clock.sleep(seconds)

    def start_over(self, error: XFWorkerError) -> None:
        """
        Record that it has to be done from its beginning, because what came of it was damaged; nothing is waited for.

        Raises:
            XFWorkerError: The error, where that happened too often.
        """
        self._restarts += 1
        if self._restarts >= _MOST_RESTARTS:
            raise error

    def _throttle(self, error: ServerBusy, limit_seconds: float) -> float:
        self._throttled += 1
        seconds = error.retry_after_seconds
        if seconds is None:
            seconds = self._policy.wait_seconds(self._throttled)
        else:
            # A server that says 0 for ever would be asked without pause, and the limit would never be reached.
            seconds = max(seconds, self._policy.wait_seconds(1))
        self._throttled_seconds += seconds
        if self._throttled_seconds > limit_seconds:
            raise error
        return seconds

    def _fail(self, error: XFWorkerError) -> float:
        policy = self._policy
        self._failures += 1
        seconds = policy.wait_seconds(self._failures)
        is_last = policy.attempts is not None and self._failures >= policy.attempts
        if policy.deadline_seconds is not None:
            left = self._began + policy.deadline_seconds - self._clock.monotonic()
            is_last = is_last or left <= 0
            seconds = min(seconds, left)
        if not is_last:
            return seconds
        if self._exhausted is None:
            raise error
        raise self._exhausted(error) from error
