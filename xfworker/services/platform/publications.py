"""
Files of jobs that are published, or deleted for good, by a store that may take its time.

While an object store does not answer, nothing waits for it in the database: no transaction is open meanwhile. What was
allowed is written down as a publication under way, and the steps that would let another attempt begin, or that take
what the job made, are refused for a moment, until the store has answered. So nothing of a lost attempt arrives in the
middle of the next one, and what a job is done with stays as it was.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import define

from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import ServerBusy, ServerError
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import Locking, RecordStore, RecordTransaction
from xfworker.services.platform.reach import Reach

HELD_SECONDS: Final = 60.0
"""A publication whose server is gone keeps others waiting for so long; the server renews those that go on."""
_RENEWED_SECONDS: Final = 20.0
_RETRY_SECONDS: Final = 1.0
_ALONE: Final = "alone"
_UNTIL: Final = "until"


@define
class _UnderWay:
    """
    A publication of this process.

    Attributes:
        reach: The job.
        name: What the publication is kept under.
        held_until: So long the records say that it is under way.
        is_over: Whether the store has answered, so that the records are to forget it.
    """

    reach: Reach
    name: str
    held_until: datetime
    is_over: bool = False


class Publications:
    """The publications that this process has under way."""

    def __init__(self, records: RecordStore, clock: Clock, *, may_wait: bool) -> None:
        """
        Prepare.

        Args:
            records: Where they are written down.
            clock: The time.
            may_wait: Whether the file store may not answer for long; else a lock is held while it works.
        """
        self._records = records
        self._clock = clock
        self._may_wait = may_wait
        self._lock = threading.Lock()
        self._own: dict[str, _UnderWay] = {}

    @contextmanager
    def under_way(
        self, reach: Reach, require: Callable[[RecordTransaction], None], *, alone: bool = False
    ) -> Iterator[None]:
        """
        Let a file store work, while no transaction is open where it may wait.

        Args:
            reach: The job whose files it is about. Files of no job are published by whoever had the right when the
                store began.
            require: Raises where the caller has no right to it; asked before, and again where the store took longer
                than the records could be told that it is at work.
            alone: Whether no other publication of this job may be under way.

        Raises:
            ServerBusy: Others are under way, beside which this one may not be.
        """
        if not self._may_wait:
            with self._records.transaction(locking=Locking.SHARED, of=reach) as transaction:
                require(transaction)
                yield
            return
        if reach is None:
            with self._records.transaction(write=False) as transaction:
                require(transaction)
            yield
            return
        mine = self._begin(reach, require, alone=alone)
        try:
            yield
        except BaseException:
            with suppress(ServerError):
                self._end(mine, lambda _: None)
            raise
        self._end(mine, require)

    def renew(self) -> None:
        """Keep those that go on from lapsing; called every few seconds."""
        now = self._clock.now()
        soon = now + timedelta(seconds=HELD_SECONDS - _RENEWED_SECONDS)
        with self._lock:
            due = [mine for mine in self._own.values() if mine.is_over or mine.held_until <= soon]
        for mine in due:
            if mine.is_over:
                self._end(mine, lambda _: None)
            elif mine.held_until > now:  # what lapsed stays so: others may have gone on
                self._renew(mine)

    def _begin(self, reach: Reach, require: Callable[[RecordTransaction], None], *, alone: bool) -> _UnderWay:
        assert reach is not None
        key = _key(reach[1])
        with self._records.transaction(of=reach) as transaction:
            require(transaction)
            now = self._clock.now()
            others = _live(transaction, key, now)
            if alone and others:
                raise _busy(reach[1])
            if any(other.get(_ALONE) for other in others.values()):
                raise _busy(reach[1], "files are being deleted")
            mine = _UnderWay(reach, secrets.token_hex(8), now + timedelta(seconds=HELD_SECONDS))
            transaction.put_entry(key, {**others, mine.name: _entry(mine, alone=alone)}, at=now)
        with self._lock:
            self._own[mine.name] = mine
        return mine

    def _renew(self, mine: _UnderWay) -> None:
        assert mine.reach is not None
        key = _key(mine.reach[1])
        with self._records.transaction(of=mine.reach) as transaction:
            now = self._clock.now()
            live = _live(transaction, key, now)
            if mine.name not in live:
                return
            until = now + timedelta(seconds=HELD_SECONDS)
            live[mine.name] = {**live[mine.name], _UNTIL: format_time(until)}
            transaction.put_entry(key, live, at=now)
        mine.held_until = until

    def _end(self, mine: _UnderWay, require: Callable[[RecordTransaction], None]) -> None:
        assert mine.reach is not None
        key = _key(mine.reach[1])
        mine.is_over = True
        try:
            with self._records.transaction(of=mine.reach) as transaction:
                now = self._clock.now()
                live = _live(transaction, key, now)
                if live.pop(mine.name, None) is None:
                    require(transaction)
                if live:
                    transaction.put_entry(key, live, at=now)
                else:
                    transaction.delete_entry(key)
        except ServerError:
            # It is tried again later; nobody can have gone on meanwhile, as far as the time is not over.
            if self._clock.now() >= mine.held_until:
                raise
            return
        with self._lock:
            self._own.pop(mine.name, None)


def require_none_under_way(transaction: RecordTransaction, job_serial: int, now: datetime) -> None:
    """
    Refuse for a moment what a file that is being published or deleted must not meet.

    Raises:
        ServerBusy: The store has not answered yet.
    """
    if is_under_way(transaction, job_serial, now):
        raise _busy(job_serial)


def is_under_way(transaction: RecordTransaction, job_serial: int, now: datetime) -> bool:
    """Return whether a file of a job is being published or deleted, by whichever process."""
    return bool(_live(transaction, _key(job_serial), now))


def _busy(job_serial: int, what: str = "a file is being stored or deleted") -> ServerBusy:
    return ServerBusy(
        f"job {job_serial} has to wait: {what}, and the file store has not answered yet; try again in a moment",
        retry_after_seconds=_RETRY_SECONDS,
    )


def _key(job_serial: int) -> str:
    return f"publications:{job_serial}"


def _entry(mine: _UnderWay, *, alone: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {_UNTIL: format_time(mine.held_until)}
    return {**entry, _ALONE: True} if alone else entry


def _live(transaction: RecordTransaction, key: str, now: datetime) -> dict[str, Mapping[str, Any]]:
    return {
        name: entry for name, entry in (transaction.entry(key) or {}).items() if parse_time(str(entry[_UNTIL])) > now
    }
