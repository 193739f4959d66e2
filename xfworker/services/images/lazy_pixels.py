"""An array-like over encoded pixels: slices are decoded when they are asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from xfworker.ports.image_codec import PixelReader

Pixels = npt.NDArray[Any]


class LazyPixels(NDArrayOperatorsMixin):
    """
    The pixels of an encoded image, shape ``(z, y, x)``.

    Indexing decodes only the slices along the first axis that are needed and gives an ordinary array. Everything else
    that an array can do (arithmetic, comparisons, numpy's functions, methods such as ``max`` and ``astype``) decodes
    all of it, so that a script need not know how its image is encoded. Pixels cannot be assigned.

    Args:
        reader: The open image; it is closed with this object.
    """

    def __init__(self, reader: PixelReader) -> None:
        self._reader = reader

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, ``(z, y, x)``."""
        return self._reader.info.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many pixels there are, as of a numpy array."""
        return self._reader.info.pixel_count

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        return np.dtype(self._reader.info.pixel_type.code)

    @property
    def nbytes(self) -> int:
        """How many bytes the decoded pixels take."""
        return self._reader.info.byte_count

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Pixels]:
        return (self._slab(index, index + 1)[0] for index in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:  # noqa: FBT001 - numpy's protocol
        if copy is False:
            raise ValueError("Encoded pixels have to be decoded into a new array; copy=False cannot be met.")
        return np.asarray(self._slab(0, len(self)), dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(out, LazyPixels) for out in options.get("out", ())):
            raise TypeError("Encoded pixels cannot be changed in place; derive an image and write to its pixels.")
        arrays = [np.asarray(item) if isinstance(item, LazyPixels) else item for item in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(np.asarray(self), name)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        first = parts[0] if parts else slice(None)
        if isinstance(first, int | np.integer) and not isinstance(first, bool):
            at = int(first) + len(self) if first < 0 else int(first)
            if not 0 <= at < len(self):
                raise IndexError(f"slice {first} of {len(self)}")
            return self._slab(at, at + 1)[(0, *parts[1:])]
        if isinstance(first, slice):
            indices = range(len(self))[first]
            if not indices:
                return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *parts[1:])]
            low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1]) + 1
            if len(indices) * 4 < high - low:
                slab = np.concatenate([self._slab(at, at + 1) for at in indices])
                return slab[(slice(None), *parts[1:])]
            slab = self._slab(low, high)
            within = slab[:: indices.step] if indices.step > 0 else slab[::-1][:: -indices.step]
            return within[(slice(None), *parts[1:])]
        return self._slab(0, len(self))[index]

    def __repr__(self) -> str:
        return f"<LazyPixels {self.shape} {self._reader.info.pixel_type.value} of {self._reader.info.path}>"

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def __del__(self) -> None:
        reader = getattr(self, "_reader", None)
        if reader is not None:
            reader.close()

    def _slab(self, start: int, stop: int) -> Pixels:
        return self._reader.read(start, stop)
