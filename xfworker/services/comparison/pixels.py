"""Comparing images voxel by voxel, in slabs, so that images larger than memory are compared as well."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define

from xfworker.services.comparison.difference import Difference, Tolerance

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any

SLAB_BYTES = 16 * 1024 * 1024
"""About how many bytes of each image are in memory at a time (one slice at the least)."""

CHUNK_VOXELS = 1 << 20
"""How many voxels are compared at a time, so that the work needs little memory however many differ."""


class Volume(Protocol):
    """Pixels that can be read in slabs along the slowest axis; arrays and open images both are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, slowest axis first: ``(z, y, x)``."""
        ...

    def read(self, start: int, stop: int) -> Pixels:
        """Give slices ``start`` to ``stop`` (exclusive) along the slowest axis."""
        ...


@define(frozen=True)
class ArrayVolume:
    """An array as a volume; one without axes counts as a single voxel."""

    array: Pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.array.shape) or (1,)

    def read(self, start: int, stop: int) -> Pixels:
        """Give slices of the first axis."""
        return self.array.reshape(self.shape)[start:stop]


@define(frozen=True, kw_only=True)
class PixelDifference:
    """
    How the voxels of two images of the same shape differ.

    Attributes:
        compared: How many voxels there are.
        differing: How many differ by more than the tolerance.
        largest: The largest absolute difference among them, in raw values; infinite where one image has a number and
            the other has none.
        largest_at: Where it is, in axes order ``(x, y, z)``, or ``None`` where nothing differs.
        expected: The expected value there.
        actual: The actual value there.
        mean: The mean absolute difference over all voxels whose difference is a number, in raw values.
        worst_slice: The slice along the slowest axis with the most differing voxels.
    """

    compared: int
    differing: int
    largest: float
    largest_at: tuple[int, ...] | None
    expected: float | None
    actual: float | None
    mean: float
    worst_slice: int

    def __str__(self) -> str:
        if not self.differing:
            return f"all {self.compared:,} voxels are the same within the tolerance"
        part = 100 * self.differing / self.compared
        return (
            f"{self.differing:,} of {self.compared:,} voxels differ ({part:.3g} %), at most by {self.largest:g} at "
            f"(x, y, z) = {self.largest_at} (expected {self.expected:g}, got {self.actual:g}), on average by "
            f"{self.mean:g}; slice {self.worst_slice} differs most"
        )

    def figures(self) -> dict[str, Any]:
        """Give the numbers as JSON values."""
        return {
            "voxels_compared": self.compared,
            "voxels_differing": self.differing,
            "largest_difference": self.largest if math.isfinite(self.largest) else None,
            "largest_difference_at": None if self.largest_at is None else list(self.largest_at),
            "mean_difference": self.mean,
            "worst_slice": self.worst_slice,
        }


def compare_pixels(expected: Volume, actual: Volume, tolerance: Tolerance) -> PixelDifference:
    """
    Compare two volumes of the same shape, voxel by voxel, by value: the pixel types may differ.

    Args:
        expected: What it should be, shape ``(z, y, x)``.
        actual: What it is, of the same shape.
        tolerance: By how much voxels may differ, in raw values.

    Raises:
        ValueError: The shapes differ; see :func:`compare_shapes`.
    """
    import numpy as np

    shape = tuple(expected.shape)
    if shape != tuple(actual.shape):
        raise ValueError(f"shapes differ: {shape} and {tuple(actual.shape)}")
    tally = _Tally(shape)
    for start, stop in _slabs(shape):
        left, right = expected.read(start, stop).ravel(), actual.read(start, stop).ravel()
        for begin in range(0, left.size, CHUNK_VOXELS):
            chunk = slice(begin, begin + CHUNK_VOXELS)
            indices = np.flatnonzero(left[chunk] != right[chunk])
            if indices.size:
                first = start * tally.slice_voxels + begin
                tally.add(indices + first, left[chunk][indices], right[chunk][indices], tolerance)
    return tally.result()


def compare_shapes(expected: Volume, actual: Volume, path: str) -> Difference | None:
    """Say how the shapes differ; ``None`` where they do not."""
    if tuple(expected.shape) == tuple(actual.shape):
        return None
    left, right = (tuple(reversed(volume.shape)) for volume in (expected, actual))
    return Difference(path=path, message=f"expected {left} voxels along (x, y, z), got {right}")


class _Tally:
    """Counts voxels that differ; what it is given already differs in the narrow sense."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        import numpy as np

        self.slice_voxels = math.prod(shape[1:])
        self._shape = shape
        self._differing = np.zeros(shape[0], dtype=np.int64)
        self._sum = 0.0
        self._not_numbers = 0
        self._worst: tuple[float, int, float, float] | None = None

    def add(self, indices: Pixels, expected: Pixels, actual: Pixels, tolerance: Tolerance) -> None:
        import numpy as np

        left, right = expected.astype(np.float64), actual.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(right - left)
            allowed = off <= tolerance.absolute + tolerance.relative * np.abs(left)
        allowed &= np.isfinite(left) & np.isfinite(right)
        if not tolerance.absolute and not tolerance.relative:
            # 64-bit integers that differ can be the same float.
            allowed[:] = False
        missing = np.isnan(left), np.isnan(right)
        wrong = ~(allowed | (missing[0] & missing[1]))
        numbers = np.isfinite(off)
        self._sum += float(off[numbers].sum())
        self._not_numbers += int(off.size - numbers.sum())
        if not wrong.any():
            return
        self._differing += np.bincount(indices[wrong] // self.slice_voxels, minlength=self._shape[0])
        off[missing[0] != missing[1]] = np.inf
        worst = int(np.where(wrong, off, -1.0).argmax())
        if self._worst is None or off[worst] > self._worst[0]:
            self._worst = float(off[worst]), int(indices[worst]), float(left[worst]), float(right[worst])

    def result(self) -> PixelDifference:
        import numpy as np

        compared = math.prod(self._shape)
        counted = compared - self._not_numbers
        at = None if self._worst is None else np.unravel_index(self._worst[1], self._shape)
        return PixelDifference(
            compared=compared,
            differing=int(self._differing.sum()),
            largest=0.0 if self._worst is None else self._worst[0],
            largest_at=None if at is None else tuple(int(index) for index in reversed(at)),
            expected=None if self._worst is None else self._worst[2],
            actual=None if self._worst is None else self._worst[3],
            mean=self._sum / counted if counted else 0.0,
            worst_slice=int(self._differing.argmax()) if self._shape[0] else 0,
        )


def _slabs(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    step = max(SLAB_BYTES // max(8 * math.prod(shape[1:]), 1), 1)
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])
