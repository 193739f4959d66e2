"""How much to read at a time: large blocks from a fast link, small ones from a slow one, so that nothing waits long."""

import time
from collections.abc import Callable

_SMALLEST = 32 * 1024
_SLOW_SECONDS = 0.2
_FAST_SECONDS = 0.02


class ReadingPace:
    """
    Adapts the size of blocks to the link.

    A read of a mebibyte from a link of 100 KiB/s would take ten seconds in which no progress shows, no cancellation
    takes effect, and all of which is lost by a cut.

    Attributes:
        bytes: How much to read next.
        is_fast: Whether the last read was of the largest size and came at once.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.bytes = min(8 * _SMALLEST, largest)
        self.is_fast = False

    def measure(self, read: Callable[[memoryview], int], view: memoryview) -> int:
        """Read, and adapt to how long that took."""
        started = time.monotonic()
        count = read(view)
        seconds = time.monotonic() - started
        self.is_fast = seconds < _FAST_SECONDS and self.bytes == self._largest
        if seconds > _SLOW_SECONDS:
            self.bytes = max(self.bytes // 2, min(_SMALLEST, self._largest))
        elif seconds < _FAST_SECONDS:
            self.bytes = min(self.bytes * 2, self._largest)
        return count
