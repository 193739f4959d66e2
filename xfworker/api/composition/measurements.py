"""Catalogues of measurements in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xfworker.adapters.sns.folder_catalogue import FolderSnsCatalogue


def folder_catalogue(folder: Path) -> "FolderSnsCatalogue":
    """
    Compose the catalogue of a folder of ISQ files.

    Raises:
        ConfigurationError: The folder is not there.
    """
    from xfworker.adapters.images.isq import IsqCodec
    from xfworker.adapters.sns.folder_catalogue import FolderSnsCatalogue

    return FolderSnsCatalogue(folder, IsqCodec())
