"""What is kept of an upload that takes several requests, whichever store it is on its way into."""

import json
import re
import time
from typing import Any, Self

from attrs import define, field

from xfworker.adapters.wire.codec import read, write
from xfworker.adapters.wire.files import FileEntry
from xfworker.domain.errors import FileNotInStore
from xfworker.domain.files import FileStat, Resource, parse_resource

_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_MOST_SECONDS = 3600.0


@define(kw_only=True)
class UploadDescription:
    """
    An upload that is under way, or was completed a short while ago.

    Attributes:
        identifier: Its name in URLs.
        resource: Where the file goes.
        size: Its size when complete.
        metadata: The ``Upload-Metadata`` of the client, as it came.
        sha256: The digest that the client promised, if any.
        verified: So many bytes from the start are known to be what the client sent.
        completed: What became of it.
    """

    identifier: str
    resource: Resource
    size: int
    metadata: str = ""
    sha256: str | None = None
    verified: int = 0
    completed: FileStat | None = None

    def to_text(self) -> str:
        """Write what is kept of it; its identifier is the name of the place."""
        return json.dumps(
            {
                "resource": str(self.resource),
                "size": self.size,
                "metadata": self.metadata,
                "sha256": self.sha256,
                "verified": self.verified,
                "completed": None if self.completed is None else write(FileEntry.of_stat(self.completed)),
            }
        )

    @classmethod
    def from_text(cls, identifier: str, text: str | bytes, **place: Any) -> Self:
        """
        Read what :meth:`to_text` wrote.

        Args:
            identifier: Its name.
            text: What was kept.
            **place: What a subclass needs beside: where the upload is.

        Raises:
            ValueError: The text is not JSON.
        """
        fields = json.loads(text)
        completed = fields["completed"]
        return cls(
            identifier=identifier,
            resource=parse_resource(fields["resource"]),
            size=fields["size"],
            metadata=fields["metadata"],
            sha256=fields["sha256"],
            verified=fields["verified"],
            completed=None if completed is None else read(FileEntry, completed, "upload").stat(),
            **place,
        )


def no_such_upload() -> FileNotInStore:
    """Give the error of an upload that is not there."""
    return FileNotInStore("there is no such upload; it may have expired, so begin it again")


def require_identifier(text: str) -> None:
    """
    Refuse what cannot be the identifier of an upload, before it becomes a part of a path.

    Raises:
        FileNotInStore: There is no such upload.
    """
    if not _IDENTIFIER.fullmatch(text):
        raise no_such_upload()


@define
class SweepTimes:
    """When abandoned uploads were looked for: at most once an hour, and four times in an upload's lifetime."""

    _swept_at: float = field(default=0.0, init=False)

    def is_due(self, lifetime_seconds: float) -> bool:
        """Return whether it is time, and begin to wait anew where it is."""
        now = time.monotonic()
        if self._swept_at and now - self._swept_at < min(lifetime_seconds / 4, _MOST_SECONDS):
            return False
        self._swept_at = now
        return True
