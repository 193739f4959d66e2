"""Writing an image that is made of another one, block after block."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.losses import losses
from xfworker.ports.image_codec import ImageFormats
from xfworker.services.images.conversion import SliceProgress, check_apart

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]


@attrs.frozen
class Derived:
    """
    An image that was made of another one.

    Attributes:
        info: What its file says of itself.
        losses: What the file does not hold, or holds where other programs do not look, each in one sentence.
    """

    info: ImageInfo
    losses: tuple[str, ...] = ()


def write_derived(
    formats: ImageFormats,
    sources: Iterable[ImageInfo],
    target: Path,
    image: ImageInfo,
    slabs: "Iterable[Pixels]",
    *,
    encoding: str | None = None,
    progress: SliceProgress | None = None,
) -> Derived:
    """
    Write an image from slabs along its slowest axis.

    Args:
        formats: The image formats; the target's suffix says which.
        sources: The images that are being read; none of their files is replaced.
        target: The file to write.
        image: What it is to be.
        slabs: All its pixels, in order.
        encoding: How to store pixels, in the target format's words; None for what suits.
        progress: Called with the slices that are written and all there are.

    Raises:
        UnsupportedImage: The format cannot hold such an image.
        UsageError: A file of another image would be replaced.
    """
    image = attrs.evolve(image, byte_order="little")
    done = 0
    with formats.writer(target, image, encoding=encoding) as writer:
        for source in sources:
            check_apart(source, (writer.info.path, *writer.info.files))
        for slab in slabs:
            writer.write(slab)
            done += len(slab)
            if progress is not None:
                progress(done, image.size[-1])
            del slab  # the next one is made before the name is given away again
    written = formats.describe(writer.info.path)
    return Derived(written, (*losses(image, written), *writer.remarks))
