"""Folders of benchmarks, removed however a benchmark ends: they hold gigabytes, some of them in memory."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.process.owned_folder import owned_folder, sweep_abandoned
from xfworker.services.stop_signals import stop_signals


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """
    Make a folder that is gone afterwards, also where the benchmark is broken off by Ctrl-C or SIGTERM.

    What one that was killed has left is removed first.

    Args:
        parent: Where to make it; where temporary files go, unless stated otherwise.
    """
    place = tempfile.tempdir
    handlers = {number: signal.signal(number, _end) for number in stop_signals()}
    tempfile.tempdir = None if parent is None else str(parent)
    try:
        sweep_abandoned(LocalFilesystem())
        with owned_folder("benchmark", LocalFilesystem()) as folder:
            yield folder
    finally:
        tempfile.tempdir = place
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    for other in stop_signals():
        signal.signal(other, signal.SIG_IGN)  # a second one would break off the removing
    sys.exit(128 + number)
