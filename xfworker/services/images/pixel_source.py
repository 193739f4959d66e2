"""The pixels of an image as an array that is read in boxes, in whichever process needs them."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from xfworker.domain.image.description import ImageInfo
from xfworker.ports.image_codec import BoxReader, PixelReader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

OpenReader = Callable[[ImageInfo], PixelReader]


class PixelSource:
    """
    An array-like of shape ``(z, y, x)``: indexing with integers and slices reads what they cover, as cheaply as the
    format allows, and gives an ordinary array. Safe for threads. It can be pickled; each process opens the file once.

    Args:
        info: What the image is.
        open_reader: Opens its pixels; a function of a module.
    """

    def __init__(self, info: ImageInfo, open_reader: OpenReader) -> None:
        self._info, self._open = info, open_reader
        self._reader: PixelReader | None = None
        self._lock = Lock()

    def __reduce__(self) -> "tuple[type[PixelSource], tuple[ImageInfo, OpenReader]]":
        return PixelSource, (self._info, self._open)

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along every axis, the last axis first."""
        return self._info.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of the pixels, in the machine's byte order."""
        import numpy as np

        return np.dtype(self._info.pixel_type.code)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        parts = (*parts, *[slice(None)] * (self.ndim - len(parts)))
        ranges: list[range] = []
        then: list[int | slice] = []
        for part, count in zip(parts, self.shape, strict=True):
            if not isinstance(part, slice):
                ranges.append(range(count)[part : part + 1 or None])
                then.append(0)
                continue
            chosen = range(count)[part]
            ranges.append(chosen if chosen.step > 0 else chosen[::-1])
            then.append(slice(None, None, 1 if chosen.step > 0 else -1))
        return self._box(ranges)[tuple(then)]

    def close(self) -> None:
        """Let go of the file; it is opened again when more is read."""
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __del__(self) -> None:
        if getattr(self, "_reader", None) is not None:
            self.close()

    def _box(self, ranges: list[range]) -> "Pixels":
        import numpy as np

        if not all(ranges):
            return np.empty([len(one) for one in ranges], self.dtype)
        with self._lock:
            if self._reader is None:
                self._reader = self._open(self._info)
            reader = self._reader
            if self._info.axes != "XYZ" or not isinstance(reader, BoxReader):
                # Readers of packed pixels keep where they are in the file.
                first, *rest = ranges
                slab = reader.read(first.start, first[-1] + 1)[:: first.step]
                return slab[(slice(None), *[slice(one.start, one[-1] + 1, one.step) for one in rest])]
        slices, rows, columns = ranges
        return reader.read_box(slices, rows, range(columns.start, columns[-1] + 1))[:, :, :: columns.step]
