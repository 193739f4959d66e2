"""Taking a scan over into OMNI without copying a voxel: a document that points into the file."""

from typing import Any

from xfworker.domain.errors import UnsupportedImage
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.omni_document import RAW, document_of


def pointing_document(info: ImageInfo) -> dict[str, Any]:
    """
    Give the OMNI document of an image file that stays as it is.

    Raw pixels are named by their byte offset, so that every reader of OMNI finds them; encoded ones by the format.

    Raises:
        UnsupportedImage: The pixels are spread over a folder that a document beside it cannot name.
    """
    if info.pixels_path.parent != info.path.parent:
        raise UnsupportedImage(f"The pixels of {info.path} are not beside it; convert it instead.")
    raw = info.pixels_offset is not None
    return document_of(
        info,
        pixels_filename=info.pixels_path.name if raw else info.path.name,
        offset=info.pixels_offset or 0,
        encoding=RAW if raw else info.format,
        additional_pixels_filenames=[path.name for path in info.files if path not in (info.pixels_path, info.path)],
    )
