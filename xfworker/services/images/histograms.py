"""How often values occur: counts in equal bins, as a table and as a picture."""

import csv
import io
from typing import TYPE_CHECKING, Final

import attrs

from xfworker.domain.errors import UsageError
from xfworker.domain.image.calibration import Calibration
from xfworker.ports.image_codec import PixelReader
from xfworker.services.images.conversion import SliceProgress
from xfworker.services.images.lettering import drawn_text
from xfworker.services.images.masking import Mask
from xfworker.services.images.statistics import counted_pieces, statistics
from xfworker.services.images.units import raw_limits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

MOST_BINS: Final = 65536

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 20, 50
_PAPER, _INK, _BAR = (255, 255, 255), (30, 30, 30), (70, 110, 180)
_TICKS: Final = 5


@attrs.frozen(eq=False)
class Histogram:
    """
    Counts of pixels in bins of equal width.

    Attributes:
        edges: One more than there are bins, rising; a bin reaches up to its right edge, which only the last includes.
        counts: Pixels in each bin.
        beyond: Pixels that are numbers outside the edges.
        unit: What the edges are stated in, such as ``Density [mg HA/ccm]``; ``raw`` for raw values.
    """

    edges: "npt.NDArray[np.float64]"
    counts: "npt.NDArray[np.int64]"
    beyond: int
    unit: str

    def to_csv(self) -> str:
        """Give a table with a line for each bin: from, to, count."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([f"from {self.unit}", f"to {self.unit}", "count"])
        rows = zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), self.counts.tolist(), strict=True)
        table.writerows(rows)
        return text.getvalue()

    def to_picture(self) -> "Bytes":
        """Give a picture of the counts, red, green and blue, shape (rows, columns, 3)."""
        import numpy as np

        picture: Bytes = np.full((_HEIGHT, _WIDTH, 3), _PAPER, np.uint8)
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        # More bins than columns: each column shows the highest of its bins, so that no peak is lost.
        bins = np.arange(width) * len(self.counts) // width
        after = np.maximum((np.arange(width) + 1) * len(self.counts) // width, bins + 1)
        columns = np.array([self.counts[begin:end].max() for begin, end in zip(bins, after, strict=True)])
        most = max(1, int(columns.max()))
        tall = np.ceil(columns / most * height).astype(int)
        filled = np.arange(height)[:, None] >= height - tall[None, :]
        picture[_TOP : _TOP + height, _LEFT : _LEFT + width][filled] = _BAR
        picture[_TOP + height, _LEFT : _LEFT + width] = _INK
        picture[_TOP : _TOP + height + 1, _LEFT - 1] = _INK
        low, high = float(self.edges[0]), float(self.edges[-1])
        for tick in range(_TICKS):
            share = tick / (_TICKS - 1)
            at = _LEFT + round(share * (width - 1))
            picture[_TOP + height : _TOP + height + 5, at] = _INK
            text = f"{low + share * (high - low):.4g}"
            drawn_text(picture, text, (_TOP + height + 13, at), size=1, colour=_INK)
        drawn_text(picture, self.unit, (_TOP + height + 35, _LEFT + width // 2), size=2, colour=_INK)
        for count, row in ((most, _TOP + 4), (0, _TOP + height - 3)):
            text = str(count)
            drawn_text(picture, text, (row, _LEFT - 8 - 3 * len(text)), size=1, colour=_INK)
        return picture


def histogram(
    reader: PixelReader,
    *,
    bins: int = 256,
    lower: float | None = None,
    upper: float | None = None,
    unit_type: str | None = None,
    mask: Mask | None = None,
    progress: SliceProgress | None = None,
) -> Histogram:
    """
    Count how often values occur.

    Args:
        reader: The open image.
        bins: How many bins; at most 65536.
        lower: Where the first bin begins, in the unit; None for the smallest value.
        upper: Where the last bin ends, in the unit; None for the largest value.
        unit_type: What limits and edges are stated in, such as ``Density``; None for raw values.
        mask: Which pixels count; None for all.
        progress: Called with the slices that are done and all there are, perhaps in several passes.

    Returns:
        The counts, as ``numpy.histogram`` gives them for the calibrated values.

    Raises:
        UsageError: There are no bins, or the limits do not rise.
        ImageError: The image has no calibration to the unit.
        NothingToCount: No pixel is a number, or none lies inside the mask.
    """
    import numpy as np

    if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= MOST_BINS:
        raise UsageError(f"A histogram has 1 to {MOST_BINS} bins; got {bins!r}.")
    line = None if unit_type is None else reader.info.calibration(unit_type)
    if lower is not None or upper is not None:
        raw_limits(reader.info, lower, upper, unit_type)  # refuses limits that make no sense
    if lower is None or upper is None:
        summary = statistics(reader, progress, mask=mask)
        summary = summary if line is None else summary.calibrated(line)
        lower, upper = summary.minimum if lower is None else lower, summary.maximum if upper is None else upper
        if lower > upper:
            raise UsageError(f"The histogram would begin at {lower:g} and end at {upper:g}: no value lies between.")
    if lower == upper:
        lower, upper = lower - 0.5, upper + 0.5
    counts = np.zeros(bins, np.int64)
    total = 0
    edges = np.linspace(lower, upper, bins + 1)
    for piece in counted_pieces(reader, mask, progress):
        values = piece.astype(np.float64)
        if line is not None:
            values = line.raw_to_calibrated(values)
        values = values[np.isfinite(values)]
        total += values.size
        counts += np.histogram(values, bins, (lower, upper))[0]
    return Histogram(edges, counts, total - int(counts.sum()), _unit(line))


def _unit(line: Calibration | None) -> str:
    if line is None:
        return "raw"
    return f"{line.unit_type} [{line.unit_name}]" if line.unit_name else line.unit_type
