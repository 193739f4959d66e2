"""Further connections for one download, added as long as the network gains from them."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from attrs import define, field

from xfworker.adapters.http.answer_stream import AnswerStream
from xfworker.adapters.http.reading_pace import ReadingPace
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.partial_download import PartialDownload
from xfworker.adapters.transfer.spans import Span
from xfworker.domain.errors import XFWorkerError
from xfworker.services.event_log import EventLog

_TRIAL_SECONDS = 1.5
"""How long a number of connections is watched before another is added or not."""
_GAIN = 1.2
"""By how much one more connection must speed things up to be followed by another."""
_BUSY = 0.3
"""Above this share of its time spent computing, it is the computer that limits, not the network."""
_STOPPING_SECONDS = 0.5
_PARTIAL = 206

_log = EventLog("xfworker.transfers")


@define
class _Helper:
    thread: threading.Thread
    answer: AnswerStream | None = None


@define(frozen=True)
class _Reading:
    """The state of things at one moment: the time, the seconds computed by this process, the bytes that arrived."""

    moment: float
    computed: float
    arrived: int


@define
class RangeHelpers:
    """Threads that fetch parts of a file beside the main connection."""

    _part: PartialDownload
    _open: Callable[[Span], AbstractContextManager[AnswerStream]]
    _limits: TransferLimits
    _helpers: list[_Helper] = field(factory=list, init=False)
    _stopping: threading.Event = field(factory=threading.Event, init=False)
    _watched: _Reading | None = field(default=None, init=False)
    _pace_before: float = field(default=0.0, init=False)
    _at_its_best: bool = field(default=False, init=False)

    def add_where_it_gains(self) -> None:
        """Start one more connection when the trial time of the last is over and it has gained something."""
        if self._at_its_best or self._limits.connections_per_file < 2:  # noqa: PLR2004  one is the main connection
            return
        before, moment = self._watched, time.monotonic()
        if before is not None and moment - before.moment < _TRIAL_SECONDS:
            return
        self._watched = now = _Reading(moment, time.process_time(), self._part.spans.arrived)
        if before is None:
            return
        seconds = now.moment - before.moment
        pace = (now.arrived - before.arrived) / seconds
        if pace < self._pace_before * _GAIN or now.computed - before.computed > _BUSY * seconds:
            self._at_its_best = True
            return
        self._pace_before = pace
        if len(self._helpers) + 1 >= self._limits.connections_per_file:
            self._at_its_best = True
        elif self._part.spans.missing >= self._limits.ranges_above_bytes:
            self._start(pace)

    def _start(self, pace: float) -> None:
        span = self._part.spans.split_largest(self._limits.block_bytes * 2)
        if span is None:
            return
        _log.info(
            "xfworker.connection_added", connections=len(self._helpers) + 2, mib_per_second=round(pace / 2**20, 1)
        )
        helper = _Helper(threading.Thread(name="xfworker-range", daemon=True, target=lambda: self._run(helper, span)))
        self._helpers.append(helper)
        helper.thread.start()

    def _run(self, helper: _Helper, span: Span) -> None:
        stopping = self._stopping
        try:
            with self._open(span) as answer:
                helper.answer = answer
                if answer.status == _PARTIAL:
                    self._receive(answer, span, stopping)
        except XFWorkerError as error:
            # The part goes back; the main connection fetches what is missing of it, with all its retries.
            if not stopping.is_set():
                _log.info("xfworker.connection_dropped", reason=str(error))
        finally:
            self._part.spans.give_back(span)

    def _receive(self, answer: AnswerStream, span: Span, stopping: threading.Event) -> None:
        pace = ReadingPace(self._limits.block_bytes)
        buffer = memoryview(bytearray(self._limits.block_bytes))
        while not stopping.is_set() and (room := self._part.spans.room(span)) > 0:
            count = pace.measure(answer.read_into, buffer[: min(room, pace.bytes)])
            if not count or stopping.is_set():
                return
            self._part.write_elsewhere(span, buffer[:count])

    def stop(self) -> None:
        """End all connections; what they brought stays."""
        self._watched, self._pace_before, self._at_its_best = None, 0.0, False
        if not self._helpers:
            return
        self._stopping.set()
        for helper in self._helpers:
            if helper.answer is not None:
                helper.answer.abort()
        until = time.monotonic() + _STOPPING_SECONDS
        for helper in self._helpers:
            with suppress(RuntimeError):
                helper.thread.join(timeout=max(until - time.monotonic(), 0.01))
        self._helpers.clear()
        self._stopping = threading.Event()
