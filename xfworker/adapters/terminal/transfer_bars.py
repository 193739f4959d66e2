"""Progress bars for transfers, drawn by rich on a terminal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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

from xfworker.services.transfers.watch import TransferProgress, watched_transfers

_WORTH_A_BAR = 4 << 20
"""Smaller files come and go too quickly to be looked at."""


@contextmanager
def transfer_bars(console: Console | None = None) -> Iterator[None]:
    """
    Show a bar for each larger transfer that begins in the block; it goes when the transfer is done.

    Args:
        console: Where to draw; standard error by default, so that standard output stays for results. Nothing is drawn
            where it is no terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    found = console or Console(stderr=True)
    bars: dict[str, TaskID] = {}
    lock = threading.Lock()
    with Progress(*columns, console=found, transient=True, disable=not found.is_terminal) as progress:

        def watch(moved: TransferProgress) -> None:
            if moved.size < _WORTH_A_BAR:
                return
            name = f"{moved.direction} {moved.file}"
            with lock:
                if moved.is_complete:
                    if (bar := bars.pop(name, None)) is not None:
                        progress.remove_task(bar)
                    return
                bar = bars.get(name)
                if bar is None:
                    bar = bars[name] = progress.add_task(name, total=moved.size)
            progress.update(bar, completed=moved.done)

        with watched_transfers(watch):
            yield
