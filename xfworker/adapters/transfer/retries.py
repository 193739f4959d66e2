"""When a transfer that broke goes on: attempts are counted between progress, a server's throttling apart from them."""

from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.domain.errors import TransferInterrupted, XFWorkerError
from xfworker.ports.clock import Clock
from xfworker.services.retry_policy import Retries, RetryPolicy


def transfer_retries(
    clock: Clock, limits: TransferLimits, what: str, *, backoff_seconds: float = 0.25, throttled_seconds: float = 120.0
) -> Retries:
    """
    Begin to count the failures of one transfer.

    Args:
        clock: Waits between attempts.
        limits: How often it may break.
        what: What is transferred, for messages: ``fetching job_result/17/a.raw``.
        backoff_seconds: The wait after the first failure, in the mean.
        throttled_seconds: How long in all to wait for a server that asks to slow down.
    """

    def interrupted(error: XFWorkerError) -> TransferInterrupted:
        return TransferInterrupted(
            f"{what}: the transfer broke {limits.attempts} times without getting further; what arrived is kept, and "
            f"the next try goes on from there. Last: {error}"
        )

    policy = RetryPolicy(
        attempts=limits.attempts,
        first_wait_seconds=backoff_seconds,
        longest_wait_seconds=20.0,
        throttled_seconds=throttled_seconds,
    )
    return policy.begin(clock, what, exhausted=interrupted)
