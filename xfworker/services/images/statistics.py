"""Statistics of a volume, block after block."""

import math
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.errors import ImageError
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.blocks import blocks
from xfworker.services.images.conversion import SliceProgress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Histogram = npt.NDArray[np.int64]

_BINS: Final = 65536
_SQUARES_FIT: Final = 1e150


class NothingToCount(ImageError):
    """No pixel is a number, or none lies in the mask."""


@attrs.frozen(kw_only=True)
class Statistics:
    """
    Statistics of all pixels, as raw values.

    Attributes:
        count: How many pixels were counted; those that are not numbers are left out.
        not_numbers: How many were left out.
        minimum: The smallest value.
        maximum: The largest value.
        mean: Their mean.
        standard_deviation: Their standard deviation (of the population).
        nonzero: How many are not 0.
        histogram: Pixels per bin over ``minimum`` to ``maximum``; one bin per value for integers of up to 16 bits.
    """

    count: int
    not_numbers: int
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    nonzero: int
    histogram: "Histogram" = attrs.field(repr=False, eq=False)

    def percentile(self, percent: float) -> float:
        """
        Give the value below which a share of all pixels lies.

        Exact for integers of up to 16 bits, else to a 65536th of the range.

        Args:
            percent: 0 to 100.

        Raises:
            ImageError: It is beyond 0 to 100.
        """
        import numpy as np

        if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
            raise ImageError(f"The percentile {percent} is not between 0 and 100.")
        wanted = max(1, math.ceil(self.count * percent / 100))
        index = int(np.searchsorted(np.cumsum(self.histogram), wanted))
        bins = len(self.histogram)
        if bins == 1:
            return self.minimum
        spread = self.maximum - self.minimum
        if math.isfinite(spread):
            return self.minimum + spread * index / (bins - 1)
        share = index / (bins - 1)
        return self.minimum * (1 - share) + self.maximum * share


def statistics(reader: PixelReader, progress: SliceProgress | None = None) -> Statistics:
    """
    Take the statistics of all pixels.

    Args:
        reader: The open image.
        progress: Told how far it is. Types beyond 16 bits are read twice; it starts again then.

    Raises:
        NothingToCount: No pixel is a number.
    """
    code = reader.info.pixel_type.code
    return _of_small_integers(reader, progress) if code in ("i1", "u1", "i2", "u2") else _of_others(reader, progress)


def _of_small_integers(reader: PixelReader, progress: SliceProgress | None) -> Statistics:
    """Count every value: all figures follow exactly from the counts."""
    import numpy as np

    bits = 8 * reader.info.pixel_type.size
    unsigned = np.dtype(f"u{bits // 8}")
    counts = np.zeros(1 << bits, np.int64)
    for block in blocks(reader):
        values = block.pixels.reshape(-1).view(unsigned)
        # bincount widens its input to 64 bits: take some at a time.
        for begin in range(0, values.size, 1 << 20):
            counts += np.bincount(values[begin : begin + (1 << 20)], minlength=1 << bits)
        if progress is not None:
            progress(block.stop, reader.info.size[-1])
    lowest = 0
    if reader.info.pixel_type.code[0] == "i":
        counts = np.roll(counts, 1 << (bits - 1))
        lowest = -(1 << (bits - 1))
    present = np.flatnonzero(counts)
    first, last = int(present[0]), int(present[-1])
    count = int(counts.sum())
    total = sum(int(counts[index]) * (int(index) + lowest) for index in present)
    squares = sum(int(counts[index]) * (int(index) + lowest) ** 2 for index in present)
    variance = (squares * count - total * total) / (count * count)
    zeros = int(counts[-lowest]) if 0 <= -lowest < len(counts) else 0
    return Statistics(
        count=count,
        not_numbers=0,
        minimum=float(first + lowest),
        maximum=float(last + lowest),
        mean=total / count,
        standard_deviation=math.sqrt(max(0.0, variance)),
        nonzero=count - zeros,
        histogram=counts[first : last + 1],
    )


def _of_others(reader: PixelReader, progress: SliceProgress | None) -> Statistics:
    """Combine means and deviations of blocks (Chan, Golub, LeVeque), then count bins in a second pass."""
    import numpy as np

    count = nonzero = skipped = 0
    mean: Any = 0.0
    deviation: Any = 0.0
    least, largest = math.inf, -math.inf
    for block in blocks(reader):
        values: Any = block.pixels.reshape(-1)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            skipped += values.size - int(np.count_nonzero(finite))
            values = values[finite]
        if values.size:
            least, largest = min(least, float(values.min())), max(largest, float(values.max()))
            nonzero += int(np.count_nonzero(values))
            # Squares of huge values are beyond float64: take them in the widest type that the machine has.
            wide = np.longdouble if max(abs(least), abs(largest)) > _SQUARES_FIT else np.float64
            block_mean = values.mean(dtype=wide)
            block_deviation = np.square(values - block_mean, dtype=wide).sum()
            together = count + values.size
            shift = block_mean - mean
            mean += shift * values.size / together
            deviation += block_deviation + shift * shift * count * values.size / together
            count = together
        if progress is not None:
            progress(block.stop, reader.info.size[-1])
    if count == 0:
        raise NothingToCount(f"{reader.info.path} holds no pixel that is a number.")
    return Statistics(
        count=count,
        not_numbers=skipped,
        minimum=least,
        maximum=largest,
        mean=float(mean),
        standard_deviation=float(np.sqrt(deviation / count)),
        nonzero=nonzero,
        histogram=_binned(reader, least, largest, progress),
    )


def _binned(reader: PixelReader, least: float, largest: float, progress: SliceProgress | None) -> "Histogram":
    import numpy as np

    if least == largest:
        return np.array([reader.info.pixel_count], np.int64)
    counts = np.zeros(_BINS, np.int64)
    # Halves, as the range of huge values is beyond float64.
    scale = (_BINS - 1) / (largest / 2 - least / 2)
    for block in blocks(reader):
        values: Any = block.pixels.reshape(-1)
        for begin in range(0, values.size, 1 << 20):
            piece = values[begin : begin + (1 << 20)].astype(np.float64)
            piece = piece[np.isfinite(piece)]
            counts += np.bincount(np.rint((piece / 2 - least / 2) * scale).astype(np.int64), minlength=_BINS)
        if progress is not None:
            progress(block.stop, reader.info.size[-1])
    return counts
