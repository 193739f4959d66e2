"""The same work on many items in a few threads, with the results in order."""

import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from xfworker.domain.errors import TransferInterrupted
from xfworker.ports.file_store import Progress

DEFAULT_PARALLEL = 6
"""How many files are on their way at once. Each takes at most one transfer's memory."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def side_by_side(
    work: Callable[[ItemT, Progress], ResultT],
    items: Sequence[ItemT],
    *,
    parallel: int,
    progress: Progress | None = None,
) -> list[ResultT]:
    """
    Do the same with several items in a few threads and give the results in the items' order.

    The first failure stops the rest at their next block and is raised; so does an exception in this thread, such as
    Ctrl-C, which does not wait for the others.

    Args:
        work: Gets an item and a progress callback, which it calls often: this is where it is stopped.
        items: What to do it with.
        parallel: How many at once.
        progress: Called in the caller's thread with items done and items in all.
    """
    crew = _Crew(work, items)
    try:
        crew.start(min(parallel, len(items)))
        results: dict[int, ResultT] = {}
        while len(results) < len(items):
            index, result = crew.next_result()
            results[index] = result
            if progress:
                progress(len(results), len(items))
    finally:
        crew.stop()
    return [results[index] for index in range(len(items))]


class _Crew(Generic[ItemT, ResultT]):
    """
    Threads that take items in turn and hand results over.

    They are daemons: an interrupted script must end at once, even where one of them waits for a silent server.
    """

    def __init__(self, work: Callable[[ItemT, Progress], ResultT], items: Sequence[ItemT]) -> None:
        self._work = work
        self._stopping = threading.Event()
        self._pending: queue.SimpleQueue[tuple[int, ItemT]] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[tuple[int, ResultT] | BaseException] = queue.SimpleQueue()
        for numbered in enumerate(items):
            self._pending.put(numbered)

    def start(self, count: int) -> None:
        for number in range(count):
            # Each thread gets what this one has bound: who observes transfers, and the job in every log line.
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._run,), name=f"xfworker-transfer-{number}", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def next_result(self) -> tuple[int, ResultT]:
        result = self._finished.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                index, item = self._pending.get_nowait()
                self._finished.put((index, self._work(item, self._go_on)))
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001  it is raised in the caller's thread
            self._finished.put(error)

    def _go_on(self, _done: int, _all: int) -> None:
        if self._stopping.is_set():
            raise TransferInterrupted("stopped, because another file failed or the transfer was cancelled")
