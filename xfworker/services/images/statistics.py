"""Statistics of a volume, block after block."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from xfworker.domain.errors import ImageError
from xfworker.domain.image.calibration import Calibration
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.blocks import blocks
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.masking import Mask

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Histogram = npt.NDArray[np.int64]
    Pixels = npt.NDArray[Any]

_BINS: Final = 65536
_PIECE: Final = 1 << 20
_SQUARES_FIT: Final = 1e150
_HUGE: Final = 2.0**600


class NothingToCount(ImageError):
    """No pixel is a number, or none lies in the mask."""


@attrs.frozen(kw_only=True)
class Statistics:
    """
    Statistics of pixels, as raw values or in a unit.

    Attributes:
        count: How many pixels were counted: those inside the mask, where there is one, that are numbers.
        not_numbers: How many were left out because they are not numbers.
        minimum: The smallest value.
        maximum: The largest value.
        mean: Their mean.
        standard_deviation: Their standard deviation (of the population).
        nonzero: How many are not 0, as raw values.
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
        Give the value below which a share of the counted pixels lies.

        Exact for integers of up to 16 bits, else to a 65536th of the range.

        Args:
            percent: 0 to 100.

        Raises:
            ImageError: It is beyond 0 to 100.
        """
        import numpy as np

        if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
            raise ImageError(f"The percentile {percent} is not between 0 and 100.")
        rank = max(1, math.ceil(self.count * percent / 100))
        index = int(np.searchsorted(np.cumsum(self.histogram), rank))
        bins = len(self.histogram)
        if bins == 1:
            return self.minimum
        spread = self.maximum - self.minimum
        if math.isfinite(spread):
            return self.minimum + spread * index / (bins - 1)
        share = index / (bins - 1)
        return self.minimum * (1 - share) + self.maximum * share

    def calibrated(self, line: Calibration) -> "Statistics":
        """Give the same in the unit of a calibration from raw values."""
        slope, _ = line.line()
        ends = self.minimum, self.maximum
        low, high = (float(line.raw_to_calibrated(end)) for end in (ends if slope > 0 else ends[::-1]))
        return attrs.evolve(
            self,
            minimum=low,
            maximum=high,
            mean=float(line.raw_to_calibrated(self.mean)),
            standard_deviation=float(line.raw_stddev_to_calibrated_stddev(self.standard_deviation)),
            histogram=self.histogram if slope > 0 else self.histogram[::-1],
        )


def statistics(reader: PixelReader, progress: SliceProgress | None = None, *, mask: Mask | None = None) -> Statistics:
    """
    Take the statistics of all pixels, or of those inside a mask.

    Args:
        reader: The open image.
        progress: Called with the slices that are done and all there are. Types beyond 16 bits are read twice; it starts
            again then.
        mask: Which pixels count; None for all.

    Raises:
        NothingToCount: No pixel is a number, or none lies inside the mask.
    """
    code = reader.info.pixel_type.code
    take = _of_small_integers if code in ("i1", "u1", "i2", "u2") else _of_others
    return take(reader, mask, progress)


def counted_pieces(reader: PixelReader, mask: Mask | None, progress: SliceProgress | None) -> "Iterator[Pixels]":
    """Read the pixels that count, in flat pieces of at most a million; what is computed from one stays small."""
    for block in blocks(reader):
        pixels = block.pixels.reshape(-1)
        inside = None if mask is None else mask.inside(block.start, block.stop).reshape(-1)
        for begin in range(0, pixels.size, _PIECE):
            piece = pixels[begin : begin + _PIECE]
            yield piece if inside is None else piece[inside[begin : begin + _PIECE]]
            del piece
        if progress is not None:
            progress(block.stop, reader.info.size[-1])
        del block, pixels, inside  # the next ones are read before the names are given away again


def _of_small_integers(reader: PixelReader, mask: Mask | None, progress: SliceProgress | None) -> Statistics:
    """Count every value: all figures follow exactly from the counts."""
    import numpy as np

    bits = 8 * reader.info.pixel_type.size
    unsigned = np.dtype(f"u{bits // 8}")
    counts = np.zeros(1 << bits, np.int64)
    for piece in counted_pieces(reader, mask, progress):
        counts += np.bincount(piece.view(unsigned), minlength=1 << bits)
    lowest = 0
    if reader.info.pixel_type.code[0] == "i":
        counts = np.roll(counts, 1 << (bits - 1))
        lowest = -(1 << (bits - 1))
    present = np.flatnonzero(counts)
    if not present.size:
        raise _nothing(reader, mask)
    first, last = int(present[0]), int(present[-1])
    count = int(counts.sum())
    total = sum(int(counts[index]) * (int(index) + lowest) for index in present)
    squares = sum(int(counts[index]) * (int(index) + lowest) ** 2 for index in present)
    variance = (squares * count - total * total) / (count * count)
    return Statistics(
        count=count,
        not_numbers=0,
        minimum=float(first + lowest),
        maximum=float(last + lowest),
        mean=total / count,
        standard_deviation=math.sqrt(max(0.0, variance)),
        nonzero=count - int(counts[-lowest]),
        histogram=counts[first : last + 1],
    )


def _of_others(reader: PixelReader, mask: Mask | None, progress: SliceProgress | None) -> Statistics:
    """Combine means and deviations of pieces (Chan, Golub, LeVeque), then count bins in a second pass."""
    import numpy as np

    count = nonzero = skipped = 0
    mean: Any = 0.0
    deviation: Any = 0.0
    least, largest = math.inf, -math.inf
    unit = 1.0
    for piece in counted_pieces(reader, mask, progress):
        values = piece
        if values.dtype.kind == "f":
            values = piece[np.isfinite(piece)]
            skipped += piece.size - values.size
        if values.size:
            least, largest = min(least, float(values.min())), max(largest, float(values.max()))
            nonzero += int(np.count_nonzero(values))
            if unit == 1.0 and max(abs(least), abs(largest)) > _SQUARES_FIT:
                # Squares of huge values are beyond float64, and not every system has a wider type.
                unit = _HUGE
                mean, deviation = mean / unit, deviation / unit / unit
            if unit != 1.0:
                values = values / unit
            piece_mean = values.mean(dtype=np.float64)
            piece_deviation = np.square(values - piece_mean, dtype=np.float64).sum()
            together = count + values.size
            shift = piece_mean - mean
            mean += shift * values.size / together
            deviation += piece_deviation + shift * shift * count * values.size / together
            count = together
    if count == 0:
        raise _nothing(reader, mask)
    return Statistics(
        count=count,
        not_numbers=skipped,
        minimum=least,
        maximum=largest,
        mean=float(mean) * unit,
        standard_deviation=float(np.sqrt(deviation / count)) * unit,
        nonzero=nonzero,
        histogram=_binned(reader, mask, (least, largest), count, progress),
    )


def _binned(
    reader: PixelReader, mask: Mask | None, ends: tuple[float, float], count: int, progress: SliceProgress | None
) -> "Histogram":
    import numpy as np

    least, largest = ends
    if least == largest:
        return np.array([count], np.int64)
    counts = np.zeros(_BINS, np.int64)
    # Halves, as the range of huge values is beyond float64.
    scale = (_BINS - 1) / (largest / 2 - least / 2)
    for piece in counted_pieces(reader, mask, progress):
        values = piece.astype(np.float64)
        values = values[np.isfinite(values)]
        counts += np.bincount(np.rint((values / 2 - least / 2) * scale).astype(np.int64), minlength=_BINS)
    return counts


def _nothing(reader: PixelReader, mask: Mask | None) -> NothingToCount:
    if mask is None:
        return NothingToCount(f"{reader.info.path} holds no pixel that is a number.")
    return NothingToCount(f"No pixel of {reader.info.path} that is a number lies inside {mask.path}.")
