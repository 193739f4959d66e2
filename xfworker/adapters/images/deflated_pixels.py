"""Pixels that are compressed as one stream (gzip, zlib): read forward, slab after slab."""

import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import SlabReader
from xfworker.domain.errors import ImageFormatError
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

GZIP_OR_ZLIB: Final = 47
"""zlib's word for telling the two apart by itself."""

_BLOCK: Final = 1 << 20
_MOST_PER_BYTE: Final = 1032
"""deflate cannot unpack to more bytes than this per byte."""


class DeflatedReader(SlabReader):
    """
    Reads a compressed stream of pixels; going back begins again from its start.

    Args:
        info: What the image is.
        path: The file with the stream.
        offset: The byte at which the stream begins.
        skip: Bytes of it, once unpacked, before the first pixel.

    Raises:
        ImageFormatError: The file is too small to unpack to as many pixels.
    """

    def __init__(self, info: ImageInfo, path: Path, *, offset: int = 0, skip: int = 0) -> None:
        packed = path.stat().st_size - offset
        if info.byte_count + skip > max(0, packed) * _MOST_PER_BYTE:
            raise ImageFormatError(
                f"{packed} compressed bytes cannot hold {info.byte_count} bytes of pixels; it was cut short, or the"
                " header is wrong.",
                path=path,
                offset=offset,
                field="pixels",
            )
        super().__init__(info, open_to_read(path))
        self._path, self._offset, self._skip = path, offset, skip
        self._begin()

    def _begin(self) -> None:
        assert self._file is not None
        self._file.seek(self._offset)
        self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
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
        file: IO[bytes] = self._file  # type: ignore[assignment]  # opened by the constructor
        while True:
            pending = self._unpacker.unconsumed_tail or file.read(_BLOCK)
            try:
                data = self._unpacker.decompress(pending, most)
            except zlib.error as error:
                raise ImageFormatError(f"the compressed pixels are damaged: {error}.", path=self._path) from None
            if data:
                return data
            if self._unpacker.eof:
                rest = self._unpacker.unused_data
                self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
                if not rest:
                    pending = b""
                file.seek(-len(rest), 1)
            if not pending and not self._unpacker.unconsumed_tail:
                raise ImageFormatError("the compressed pixels end too early; it was cut short.", path=self._path)
