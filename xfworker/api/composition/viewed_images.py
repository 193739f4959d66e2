"""Composes what shows images: formats, the folder of their pyramids, the thread that builds them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xfworker.api.composition.platform import StoredFiles
    from xfworker.ports.local_files import LocalFiles
    from xfworker.services.images.viewing import ViewedImages

CACHE_GIB: Final = 50.0
"""What copies of images for viewing may take on the disk, unless stated otherwise."""


@contextmanager
def viewed_images(files: "StoredFiles", cache: Path, *, limit_gib: float = CACHE_GIB) -> "Iterator[ViewedImages]":
    """
    Compose what shows the images of a file store, and end it behind the block.

    Images are read where they lie; those of a bucket are fetched beside their pyramids first, with half of the room.

    Args:
        files: The file store.
        cache: The folder of pyramids; it, and that of copies beside it, may be removed whenever no server runs.
        limit_gib: What they may take, in GiB.

    Raises:
        ConfigurationError: A codec that the settings name is not installed.
    """
    from xfworker.adapters.bricks.folder import BrickFolder
    from xfworker.adapters.disk.file_store import FolderFileStore
    from xfworker.adapters.disk.local_files import FolderLocalFiles
    from xfworker.adapters.process.thread_priority import lower_own_priority
    from xfworker.api.composition.image_formats import session_formats
    from xfworker.api.settings.file import load_settings
    from xfworker.services.images.preparation import ImagePreparation
    from xfworker.services.images.viewing import ViewedImages

    with ExitStack() as closing:
        limit = int(limit_gib * 2**30)
        if isinstance(files, FolderFileStore):
            local: LocalFiles = FolderLocalFiles(files)
        else:
            from xfworker.adapters.s3.local_copies import LocalCopies

            limit //= 2
            local = copies = LocalCopies(files, cache.with_name(f"{cache.name}-of-bucket"), limit_bytes=limit)
            closing.callback(copies.close)
        images = ViewedImages(
            local,
            session_formats(load_settings().settings),
            BrickFolder(cache, limit_bytes=limit),
            ImagePreparation(lower_own_priority),
        )
        closing.callback(images.close)
        yield images
