"""Which parts of a file have arrived, when several connections fetch it at once."""

import threading
from collections.abc import Iterable, Sequence

from attrs import define, field


@define(eq=False)
class Span:
    """
    A part of the file that one connection at a time fetches.

    Attributes:
        start: Where it begins.
        position: Up to here it has arrived.
        end: Where it ends (exclusive).
        taken: Whether a connection works on it.
    """

    start: int
    position: int
    end: int
    taken: bool = False

    @property
    def missing(self) -> int:
        """Bytes that have not arrived."""
        return self.end - self.position


@define
class Spans:
    """The parts of one file, in order and without gaps. Safe to use from several threads."""

    _spans: list[Span]
    changed: threading.Condition = field(factory=threading.Condition, init=False)

    @classmethod
    def of_size(cls, size: int) -> "Spans":
        """Begin with nothing."""
        return cls([Span(0, 0, size)])

    @classmethod
    def from_json(cls, value: object, size: int) -> "Spans | None":
        """Read what :meth:`to_json` wrote, or give ``None`` where it does not describe a file of this size."""
        if not isinstance(value, list):
            return None
        spans, at = [], 0
        for item in value:
            if not (isinstance(item, list) and len(item) == 3 and all(isinstance(part, int) for part in item)):  # noqa: PLR2004  start, position, end
                return None
            start, position, end = item
            if not (start == at <= position <= end):
                return None
            spans.append(Span(start, position, end))
            at = end
        return cls(spans) if at == size and spans else None

    def to_json(self) -> list[list[int]]:
        """Write the parts as ``[[start, position, end], ...]``."""
        with self.changed:
            return [[span.start, span.position, span.end] for span in self._spans]

    def advance(self, span: Span, count: int) -> None:
        """Record that so many more bytes have been written."""
        with self.changed:
            span.position += count
            self.changed.notify_all()

    def room(self, span: Span) -> int:
        """Give how many bytes the span still takes; another thread may have shortened it."""
        with self.changed:
            return span.missing

    def take_first(self) -> Span | None:
        """Take the first part on which nobody works."""
        with self.changed:
            for span in self._spans:
                if span.missing and not span.taken:
                    span.taken = True
                    return span
            return None

    def split_largest(self, at_least: int) -> Span | None:
        """Cut the largest missing part in two and take the second half; ``None`` where it is not worth it."""
        with self.changed:
            largest = max(self._spans, key=lambda span: span.missing)
            if largest.missing < at_least:
                return None
            if not largest.taken:
                largest.taken = True
                return largest
            middle = largest.position + largest.missing // 2
            half = Span(middle, middle, largest.end, taken=True)
            largest.end = middle
            self._spans.insert(self._spans.index(largest) + 1, half)
            return half

    def give_back(self, span: Span) -> None:
        """Let someone else work on a part."""
        with self.changed:
            span.taken = False
            self.changed.notify_all()

    @property
    def arrived(self) -> int:
        """Bytes that have arrived, wherever."""
        with self.changed:
            return sum(span.position - span.start for span in self._spans)

    @property
    def missing(self) -> int:
        """Bytes that have not arrived."""
        with self.changed:
            return sum(span.missing for span in self._spans)

    @property
    def contiguous(self) -> int:
        """Up to where everything has arrived."""
        with self.changed:
            return _contiguous(self._spans)

    def wait_beyond(self, offset: int, seconds: float) -> int:
        """Wait until more than ``offset`` bytes have arrived without a gap, at most so long; give how many have."""
        with self.changed:
            self.changed.wait_for(lambda: _contiguous(self._spans) > offset, seconds)
            return _contiguous(self._spans)


def _contiguous(spans: Sequence[Span] | Iterable[Span]) -> int:
    reached = 0
    for span in spans:
        reached = span.position
        if span.missing:
            break
    return reached
