"""Writing an image from blocks that come in any order, from several threads or processes."""

from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.losses import losses
from xfworker.ports.image_codec import BlockSink, BlockWriter, ImageFormats
from xfworker.services.images.conversion import check_apart
from xfworker.services.images.derivation import Derived


def write_blocks(
    formats: ImageFormats,
    sources: Iterable[ImageInfo],
    target: Path,
    image: ImageInfo,
    put_all: Callable[[BlockSink], int],
) -> Derived:
    """
    Write an image; it appears when every block of it was put.

    Args:
        formats: The image formats; the target's suffix says which.
        sources: The images that are being read; none of their files is replaced.
        target: The file to write.
        image: What it is to be.
        put_all: Puts all blocks, none twice, and gives how many pixels they had together.

    Raises:
        UnsupportedImage: The format cannot hold such an image, or takes no blocks.
        UsageError: A file of another image would be replaced, or pixels are missing.
    """
    with formats.writer(target, attrs.evolve(image, byte_order="little")) as writer:
        for source in sources:
            check_apart(source, (writer.info.path, *writer.info.files))
        if not isinstance(writer, BlockWriter):
            raise UnsupportedImage(f"{target} is of a format that is not written in blocks.")
        writer.blocks_written(put_all(writer.block_sink()))
    written = formats.describe(writer.info.path)
    return Derived(written, (*losses(image, written), *writer.remarks))
