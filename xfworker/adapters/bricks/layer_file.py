"""
One layer of bricks as a file: an index with a digest of every brick, then the bricks.

The index has an entry of 24 bytes for each brick, little-endian: where it begins, how many bytes it has, its XXH3-64. A
brick of one value only is kept as that value.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import xxhash

from xfworker.domain.errors import ChecksumMismatch

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_MAGIC: Final = b"XFBRICK1"
_ENTRY: Final = struct.Struct("<QQQ")
_COUNT: Final = struct.Struct("<Q")
_HEAD_BYTES: Final = len(_MAGIC) + _COUNT.size


def write_layer(file: IO[bytes], count: int, bricks: "Iterator[Pixels]") -> None:
    """
    Write a layer.

    Args:
        file: A new file, open for writing.
        count: How many bricks come.
        bricks: The bricks.
    """
    import numpy as np

    index = bytearray()
    at = _HEAD_BYTES + count * _ENTRY.size
    file.seek(at)
    for brick in bricks:
        little = np.ascontiguousarray(brick, brick.dtype.newbyteorder("<")).reshape(-1)
        # Compared as bits: a NaN is not equal to itself.
        bits = little.view(f"<u{little.dtype.itemsize}")
        data = memoryview((little[:1] if (bits == bits[0]).all() else little).view(np.uint8).data)
        file.write(data)
        index += _ENTRY.pack(at, data.nbytes, xxhash.xxh3_64_intdigest(data))
        at += data.nbytes
    assert len(index) == count * _ENTRY.size
    file.seek(0)
    file.write(_MAGIC + _COUNT.pack(count) + index)


def read_brick(file: IO[bytes], brick: int, path: Path) -> bytes:
    """
    Read one brick.

    Args:
        file: The open layer.
        brick: Which one, from 0.
        path: The file's path, for messages.

    Raises:
        ChecksumMismatch: It is not what was written.
    """
    head = file.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES and head.startswith(_MAGIC) and 0 <= brick < _COUNT.unpack(head[len(_MAGIC) :])[0]:
        file.seek(_HEAD_BYTES + brick * _ENTRY.size)
        entry = file.read(_ENTRY.size)
        if len(entry) == _ENTRY.size:
            at, length, digest = _ENTRY.unpack(entry)
            file.seek(at)
            data = file.read(length) if at + length <= path.stat().st_size else b""
            if len(data) == length and xxhash.xxh3_64_intdigest(data) == digest:
                return data
    raise ChecksumMismatch(f"brick {brick} of {path} is damaged; it is made anew from the image")
