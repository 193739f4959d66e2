"""The pixels of pictures (PNG, JPEG, ...), so that pictures can be compared by what they show."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]
else:
    Pixels = Any

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
"""The suffixes of files that are taken for pictures; the content decides whether they are."""


def read_bitmap(path: Path) -> Pixels | None:
    """
    Give the pixels of a picture, shape ``(y, x, 4)`` (red, green, blue, opacity), or ``(y, x)`` for 16 bits of grey.

    Returns:
        The pixels, or ``None`` for a file that is not a picture or cannot be read as one.
    """
    if path.suffix.lower() not in SUFFIXES:
        return None
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture if picture.mode.startswith(("I", "F")) else picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
