"""Work with passwords, kept apart: hashing one takes much memory and a tenth of a second of several cores."""

import os
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from xfworker.domain.errors import TooManyRequests

Result = TypeVar("Result")

_MOST_WAITING = 32
_RETRY_AFTER_SECONDS = 2.0


class PasswordWork:
    """Does little at once, lets a few wait, and refuses the rest, so that logins never stop workers and scripts."""

    def __init__(self) -> None:
        self._limiter: CapacityLimiter | None = None
        self._waiting = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """
        Do a piece of work in a thread of its own kind.

        Raises:
            TooManyRequests: Too many wait already.
        """
        if self._waiting >= _MOST_WAITING:
            raise TooManyRequests(
                "too many logins at once; try again in a moment", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        if self._limiter is None:
            self._limiter = CapacityLimiter(max(1, min(2, (os.cpu_count() or 1) // 2)))
        self._waiting += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._waiting -= 1
