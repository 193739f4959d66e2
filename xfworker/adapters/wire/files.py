"""Messages of the file storage service."""

from datetime import datetime
from typing import Annotated, ClassVar

from attrs import asdict, define

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Count, Keywords
from xfworker.domain.errors import FileError
from xfworker.domain.filenames import check_filename
from xfworker.domain.files import FileStat, Folder, parse_resource

Time = Annotated[str, Keywords(format="date-time")]
Sha256 = Annotated[str, Keywords(pattern="^[0-9a-f]{64}$")]


@define(frozen=True, kw_only=True)
class FileEntry(Message):
    """What is said of a file."""

    sparse: ClassVar[bool] = True

    resource: str
    size: Count
    sha256: str | None = None
    etag: str | None = None
    direct_access_path: str | None = None
    sample_sha256: str | None = None
    xxh3: str | None = None
    modified_at: Time | None = None

    def stat(self) -> FileStat:
        """
        Give what is said.

        Raises:
            FileError: The time is not a time.
            InvalidFilename: The resource is wrong.
        """
        try:
            moment = None if self.modified_at is None else datetime.fromisoformat(self.modified_at)
        except ValueError:
            raise FileError(f"{self.resource}: modified_at is not a time: {self.modified_at!r:.60}") from None
        return FileStat(**{**asdict(self), "resource": parse_resource(self.resource), "modified_at": moment})

    @classmethod
    def of_stat(cls, stat: FileStat) -> "FileEntry":
        """Give the message of what is said of a file."""
        moment = None if stat.modified_at is None else stat.modified_at.isoformat()
        return cls.of(stat, resource=str(stat.resource), modified_at=moment)


@define(frozen=True, kw_only=True)
class Listing(Message):
    """What a folder holds."""

    files: list[FileEntry]
    folders: list[str]

    @classmethod
    def of_folder(cls, folder: Folder) -> "Listing":
        return cls(files=[FileEntry.of_stat(stat) for stat in folder.files], folders=list(folder.folders))

    def folder(self) -> Folder:
        """
        Give the folder.

        Raises:
            FileError: A time is not a time.
            InvalidFilename: A resource or the name of a folder is wrong.
        """
        for name in self.folders:
            check_filename(name, what="the name of a folder")
        return Folder(files=tuple(entry.stat() for entry in self.files), folders=tuple(self.folders))


@define(frozen=True, kw_only=True)
class Registration(Message):
    """A file that was written into the store's folder directly."""

    resource: str
    size: Count
    sha256: Sha256
