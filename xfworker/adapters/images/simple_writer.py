"""Writing formats that are a header before raw pixels, in one file or in two."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xfworker.adapters.images.incomplete_image import PartialFile
from xfworker.adapters.images.raw_pixels import SlabWriter, file_bytes
from xfworker.domain.image.description import ImageInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


class HeaderThenPixelsWriter(SlabWriter):
    """
    Writes a header, then the pixels behind it or in a file of their own.

    Args:
        info: What the image will be; ``info.pixels_path`` is where the pixels go.
        header: The header's bytes; they go to ``info.path``.
        is_packed: Whether header and pixels are compressed with gzip, as one stream.
        remarks: As ``PixelWriter.remarks``.
    """

    def __init__(
        self, info: ImageInfo, header: bytes, *, is_packed: bool = False, remarks: tuple[str, ...] = ()
    ) -> None:
        super().__init__(info)
        self.remarks = remarks
        self._header = header
        self._packer = zlib.compressobj(4, zlib.DEFLATED, 31) if is_packed else None
        self._pixels = PartialFile(info.pixels_path)
        try:
            if self._packer is None:
                self._pixels.reserve(info.byte_count)
            if self._is_one_file:
                self._put(header)
        except BaseException:
            self._pixels.discard()
            raise

    @property
    def _is_one_file(self) -> bool:
        return self.info.pixels_path == self.info.path

    def _put(self, data: Any) -> None:
        self._pixels.write(data if self._packer is None else self._packer.compress(data))

    def _write(self, slab: "Pixels") -> None:
        self._put(file_bytes(slab, self.info))

    def _finish(self) -> None:
        if self._packer is not None:
            self._pixels.write(self._packer.flush())
        self._pixels.finish()
        if not self._is_one_file:
            write_small_file(self.info.path, self._header)

    def _discard(self) -> None:
        self._pixels.discard()


def write_small_file(path: Path, data: bytes) -> None:
    """Write a file that appears when it is complete."""
    partial = PartialFile(path)
    try:
        partial.write(data)
    except BaseException:
        partial.discard()
        raise
    partial.finish()
