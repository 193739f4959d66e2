"""Any image as a volume of voxels (z, y, x), of which boxes are read as cheaply as its format allows."""

from threading import Lock
from typing import TYPE_CHECKING, Any

from xfworker.domain.image.pyramid import Counts
from xfworker.ports.image_codec import BoxReader, PixelReader
from xfworker.services.images.slices import axes_shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


class Volume:
    """
    An open image, seen as a volume; safe for threads.

    Attributes:
        size: Voxels along x, y and z; 1 along an axis that a flat image lacks.
        has_boxes: Whether a box costs no more than itself: pixels are raw. Otherwise its slices are decoded whole.
    """

    def __init__(self, reader: PixelReader) -> None:
        """
        Take an open image, which is closed with this.

        Raises:
            UsageError: It has axes other than those of space.
        """
        axes_shown(reader.info)
        self._reader = reader
        self._lock = Lock()
        self._last: tuple[int, Pixels] | None = None
        self.size: Counts = reader.info.size_3d
        self.has_boxes = isinstance(reader, BoxReader)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of the voxels."""
        import numpy as np

        return np.dtype(self._reader.info.pixel_type.code)

    def box(self, slices: range, rows: range, columns: range) -> "Pixels":
        """
        Read some voxels.

        Args:
            slices: Which along z; they may be in steps.
            rows: Which along y; they may be in steps.
            columns: Which along x; they may be in steps.

        Returns:
            An array of shape ``(z, y, x)``.

        Raises:
            ImageFormatError: The file is shorter or otherwise than its header says.
        """
        import numpy as np

        if isinstance(self._reader, BoxReader):
            whole = range(columns.start, columns[-1] + 1) if columns else columns
            return self._reader.read_box(slices, rows, whole)[:, :, :: columns.step]
        box: Pixels = np.empty((len(slices), len(rows), len(columns)), self.dtype)
        y, x = (slice(part.start, part.stop, part.step) for part in (rows, columns))
        for plane, z in zip(box, slices, strict=True):
            plane[...] = self._slice(z)[y, x]
        return box

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _slice(self, z: int) -> "Pixels":
        """Decode a slice; the last one is kept, as its other tiles are asked for next."""
        with self._lock:
            if self._last is None or self._last[0] != z:
                info = self._reader.info
                columns, rows, _ = self.size
                pixels = self._reader.read(z, z + 1) if info.axes == "XYZ" else self._reader.read(0, info.size[-1])
                self._last = z, pixels.reshape(rows, columns)
            return self._last[1]
