"""The C library's memory allocator, set to keep what a server needs again a moment later."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 << 20
_LARGEST_KEPT_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """
    Let freed blocks of up to 32 MiB be used again instead of giving them back to the system each time.

    The body of a request arrives in blocks of some hundred kibibytes. glibc returns such blocks to the system when they
    are freed, and the next ones are mapped in anew, page by page, which costs a server that receives large files a
    sixth of its computing time. At most 64 MiB are kept per arena (mallopt(3)).

    Returns:
        Whether this C library has that switch; others (musl, macOS, Windows) are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    # Setting either one ends glibc's own adjustment of both, so both are set.
    return bool(set_option(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)) and bool(set_option(_TRIM_THRESHOLD, _KEPT_BYTES))
