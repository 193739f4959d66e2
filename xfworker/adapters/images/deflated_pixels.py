"""Pixels that are compressed as a stream (gzip, zlib, bzip2): read forward, slab after slab."""

import bz2
import contextlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Protocol

from xfworker.adapters.images.opening import file_size, open_to_read
from xfworker.adapters.images.raw_pixels import SlabReader
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

Packing = Literal["deflate", "bzip2"]
"""deflate stands for gzip and zlib, which differ in their first bytes."""

_GZIP_OR_ZLIB: Final = 47
"""zlib's value for detecting which of the two it is."""

_BLOCK: Final = 1 << 20
_PACKED_BLOCK: Final = 1 << 17
"""What is read at once: the rest of it is copied at the end of every member."""

_MOST_PER_BYTE: Final[dict[Packing, int]] = {"deflate": 1032, "bzip2": 1 << 20}
"""deflate cannot unpack to more bytes than this per byte; bzip2 can pack a block of 900 kB into some 40."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_NEW_UNPACKER: Final[dict[Packing, Callable[[], _Unpacker]]] = {
    "deflate": lambda: zlib.decompressobj(_GZIP_OR_ZLIB),
    "bzip2": bz2.BZ2Decompressor,
}


class PackedStream:
    """
    The bytes of a compressed stream, which may consist of several members behind one another, as bgzf does.

    Args:
        read: Gives the next packed bytes, at most as many as it is asked for; none at the end.
        packing: How they are packed.
    """

    def __init__(self, read: Callable[[int], bytes], packing: Packing = "deflate") -> None:
        self._read, self._new = read, _NEW_UNPACKER[packing]
        self._unpacker = self._new()
        self._rest = b""

    def next(self, most: int) -> bytes:
        """
        Give the next bytes, at least one; none where the stream is at its end.

        Raises:
            ValueError: The stream is damaged.
        """
        while True:
            if self._unpacker.eof:
                self._rest = self._unpacker.unused_data
                self._unpacker = self._new()
            # bz2 keeps what it did not unpack yet; zlib hands it back.
            keeps = not getattr(self._unpacker, "needs_input", True)
            packed = b"" if keeps else self._rest or self._read(_PACKED_BLOCK)
            if not packed and not keeps:
                return b""
            try:
                data = self._unpacker.decompress(packed, most)
            except (zlib.error, OSError) as error:
                raise ValueError(str(error)) from None
            self._rest = getattr(self._unpacker, "unconsumed_tail", b"")
            if data:
                return data


def unpacked_beginning(head: bytes, most: int) -> bytes:
    """Give what the beginning of a gzip file unpacks to, as far as it goes."""
    chunks = iter([head])
    stream = PackedStream(lambda _: next(chunks, b""))
    data = b""
    with contextlib.suppress(ValueError):
        while len(data) < most and (more := stream.next(most - len(data))):
            data += more
    return data


def unpacked_size(path: Path, offset: int, packing: Packing) -> int:
    """
    Give how many bytes the stream of a file unpacks to, unpacking all of it.

    Raises:
        ImageFormatError: It is damaged.
    """
    count = 0
    with open_to_read(path) as file:
        file.seek(offset)
        stream = PackedStream(file.read, packing)
        try:
            while data := stream.next(_BLOCK):
                count += len(data)
        except ValueError as error:
            raise ImageFormatError(f"the compressed pixels are damaged: {error}.", path=path) from None
    return count


class DeflatedReader(SlabReader):
    """
    Reads a compressed stream of pixels; going back begins again from its start.

    Args:
        info: What the image is.
        path: The file with the stream.
        offset: The byte at which the stream begins.
        skip: Bytes of it, once unpacked, before the first pixel.
        packing: How it is packed.

    Raises:
        ImageFormatError: The file is too small to unpack to as many pixels.
    """

    def __init__(
        self, info: ImageInfo, path: Path, *, offset: int = 0, skip: int = 0, packing: Packing = "deflate"
    ) -> None:
        packed = file_size(path) - offset
        if info.byte_count + skip > max(0, packed) * _MOST_PER_BYTE[packing]:
            raise ImageFormatError(
                f"{packed} compressed bytes cannot hold {info.byte_count} bytes of pixels; it was cut short, or the"
                " header is wrong.",
                path=path,
                offset=offset,
                field="pixels",
            )
        super().__init__(info, open_to_read(path))
        self._path, self._offset, self._skip, self._packing = path, offset, skip, packing
        self._begin()

    def _begin(self) -> None:
        file: IO[bytes] = self._file  # type: ignore[assignment]  # opened by the constructor
        file.seek(self._offset)
        self._stream = PackedStream(file.read, self._packing)
        self._at = -self._skip

    def _read_into(self, start: int, out: "Pixels") -> None:
        import numpy as np

        begin = start * self.info.slab_byte_count
        if begin < self._at:
            self._begin()
        while self._at < begin:
            self._at += len(self._unpacked(min(_BLOCK, begin - self._at)))
        view = out.reshape(-1).view(np.uint8).data
        done = 0
        while done < view.nbytes:
            data = self._unpacked(min(_BLOCK, view.nbytes - done))
            view[done : done + len(data)] = data
            done += len(data)
            self._at += len(data)
        if not np.dtype(self.info.pixel_type.numpy_code(self.info.byte_order)).isnative:
            out.byteswap(inplace=True)

    def _unpacked(self, most: int) -> bytes:
        """Give the next bytes, at least one."""
        try:
            data = self._stream.next(most)
        except ValueError as error:
            raise ImageFormatError(f"the compressed pixels are damaged: {error}.", path=self._path) from None
        if not data:
            raise ImageFormatError("the compressed pixels end too early; it was cut short.", path=self._path)
        return data
