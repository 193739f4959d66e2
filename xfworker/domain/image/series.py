"""How a series of slices, a file each, is addressed in the file store: by one of its files and a suffix."""

from pathlib import PurePosixPath
from typing import Final

from xfworker.domain.errors import InvalidFilename
from xfworker.domain.files import Resource, require_file

SERIES: Final = ".series"
"""``job_result/3/slice_0001.dcm.series`` is the image of all slices that ``slice_0001.dcm`` is one of."""


def series_member(resource: Resource) -> Resource | None:
    """Give the file that names a series, or ``None`` where a resource is not addressed as a series."""
    name = resource.filename.removesuffix(SERIES)
    if not name or name == resource.filename:
        return None
    return require_file(Resource((*resource.segments[:-1], name)))


def may_be_of_series(filename: str, member: str) -> bool:
    """Return whether a file may be a slice of the series of another one beside it: their suffixes are the same."""
    return PurePosixPath(filename).suffix.lower() == PurePosixPath(member).suffix.lower() and filename[0] != "."


def require_image_folder(resource: Resource) -> None:
    """
    Refuse a folder that cannot be one image: all files of a source.

    Raises:
        InvalidFilename: It is one.
    """
    if len(resource.segments) == 1:
        raise InvalidFilename(f"{resource} is not a folder of one image; name a folder below it")
