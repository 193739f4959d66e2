"""Reports how the transfers of this thread go on to an observer: a progress bar, a script, a test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import define

from xfworker.ports.file_store import Progress


@define(frozen=True)
class TransferProgress:
    """
    How far one transfer is.

    Attributes:
        direction: ``download`` or ``upload``.
        file: The file's path in the store.
        done: Bytes done; may step back when a part has to be sent again.
        size: Bytes in all.
    """

    direction: str
    file: str
    done: int
    size: int

    @property
    def is_complete(self) -> bool:
        """Whether everything is done."""
        return self.done >= self.size


TransferObserver = Callable[[TransferProgress], None]
"""Called often, from the thread that moves the file; what it raises stops the transfer, which can be gone on with."""

_observer: ContextVar[TransferObserver | None] = ContextVar("xfworker_transfer_watcher", default=None)


@contextmanager
def observed_transfers(observer: TransferObserver) -> Iterator[None]:
    """
    Report every transfer that begins in the block to a function.

    Several transfers at once are reported in turns, by their ``file``.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def reporting(direction: str, file: object, progress: Progress | None = None) -> Progress | None:
    """Give a progress callback that reports to the observer besides; ``None`` where there is neither."""
    observer = _observer.get()
    if observer is None:
        return progress

    def report(done: int, size: int) -> None:
        observer(TransferProgress(direction, str(file), done, size))
        if progress is not None:
            progress(done, size)

    return report
