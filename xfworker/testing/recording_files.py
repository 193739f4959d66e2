"""A file store that records its requests, and fails or is slow where a test wants it to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from attrs import define

from xfworker.domain.files import AuthorizationToken, FileStat, Folder, Resource
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore, Progress
from xfworker.testing.faults import Faults
from xfworker.testing.requests import Request, RequestLog

Answer = TypeVar("Answer")


@define(frozen=True, kw_only=True)
class RecordingFiles:
    """
    A file store behind which another one does the work.

    Attributes:
        files: The store that answers.
        faults: What goes wrong.
        requests: Where requests are recorded.
        clock: Is waited on where the link is slow.
    """

    files: FileStore
    faults: Faults
    requests: RequestLog
    clock: Clock

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.stat`."""
        return self._ask("stat", resource, lambda: self.files.stat(token, resource))

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.download`."""
        return self._ask(
            "download",
            resource,
            lambda: self.files.download(token, resource, target, progress=progress),
            lambda stat: stat.size,
        )

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.upload`."""
        return self._ask(
            "upload",
            resource,
            lambda: self.files.upload(token, source, resource, progress=progress),
            lambda stat: stat.size,
        )

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """See :meth:`xfworker.ports.file_store.FileStore.open_read`."""
        return self._ask(
            "open_read", resource, lambda: self.files.open_read(token, resource, offset=offset, length=length)
        )

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        """See :meth:`xfworker.ports.file_store.FileStore.direct_access_path`."""
        return self._ask(
            "direct_access_path",
            resource,
            lambda: self.files.direct_access_path(token, resource, for_writing=for_writing),
        )

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        """See :meth:`xfworker.ports.file_store.FileStore.register`."""
        return self._ask("register", resource, lambda: self.files.register(token, resource, size=size, sha256=sha256))

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        """See :meth:`xfworker.ports.file_store.FileStore.list`."""
        return self._ask("list", folder, lambda: self.files.list(token, folder))

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        """See :meth:`xfworker.ports.file_store.FileStore.delete`."""
        return self._ask("delete", resource, lambda: self.files.delete(token, resource))

    def close(self) -> None:
        """Do nothing: whoever made the store closes it."""

    def _ask(
        self,
        operation: str,
        resource: Resource,
        ask: Callable[[], Answer],
        size_of: Callable[[Answer], int] = lambda _: 0,
    ) -> Answer:
        target = str(resource)
        try:
            self.faults.meet(operation, target)
            answer = ask()
        except Exception as error:
            self.requests.add(Request(operation=operation, target=target, error=type(error).__name__))
            raise
        size = size_of(answer)
        if seconds := self.faults.seconds(operation, size):
            self.clock.sleep(seconds)
        self.requests.add(Request(operation=operation, target=target, bytes=size))
        return answer
