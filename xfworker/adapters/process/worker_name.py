"""Names of workers on one computer: each is one process's at a time."""

import hashlib
import os
import platform
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.errors import UsageError

_INSTANCE_LENGTH = 32


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


def worker_instance(name: str, server: str) -> str:
    """
    Give what tells the worker of a held name on this computer from those of other computers.

    It lies beside the name's lock, so a worker that is started again is the same to the server. Where it cannot be kept
    the worker is a new one each time.
    """
    path = _lock_path(name, server).with_suffix(".instance")
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600), "r+") as file:
            kept = file.read(_INSTANCE_LENGTH + 1)
            if len(kept) == _INSTANCE_LENGTH and kept.isalnum():
                return kept
            made = uuid.uuid4().hex
            file.seek(0)
            file.truncate()
            file.write(made)
            return made
    except (OSError, ValueError):
        return uuid.uuid4().hex


def _lock_path(name: str, server: str) -> Path:
    digest = hashlib.sha256(f"{server}\0{name}".encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"xfworker-worker-{digest}.lock"


def _hold(name: str, server: str, stack: ExitStack) -> bool:
    path = _lock_path(name, server)
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
