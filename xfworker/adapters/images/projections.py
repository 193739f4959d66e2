"""RSQ and RAD: detector counts and scout views of SCANCO's scanners. They are read only."""

import math
import os
from pathlib import Path
from typing import Final

from xfworker.adapters.images import ctdata_header
from xfworker.adapters.images.ctdata_header import RAD_TYPE, RSQ_TYPE
from xfworker.adapters.images.isq import read_header
from xfworker.adapters.images.opening import open_to_read
from xfworker.adapters.images.raw_pixels import RawReader, SlabWriter
from xfworker.domain.errors import ImageFormatError, UnsupportedImage
from xfworker.domain.image.description import ImageInfo, Triple
from xfworker.domain.image.pixel_type import PixelType

_NM_PER_MM: Final = 1e6


class ProjectionCodec:
    """
    The ``ImageCodec`` of RSQ (axes detector column, frame, detector row) or RAD (a single plane).

    Args:
        data_type: 1 for RSQ, 9 for RAD.
    """

    suffixes: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()

    def __init__(self, data_type: int) -> None:
        self._data_type = data_type
        self.name = {RSQ_TYPE: "RSQ", RAD_TYPE: "RAD"}[data_type]

    def recognises(self, _path: Path, head: bytes, /) -> bool:
        """Return whether the content is of this type."""
        return ctdata_header.recognises(head, self._data_type)

    def describe(self, path: Path) -> ImageInfo:
        """Read the header; see the port."""
        with open_to_read(path) as file:
            header = read_header(file, path)
            size = os.fstat(file.fileno()).st_size
        needed = math.prod(header.dim) * 2
        if needed > size - header.data_offset:
            raise ImageFormatError(
                f"{' x '.join(map(str, header.dim))} pixels take {needed} bytes, but {size - header.data_offset} follow"
                " the header; the file was cut short, or the header is wrong.",
                path=path,
                offset=44,
                field="dim_p",
            )
        spacing: Triple = (1.0, 1.0, 1.0)
        if self._data_type == RAD_TYPE:
            x, y = (nm / count / _NM_PER_MM for nm, count in zip(header.extent_um[:2], header.dim[:2], strict=True))
            spacing = (x if x > 0 else 1.0, y if y > 0 else 1.0, 1.0)
        return ImageInfo(
            path=path,
            format=self.name,
            format_version="V1",
            size=header.dim,
            pixel_type=PixelType.INT16 if self._data_type == RAD_TYPE else PixelType.UINT16,
            pixels_path=path,
            pixels_offset=header.data_offset,
            spacing_mm=spacing,
            header=ctdata_header.described(header),
            files=(path,),
        )

    def reader(self, path: Path) -> RawReader:
        """Open the pixels; see the port."""
        return RawReader(self.describe(path))

    def writer(self, path: Path, image: ImageInfo, *, encoding: str | None = None) -> SlabWriter:  # noqa: ARG002 - port
        """Refuse: scanners write these files, and nothing else does."""
        raise UnsupportedImage(f"{path}: {self.name} files are read only; write AIM, ISQ or OMNI.")
