"""Names of workers on one computer: each is one process's at a time."""

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.errors import UsageError


@contextmanager
def worker_name(chosen: str | None, server: str) -> Iterator[str]:
    """
    Hold the name under which this process is a worker of a server.

    Two workers of one name would be one record to the server, so jobs would go to a process that lacks their software.

    Args:
        chosen: The name that a person chose; by default this computer's, with a number where that is taken.
        server: The server's address; other servers' workers may have the same name.

    Raises:
        UsageError: Another process on this computer has the chosen name.
    """
    with ExitStack() as stack:
        if chosen is not None:
            if not _hold(chosen, server, stack):
                raise UsageError(
                    f"a worker named {chosen} runs on this computer for {server} already; give another --name"
                )
            yield chosen
            return
        own = platform.node() or "worker"
        yield next(
            name for number in count(1) if _hold(name := own if number == 1 else f"{own}-{number}", server, stack)
        )


def _hold(name: str, server: str, stack: ExitStack) -> bool:
    digest = hashlib.sha256(f"{server}\0{name}".encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / f"xfworker-worker-{digest}.lock"
    try:
        file = _opened(path)
    except OSError:
        return False  # another user's
    if not try_lock(file):
        file.close()
        return False
    # The file stays: removing it while another process opens it would give the name to both.
    stack.callback(file.close)
    return True


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600), "r+b", buffering=0)
