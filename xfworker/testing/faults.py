"""Faults on demand: what is to go wrong next, and how slow the link is."""

import threading
from collections.abc import Callable

from attrs import define, field

from xfworker.domain.errors import ServerBusy, TransferInterrupted, UsageError, XFWorkerError

SERVER_OPERATIONS = (
    "get",
    "find",
    "create",
    "update",
    "output_values",
    "combined_query",
    "entity_by_uuid",
    "file_token",
    "global_config",
)
"""What a script asks of the XF Server, by the names of the port's methods."""

FILE_OPERATIONS = ("stat", "download", "upload", "open_read", "direct_access_path", "register", "list", "delete")
"""What a script asks of the file store, by the names of the port's methods."""

GROUPS = {
    "server": SERVER_OPERATIONS,
    "files": FILE_OPERATIONS,
    "any": SERVER_OPERATIONS + FILE_OPERATIONS,
}
"""Names for several operations at once."""

_TRANSFERS = ("download", "upload")


@define
class _Failure:
    operations: tuple[str, ...]
    skip: int
    left: int
    error: Callable[[str], Exception]


@define
class Faults:
    """
    Decides what goes wrong; ask it by :meth:`meet` before each operation. Safe to use from several threads.

    Attributes:
        slow: Seconds that each operation takes, by operation.
        pace: Bytes a second of each transfer, by operation.
    """

    slow: dict[str, float] = field(factory=dict)
    pace: dict[str, float] = field(factory=dict)
    _failures: list[_Failure] = field(factory=list)
    _conflicts: int = 0
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def fail_next(
        self,
        operation: str,
        *,
        times: int = 1,
        after: int = 0,
        error: XFWorkerError | type[XFWorkerError] | None = None,
    ) -> None:
        """
        Make the next operations of a kind fail.

        Args:
            operation: A name among :data:`SERVER_OPERATIONS` and :data:`FILE_OPERATIONS`, or one of the groups
                ``server``, ``files`` and ``any``.
            times: How many fail.
            after: How many go well before that.
            error: What is raised: an error, or a class of errors, then raised as asked for by the test. By default
                an interrupted transfer for ``upload`` and ``download``, and a busy server for everything else.

        Raises:
            UsageError: There is no such operation, or a number is senseless.
        """
        operations = _named(operation)
        if times < 1 or after < 0:
            raise UsageError(f"fail_next({operation!r}): times must be at least 1 and after at least 0")
        make = _maker(error)
        try:
            make(operation)
        except TypeError:
            raise UsageError(
                f"fail_next({operation!r}): {error!r} cannot be made from a message alone; give an object of it "
                "(and for conflicts use conflict_next)"
            ) from None
        with self._lock:
            self._failures.append(_Failure(operations, after, times, make))

    def conflict_next(self, *, times: int = 1) -> None:
        """Have another client change the record just before each of the next ``times`` guarded updates."""
        if times < 1:
            raise UsageError("conflict_next: times must be at least 1")
        with self._lock:
            self._conflicts += times

    def slow_down(self, operation: str, *, seconds: float | None = None, bytes_per_second: float | None = None) -> None:
        """
        Make operations slow from now on, by the platform's clock (a standing clock moves on, and nobody waits).

        Args:
            operation: As in :meth:`fail_next`.
            seconds: How long each takes, beside the transfer.
            bytes_per_second: How quickly files travel by ``upload`` and ``download``.

        Raises:
            UsageError: There is no such operation, or a figure is not above 0.
        """
        if not all(value is None or value > 0 for value in (seconds, bytes_per_second)):
            raise UsageError(f"slow_down({operation!r}): seconds and bytes_per_second must be above 0")
        for name in _named(operation):
            if seconds is not None:
                self.slow[name] = seconds
            if bytes_per_second is not None:
                self.pace[name] = bytes_per_second

    def clear(self) -> None:
        """Let everything go well again."""
        with self._lock:
            self._failures.clear()
            self._conflicts = 0
        self.slow.clear()
        self.pace.clear()

    def meet(self, operation: str, target: str) -> None:
        """Raise the fault that is due for the operation, if there is one; all that are due count down."""
        due: _Failure | None = None
        with self._lock:
            for failure in self._failures:
                if operation not in failure.operations:
                    continue
                if failure.skip:
                    failure.skip -= 1
                elif due is None:
                    due = failure
                    failure.left -= 1
            self._failures = [failure for failure in self._failures if failure.left]
        if due is not None:
            raise due.error(f"{operation} {target}")

    def seconds(self, operation: str, size: int | None = None) -> float:
        """Return how long an operation takes, with the transfer of ``size`` bytes."""
        transfer = 0.0 if size is None or operation not in self.pace else size / self.pace[operation]
        return self.slow.get(operation, 0.0) + transfer

    def take_conflict(self) -> bool:
        """Return whether another client is to be quicker now, and count it."""
        with self._lock:
            if not self._conflicts:
                return False
            self._conflicts -= 1
            return True

    @property
    def pending(self) -> int:
        """How many failures and conflicts have not happened yet."""
        with self._lock:
            return self._conflicts + sum(failure.left for failure in self._failures)


def _named(operation: str) -> tuple[str, ...]:
    if operation in GROUPS:
        return GROUPS[operation]
    if operation not in GROUPS["any"]:
        raise UsageError(
            f"{operation!r} is nothing that can fail; operations are {', '.join((*GROUPS['any'], *GROUPS))}"
        )
    return (operation,)


def _maker(error: XFWorkerError | type[XFWorkerError] | None) -> Callable[[str], Exception]:
    def make(what: str) -> Exception:
        if isinstance(error, XFWorkerError):
            return error
        kind = error or (TransferInterrupted if what.startswith(_TRANSFERS) else ServerBusy)
        return kind(f"{what}: fails because the test asked for it (fail_next)")

    return make
