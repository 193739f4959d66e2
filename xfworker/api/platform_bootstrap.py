"""The composition root of the platform: which store, which clock, which secret, which web application."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from xfworker.adapters.process.clock import SystemClock
from xfworker.domain.errors import ConfigurationError
from xfworker.ports.clock import Clock
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform

if TYPE_CHECKING:
    from litestar import Litestar

    from xfworker.adapters.disk.file_store import FolderFileStore


@define(frozen=True, kw_only=True)
class PlatformPlace:
    """
    Where a platform keeps what it keeps.

    Attributes:
        data: The folder of its secret, and by default of its records and files.
        database: Address of the database, ``postgresql://...`` or ``sqlite:///...``; by default SQLite in ``data``.
        files: The folder of the files; by default ``data/files``.
        direct_access_root: What scripts can call the folder of the files, where they reach the same disk.
    """

    data: Path
    database: str | None = None
    files: Path | None = None
    direct_access_root: str | None = None

    @property
    def secret_path(self) -> Path:
        """The file of the secret that signs tokens."""
        return self.data / "secret"

    @property
    def files_path(self) -> Path:
        """The folder of the files."""
        return self.files or self.data / "files"


def memory_platform(clock: Clock | None = None, options: PlatformOptions | None = None) -> Platform:
    """Compose a platform that keeps everything in memory, for tests."""
    from xfworker.adapters.memory.records import MemoryRecordStore
    from xfworker.adapters.memory.token_signer import MemoryTokenSigner

    clock = clock or SystemClock()
    return Platform(MemoryRecordStore(), clock, MemoryTokenSigner(clock), options)


@contextmanager
def opened_platform(place: PlatformPlace, options: PlatformOptions | None = None) -> Iterator[Platform]:
    """
    Compose a platform over what a place holds, and close it at the end.

    Raises:
        ConfigurationError: The folder cannot be made or read, or the database cannot be opened.
    """
    from xfworker.adapters.jwt.token_signer import JwtTokenSigner, secret_in
    from xfworker.adapters.memory.records import MemoryRecordStore

    try:
        place.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"could not make the data folder {place.data}: {error.strerror or error}") from None
    clock = SystemClock()
    signer = JwtTokenSigner(secret_in(place.secret_path), clock)
    platform = Platform(MemoryRecordStore(), clock, signer, options)
    try:
        yield platform
    finally:
        platform.close()


def file_store(place: PlatformPlace) -> "FolderFileStore":
    """Compose the file store of a place."""
    from xfworker.adapters.disk.file_store import FolderFileStore

    return FolderFileStore(place.files_path, direct_access_root=place.direct_access_root)


def web_app(platform: Platform, files: "FolderFileStore") -> "Litestar":
    """Compose the web application: records and files."""
    from xfworker.adapters.web.app import create_app
    from xfworker.adapters.web.fss.service import fss_handler

    return create_app(platform, routes=[fss_handler(files, platform)])
