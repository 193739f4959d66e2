"""Keeps a worker's leases from a thread of its own, however long the steps of its jobs take."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from attrs import define, field

from xfworker.domain.errors import LeaseLost, ServerError, XFWorkerError
from xfworker.ports.clock import Clock
from xfworker.ports.job_queue import JobQueue, Lease, LeaseStatus

_RENEWALS_PER_LEASE = 3


@define(eq=False)
class KeptLease:
    """
    A lease that :class:`Heartbeats` renew.

    Attributes:
        lease: The lease, as it was handed out.
        held_seconds: How long it holds without being renewed.
        renewed_at: When it was renewed last, by this computer's monotonic time.
        lost: Whether the job was given to another worker.
        abort_requested: Whether a person wants the job to stop.
        server_lost: Why the server could not be asked for as long as a lease holds, or ``None``.
        error: What the server refused otherwise.
    """

    lease: Lease
    held_seconds: float
    renewed_at: float
    lost: bool = field(default=False, init=False)
    abort_requested: bool = field(default=False, init=False)
    server_lost: str | None = field(default=None, init=False)
    error: XFWorkerError | None = field(default=None, init=False)

    @property
    def is_over(self) -> bool:
        """Whether it is not renewed any more."""
        return self.lost or self.server_lost is not None or self.error is not None

    def check(self) -> None:
        """
        Make sure that the job is still this worker's.

        Raises:
            LeaseLost: It was given to another worker.
            XFWorkerError: The server refused to renew the lease for another reason.
        """
        if self.lost:
            raise LeaseLost(
                f"job {self.lease.job.serial}: attempt {self.lease.attempt} lost its lease, so its script was ended "
                "here"
            )
        self.raise_error()

    def raise_error(self) -> None:
        """
        Raise what the server refused, other than that the job is another worker's now.

        Raises:
            XFWorkerError: The server refused to renew the lease.
        """
        if self.error is not None:
            raise self.error

    def _update(self, status: LeaseStatus, asked_at: float) -> None:
        if status.lost is not None:
            self.lost = True
        else:
            self.renewed_at = asked_at
            self.abort_requested = status.abort_requested


class Heartbeats:
    """
    Renews all leases that a worker has, by one request at a time.

    Installing what a script needs can take an hour, and sending a long log minutes; neither may cost the lease.
    """

    def __init__(self, queue: JobQueue, clock: Clock, *, seconds: float) -> None:
        """
        Prepare.

        Args:
            queue: Renews leases.
            clock: Measures how long the server is away.
            seconds: How often leases are renewed; more often where one is short.
        """
        self._queue = queue
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: list[KeptLease] = []
        self._sooner = threading.Event()
        self._is_beating = False

    @contextmanager
    def keep(self, lease: Lease) -> Iterator[KeptLease]:
        """
        Renew a lease, as it was handed out just now, while the block runs.

        A renewal that is on its way at the end is not waited for: it can no longer do harm.
        """
        held = lease.seconds
        kept = KeptLease(
            lease=lease,
            held_seconds=2.0 * _RENEWALS_PER_LEASE * self._seconds if held is None else held,
            renewed_at=self._clock.monotonic(),
        )
        with self._lock:
            is_shorter = self._step_seconds([kept]) < self._step_seconds(self._kept)
            self._kept.append(kept)
            if not self._is_beating:
                self._is_beating = True
                threading.Thread(target=self._beat, name="heartbeats", daemon=True).start()
            elif is_shorter:
                self._sooner.set()
        try:
            yield kept
        finally:
            with self._lock:
                self._kept.remove(kept)

    def _step_seconds(self, kept: Sequence[KeptLease]) -> float:
        return min([self._seconds, *(one.held_seconds / _RENEWALS_PER_LEASE for one in kept)])

    def _beat(self) -> None:
        try:
            self._beat_while_kept()
        except BaseException:
            # Whatever it was, the next lease begins to be renewed again.
            with self._lock:
                self._is_beating = False
            raise

    def _beat_while_kept(self) -> None:
        rested_at = self._clock.monotonic()
        while True:
            with self._lock:
                kept = [one for one in self._kept if not one.is_over]
                if not kept:
                    self._is_beating = False
                    return
                step_seconds = self._step_seconds(kept)
                self._sooner.clear()
            if self._sooner.wait(step_seconds):
                rested_at = self._clock.monotonic()
                continue
            asked_at = self._clock.monotonic()
            # A computer that was suspended could not ask; what it missed does not count as silence of the server.
            overslept = asked_at - rested_at - step_seconds
            with self._lock:
                kept = [one for one in self._kept if not one.is_over]
            for one in kept if overslept > step_seconds else ():
                one.renewed_at += overslept
            for _, leases in groupby(kept, lambda one: one.lease.job.worker_serial):
                self._renew(list(leases), asked_at)
            rested_at = self._clock.monotonic()

    def _renew(self, kept: Sequence[KeptLease], asked_at: float) -> None:
        try:
            statuses = self._queue.heartbeat([one.lease for one in kept])
        except ServerError as error:
            # By this computer's own clock since the last renewal: the server's may be minutes apart from it.
            now = self._clock.monotonic()
            for one in kept:
                if now - one.renewed_at >= one.held_seconds:
                    one.server_lost = str(error)
        except XFWorkerError as error:
            for one in kept:
                one.error = error
        else:
            for one, status in zip(kept, statuses, strict=True):
                one._update(status, asked_at)  # noqa: SLF001  the two are one thing in two classes
