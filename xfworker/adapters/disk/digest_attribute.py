"""
The digests of a file in an extended attribute of its own (xattr(7)), as far as system and file system have such.

Packed, because ext4 keeps a small attribute within the inode and spends a block on a larger one.
"""

import os
import struct
import sys
from pathlib import Path

from attrs import define

from xfworker.domain.digests import Digests

_NAME = "user.xfworker"
_QUICK = struct.Struct(">Qq16s")
_BOTH = struct.Struct(">Qq16s32s")
"""Size, time in units of 100 ns, XXH3 and, where it is known, SHA-256."""


@define(frozen=True)
class AttachedDigests:
    """
    What the attribute says.

    Attributes:
        size: The size of the file that was stored.
        modified: Its time, as :func:`ticks` gives it.
        digests: Its digests; the quick one is always known.
    """

    size: int
    modified: int
    digests: Digests

    def is_of(self, status: os.stat_result) -> bool:
        """Whether the file still is the one that was stored."""
        return (self.size, self.modified) == (status.st_size, ticks(status))


def write(path: Path | int, status: os.stat_result, digests: Digests) -> bool:
    """Attach the digests of a file with this size and time; say whether that can be done here."""
    if sys.platform != "linux" or digests.xxh3 is None:
        return False
    fields = (status.st_size, ticks(status), bytes.fromhex(digests.xxh3))
    sha256 = digests.sha256
    value = _QUICK.pack(*fields) if sha256 is None else _BOTH.pack(*fields, bytes.fromhex(sha256))
    try:
        os.setxattr(path, _NAME, value)
    except OSError:  # not on this file system, or the file is another user's
        return False
    return True


def read(path: Path | int) -> AttachedDigests | None:
    """Read the digests that are attached to a file, or give ``None``."""
    if sys.platform != "linux":
        return None
    try:
        value = os.getxattr(path, _NAME)
    except OSError:
        return None
    if len(value) not in {_QUICK.size, _BOTH.size}:
        return None
    size, modified, xxh3 = _QUICK.unpack_from(value)
    sha256 = value[_QUICK.size :].hex() or None
    return AttachedDigests(size, modified, Digests(sha256, xxh3.hex()))


def ticks(status: os.stat_result) -> int:
    """Give the time of the last change in units of 100 ns, the finest that every file system keeps."""
    return status.st_mtime_ns // 100
