"""Time, so that tests can hold it still."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the time and waits."""

    def now(self) -> datetime:
        """Give the time of day, in UTC with its offset."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back, from an arbitrary start."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
