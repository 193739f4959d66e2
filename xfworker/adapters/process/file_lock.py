"""Locks on files that the system frees when their holder dies."""

import errno
import sys
import time
from collections.abc import Callable
from typing import BinaryIO

_STEP_SECONDS = 0.2
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file for this process; return whether that was possible, which it is where no other holds it."""
    try:
        _lock(file)
    except OSError:
        return False
    return True


def wait_for_lock(file: BinaryIO, waiting: Callable[[], None]) -> bool:
    """
    Lock an open file once no other process holds it.

    On NFS such a lock holds for all machines that have the file system (Linux sends it to the server); on a file system
    that knows no locks (Lustre mounted without ``flock``) there is none.

    Args:
        file: The file, opened for writing.
        waiting: Called again and again while another holds it; it may raise, to wait no longer.

    Returns:
        Whether it is locked; ``False`` where the file system cannot do that.
    """
    while True:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in _HELD:
                return False
        else:
            return True
        waiting()
        time.sleep(_STEP_SECONDS)


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
