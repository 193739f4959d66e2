"""Progress bars for transfers, drawn by rich on a terminal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from xfworker.services.transfers.observed import TransferProgress, observed_transfers

_WORTH_A_BAR = 4 << 20
"""Smaller files come and go too quickly to be looked at."""


@define
class Bars:
    """The bars of one block; nothing is drawn before the first one."""

    _progress: Progress
    _is_drawn: bool = False
    _bars: dict[str, TaskID] = field(factory=dict)
    _lock: threading.Lock = field(factory=threading.Lock)

    def show(self, name: str, done: int, size: int) -> None:
        """
        Draw how far something is; its bar goes when it is done.

        Args:
            name: What it is called; no two bars share a name.
            done: Bytes done.
            size: Bytes in all.
        """
        with self._lock:
            bar = self._bars.get(name)
            if done >= size:
                if bar is not None:
                    self._progress.remove_task(self._bars.pop(name))
                return
            if not self._is_drawn:
                self._is_drawn = True
                self._progress.start()
            if bar is None:
                bar = self._bars[name] = self._progress.add_task(name, total=size)
        self._progress.update(bar, completed=done, total=size)

    def update(self, moved: TransferProgress) -> None:
        """Draw how far a transfer is, if its file is worth a bar."""
        if moved.size >= _WORTH_A_BAR:
            self.show(f"{moved.direction} {moved.file}", moved.done, moved.size)

    def end(self) -> None:
        """Take all bars away."""
        if self._is_drawn:
            self._progress.stop()


@contextmanager
def transfer_bars(console: Console | None = None, *, shown: bool = True) -> Iterator[Bars]:
    """
    Show a bar for each larger transfer that begins in the block; it goes when the transfer is done.

    Args:
        console: Where to draw; standard error by default, so that standard output stays for results. Nothing is drawn
            where it is not a terminal.
        shown: Whether anything is drawn at all.

    Yields:
        The bars, for what is to be shown besides.
    """
    columns = (
        # Names of files are shown as they are: "[/b].raw" is not markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    output = console or Console(stderr=True)
    if not shown or not output.is_interactive:
        yield Bars(Progress(disable=True))
        return
    bars = Bars(Progress(*columns, console=output, transient=True))
    try:
        with observed_transfers(bars.update):
            yield bars
    finally:
        bars.end()
