"""Doing a few large things at once: numpy and the kernel let go of the interpreter's lock while they work."""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS: Final = 4
WORTHWHILE_BYTES: Final = 1 << 22
"""Below this much work per thread, starting threads costs more than it saves."""


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Give the results of a function for all items, in order; the first error is raised when all have ended."""
    if len(items) < 2:  # noqa: PLR2004 - nothing to share out
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(items), threads()), "xfworker-image") as pool:
        return list(pool.map(work, items))


def threads() -> int:
    """Give how many threads are of use."""
    return max(1, min(MOST_THREADS, os.cpu_count() or 1))


def parts(count: int, item_bytes: int = 1) -> list[tuple[int, int]]:
    """Split ``count`` items into about equal ranges (start, stop), as many as threads are worth starting."""
    parts_worthwhile = max(1, min(threads(), count * item_bytes // WORTHWHILE_BYTES))
    size = max(1, -(-count // parts_worthwhile))
    return [(start, min(start + size, count)) for start in range(0, count, size)]
