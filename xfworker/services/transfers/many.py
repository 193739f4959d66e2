"""Moving many files over several connections, with bounded memory and the results in order."""

import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from xfworker.domain.errors import TransferInterrupted
from xfworker.domain.files import AuthorizationToken, FileStat, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore, Progress
from xfworker.ports.filesystem import Filesystem
from xfworker.services.transfers.fetch import download, fetch, locate
from xfworker.services.transfers.store import store

DEFAULT_PARALLEL = 6
"""How many files are on their way at once. Each takes at most one transfer's memory."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def fetch_many(
    files: FileStore,
    filesystem: Filesystem,
    clock: Clock,
    token: AuthorizationToken,
    resources: Sequence[Resource],
    directory: Path,
    *,
    copy_even_on_direct_access: bool = False,
    look_in_place: bool = True,
    parallel: int = DEFAULT_PARALLEL,
    progress: Progress | None = None,
) -> list[Path]:
    """
    Give local paths to several files of the store, in their order, as :func:`~xfworker.services.transfers.fetch.fetch`.

    Whether the store lies on a shared disk is found out with the first file; where it does not, the others are fetched
    without asking again.

    Args:
        files: The file store.
        filesystem: The local disks.
        clock: Times the transfers for the log.
        token: Must allow ``read`` for all of them.
        resources: The files.
        directory: Where copies go.
        copy_even_on_direct_access: Give copies of the script's own.
        look_in_place: Whether to ask for a shared disk at all; a caller that has asked already need not again.
        parallel: How many are fetched at once.
        progress: Called with files done and files in all.

    Raises:
        FileError: One of them failed; the message names it, and those that were finished stay.
    """
    if not resources:
        return []
    direct = look_in_place and locate(files, filesystem, token, resources[0]) is not None
    # Names are given out in order, so that two files of one name get the same numbers every time.
    targets = [] if direct else [filesystem.unique_path(directory / resource.filename) for resource in resources]

    def bring(index: int, tell: Progress) -> Path:
        if not direct:
            return download(files, clock, token, resources[index], targets[index], progress=tell)
        return fetch(
            files,
            filesystem,
            clock,
            token,
            resources[index],
            directory,
            copy_even_on_direct_access=copy_even_on_direct_access,
            progress=tell,
        )

    return side_by_side(bring, range(len(resources)), parallel=parallel, progress=progress)


def store_many(
    files: FileStore,
    filesystem: Filesystem,
    clock: Clock,
    token: AuthorizationToken,
    uploads: Sequence[tuple[Path, Resource]],
    *,
    working_directory: Path | None = None,
    parallel: int = DEFAULT_PARALLEL,
    progress: Progress | None = None,
) -> list[FileStat]:
    """
    Put several local files into the store; see :func:`~xfworker.services.transfers.store.store`.

    Args:
        files: The file store.
        filesystem: The local disks.
        clock: Times the transfers for the log.
        token: Must allow ``write`` for all of them.
        uploads: Local files and their places.
        working_directory: See :func:`~xfworker.services.transfers.store.store`.
        parallel: How many are stored at once.
        progress: Called with files done and files in all.

    Returns:
        What the store says of each, in order.

    Raises:
        FileError: One of them failed; the message names it, and those that were finished stay.
    """

    def put(item: tuple[Path, Resource], tell: Progress) -> FileStat:
        source, resource = item
        return store(
            files,
            filesystem,
            clock,
            token,
            source,
            resource,
            working_directory=working_directory,
            progress=tell,
        )

    return side_by_side(put, uploads, parallel=parallel, progress=progress)


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
            # Each thread gets what this one has bound: who watches transfers, and the job in every log line.
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._run,), name=f"xfworker-transfer-{number}", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def next_result(self) -> tuple[int, ResultT]:
        found = self._finished.get()
        if isinstance(found, BaseException):
            raise found
        return found

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
