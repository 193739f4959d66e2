"""Keeps a worker's lease on a job from a thread of its own, however long its steps take."""

import threading
from types import TracebackType
from typing import Self

from xfworker.domain.errors import LeaseLost, ServerError, XFWorkerError
from xfworker.ports.clock import Clock
from xfworker.ports.job_queue import JobQueue, Lease

_RENEWALS_PER_LEASE = 3


class KeptLease:
    """
    A context manager that renews a lease until it is left.

    Installing what a script needs can take an hour, and sending a long log minutes; neither may cost the lease.

    Attributes:
        lost: Whether the job was given to another worker.
        abort_requested: Whether a person wants the job to stop.
        server_lost: Why the server could not be asked for as long as a lease holds, or ``None``.
    """

    def __init__(self, queue: JobQueue, lease: Lease, clock: Clock, *, heartbeat_seconds: float) -> None:
        """
        Take the lease; it is renewed from :meth:`__enter__` on.

        Args:
            queue: Renews leases.
            lease: The lease, as it was handed out just now.
            clock: Measures how long the server is away.
            heartbeat_seconds: How often it is renewed; more often where the lease is short.
        """
        self.lost = False
        self.abort_requested = False
        self.server_lost: str | None = None
        self._error: XFWorkerError | None = None
        self._queue = queue
        self._lease = lease
        self._clock = clock
        held = lease.seconds
        self._held_seconds = 2.0 * _RENEWALS_PER_LEASE * heartbeat_seconds if held is None else held
        self._step_seconds = min(heartbeat_seconds, self._held_seconds / _RENEWALS_PER_LEASE)
        self._left = threading.Event()

    def __enter__(self) -> Self:
        """Begin to renew."""
        name = f"lease-{self._lease.job.serial}"
        threading.Thread(target=self._renew_until_left, name=name, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop renewing. A renewal that is on its way is not waited for: it can no longer do harm."""
        self._left.set()

    def check(self) -> None:
        """
        Make sure that the job is still this worker's.

        Raises:
            LeaseLost: It was given to another worker.
            XFWorkerError: The server refused to renew the lease for another reason.
        """
        if self.lost:
            raise LeaseLost(
                f"job {self._lease.job.serial}: attempt {self._lease.attempt} lost its lease, so its script was ended "
                "here"
            )
        self.raise_error()

    def raise_error(self) -> None:
        """
        Raise what the server refused, other than that the job is another worker's now.

        Raises:
            XFWorkerError: The server refused to renew the lease.
        """
        if self._error is not None:
            raise self._error

    def _renew_until_left(self) -> None:
        renewed_at = rested_at = self._clock.monotonic()
        while not self._left.wait(self._step_seconds):
            asked_at = self._clock.monotonic()
            # A computer that was suspended could not ask; what it missed does not count as silence of the server.
            overslept = asked_at - rested_at - self._step_seconds
            if overslept > self._step_seconds:
                renewed_at += overslept
            try:
                status = self._queue.heartbeat(self._lease)
            except LeaseLost:
                self.lost = True
                return
            except ServerError as error:
                # By this computer's own clock since the last renewal: the server's may be minutes apart from it.
                if self._clock.monotonic() - renewed_at >= self._held_seconds:
                    self.server_lost = str(error)
                    return
            except XFWorkerError as error:
                self._error = error
                return
            else:
                renewed_at = asked_at
                self.abort_requested = status.abort_requested
            rested_at = self._clock.monotonic()
