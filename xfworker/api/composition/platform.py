"""The composition root of the platform: which store, which clock, which secret, which web application."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.s3.location import BucketLocation
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.files import SERIAL_KEYS
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.record_store import RecordStore
from xfworker.ports.served_files import ResumableUploads
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.platform import Platform

if TYPE_CHECKING:
    from litestar import Litestar, Router
    from litestar.types import ControllerRouterHandler

    from xfworker.adapters.disk.file_modes import GroupAccess
    from xfworker.adapters.disk.file_store import FolderFileStore
    from xfworker.adapters.s3.served_files import S3ServedFiles
    from xfworker.adapters.web.transport import TransportOptions
    from xfworker.ports.known_passwords import KnownPasswords
    from xfworker.services.images.viewing import ViewedImages

    StoredFiles = FolderFileStore | S3ServedFiles
    """What a server can offer as its files."""


MEMORY = "memory:"
"""The address of a database that ends with the process, for trials."""


@define(frozen=True, kw_only=True)
class PlatformStorage:
    """
    Where a platform keeps what it keeps.

    Attributes:
        data: The folder of its secret, and by default of its records and files.
        database: Address of the database, ``postgresql://...`` or ``sqlite:///...``; by default SQLite in ``data``.
        files: The folder or the bucket of the files; by default ``data/files``.
        direct_access_root: What scripts can call the folder of the files, where they reach the same disk.
        direct_writes: Whether scripts may also write there directly.
        group_access: What the group of that folder may do with its files; by default nothing, with direct access read
            them, with direct writes also write them.
        durable: Whether what was answered outlives a power cut; it always outlives the end of the server's process.
        sns: A folder of ISQ files to serve as a catalogue of measurements.
        breached_passwords: A file of stolen passwords, by hash, which no account may have.
    """

    data: Path
    database: str | None = None
    files: Path | BucketLocation | None = None
    direct_access_root: str | None = None
    direct_writes: bool = False
    group_access: "GroupAccess | None" = None
    durable: bool = True
    sns: Path | None = None
    breached_passwords: Path | None = None

    @property
    def secret_path(self) -> Path:
        """The file of the secret that signs tokens."""
        return self.data / "secret"

    @property
    def chosen_group_access(self) -> "GroupAccess":
        """What the group may do with the files."""
        from xfworker.adapters.disk.file_modes import GroupAccess

        if self.group_access is not None:
            return self.group_access
        if self.direct_access_root is None:
            return GroupAccess.NONE
        return GroupAccess.WRITE if self.direct_writes else GroupAccess.READ

    @property
    def files_path(self) -> Path | None:
        """The folder of the files, or ``None`` where they are in a bucket."""
        return None if isinstance(self.files, BucketLocation) else self.files or self.data / "files"


PlatformPlace = PlatformStorage
"""The earlier name of :class:`PlatformStorage`."""


def memory_platform(
    clock: Clock | None = None, options: PlatformOptions | None = None, *, files: FileStore | None = None
) -> Platform:
    """Compose a platform that keeps its records in memory, for tests; ``files`` is where outputs are looked for."""
    from xfworker.adapters.memory.records import MemoryRecordStore
    from xfworker.adapters.memory.token_signer import MemoryTokenSigner

    clock = clock or SystemClock()
    return Platform(MemoryRecordStore(), clock, MemoryTokenSigner(clock), options, files=files)


@contextmanager
def opened_platform(
    storage: PlatformStorage, options: PlatformOptions | None = None, *, files: FileStore | None = None
) -> Iterator[Platform]:
    """
    Compose a platform over what a storage location holds, and close it at the end.

    Raises:
        ConfigurationError: The folder cannot be made or read, or the database cannot be opened.
    """
    from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
    from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
    from xfworker.adapters.jwt.secret_file import secrets_in
    from xfworker.adapters.jwt.token_signer import JwtTokenSigner
    from xfworker.api.composition.server_processes import is_postgresql

    known_passwords = _known_passwords(storage)
    make_data_folder(storage)
    _require_records_of_files(storage)
    clock = SystemClock()
    signing = secrets_in(storage.secret_path)
    signer = JwtTokenSigner(signing.current, clock, former=[(one.secret, one.until) for one in signing.former])
    if storage.sns is not None:
        options = _with_catalogue(options or PlatformOptions())
    records = opened_records(storage)
    _require_whole(records)
    over_network = isinstance(storage.files, BucketLocation) or is_postgresql(storage.database)
    options = evolve(options or PlatformOptions(), files_may_wait=over_network)
    platform = Platform(
        records,
        clock,
        signer,
        options,
        hasher=Argon2PasswordHasher(),
        authenticators=SealedAuthenticatorSecrets(signing.current, former=signing.opening),
        known_passwords=known_passwords,
        password_words=socket.gethostname().split("."),
        files=files,
    )
    try:
        yield platform
    finally:
        platform.close()


def _known_passwords(storage: PlatformStorage) -> "list[KnownPasswords]":
    from xfworker.adapters.passwords.breached_file import BreachedPasswords
    from xfworker.adapters.passwords.common import CommonPasswords

    stolen = storage.breached_passwords
    return [CommonPasswords(), *([] if stolen is None else [BreachedPasswords(stolen)])]


def _require_whole(records: RecordStore) -> None:
    """
    Refuse to serve what is only part of what another server keeps.

    Raises:
        ConfigurationError: A migration into the database has not ended.
    """
    with records.transaction(write=False) as transaction:
        if transaction.entry("migration") is None:
            return
    records.close()
    raise ConfigurationError(
        "the database holds part of a migration that has not ended; go on with it: xfworker migrate, with the same "
        "arguments as before"
    )


def _with_catalogue(options: PlatformOptions) -> PlatformOptions:
    from xfworker.adapters.web.sns_routes import MOUNT

    # An address without a host is below the server's own.
    return evolve(options, global_config={"default_sns_server": {"url": MOUNT}, **options.global_config})


def opened_records(storage: PlatformStorage) -> RecordStore:
    """
    Open the records of a storage location, with the schema of this version.

    Raises:
        ConfigurationError: The database cannot be opened.
    """
    make_data_folder(storage)
    if storage.database == MEMORY:
        from xfworker.adapters.memory.records import MemoryRecordStore

        return MemoryRecordStore()
    try:
        from xfworker.adapters.sql.engine import open_engine, sqlite_url
        from xfworker.adapters.sql.export import export_to_folder
        from xfworker.adapters.sql.records import SqlRecordStore
        from xfworker.adapters.sql.schema import upgrade
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"keeping records needs the package {error.name!r}; install it with: pip install 'xfworker[sql]'"
        ) from None
    engine = open_engine(storage.database or sqlite_url(storage.data / "records.sqlite"), durable=storage.durable)
    upgrade(engine, lambda revision: export_to_folder(engine, storage.data / "backups", f"schema-{revision}"))
    return SqlRecordStore(engine)


def _require_records_of_files(storage: PlatformStorage) -> None:
    """
    Refuse to begin an empty database beside files: new records would get the serials of those that own the files.

    Raises:
        ConfigurationError: The database file is gone, and files of records are there, or it cannot be found out.
    """
    if storage.database is not None or storage.files_path is None:
        return
    sources = [storage.files_path / source for source in SERIAL_KEYS]
    try:
        if (storage.data / "records.sqlite").exists():
            return
        left = next((source for source in sources if source.is_dir() and any(source.iterdir())), None)
    except OSError as error:
        raise ConfigurationError(
            f"could not look into the data folder {storage.data}: {error.strerror or error}"
        ) from None
    if left is not None:
        raise ConfigurationError(
            f"{storage.data} holds no records.sqlite, but {left} holds files of its records; put the database back, "
            "restore a backup (xfworker restore), or move the files away to begin anew"
        )


def make_data_folder(storage: PlatformStorage) -> None:
    """
    Make the data folder where it is not there.

    Raises:
        ConfigurationError: It cannot be made.
    """
    # Whoever may read the files where they lie has to come through this folder, but not to look around in it.
    shared = storage.files is None and storage.chosen_group_access != "none"
    mode = 0o710 if shared else 0o700
    try:
        if not storage.data.is_dir():
            storage.data.mkdir(parents=True, mode=mode)
            storage.data.chmod(mode)  # which the umask may have narrowed
    except OSError as error:
        raise ConfigurationError(f"could not make the data folder {storage.data}: {error.strerror or error}") from None


def agreed_settings(storage: PlatformStorage, files: "StoredFiles") -> dict[str, str]:
    """Give what all servers of one database must have alike beside their options, without telling any secret."""
    from xfworker import __version__
    from xfworker.adapters.jwt.secret_file import secrets_in
    from xfworker.adapters.jwt.token_signer import fingerprint

    mark = fingerprint(secrets_in(storage.secret_path).current)
    kind = "folder with the identity" if isinstance(storage.files_path, Path) else "bucket"
    return {
        "version": __version__,
        "secret": f"that of fingerprint {mark} (the file 'secret' of --data)",
        "files": f"the {kind} {files.identity} (--files)",
    }


def file_store(storage: PlatformStorage) -> "StoredFiles":
    """
    Compose the file store of a storage location.

    Raises:
        ConfigurationError: The bucket is not there, or something that it needs.
        AuthenticationFailed: The bucket does not accept the credentials.
        ServerUnreachable: The object store does not answer.
    """
    if isinstance(storage.files, BucketLocation):
        return _bucket(storage.files)
    from xfworker.adapters.disk.file_store import FolderFileStore

    assert storage.files_path is not None
    return FolderFileStore(
        storage.files_path,
        direct_access_root=storage.direct_access_root,
        direct_writes=storage.direct_writes,
        group_access=storage.chosen_group_access,
        fsync=storage.durable,
    )


def _bucket(location: BucketLocation) -> "S3ServedFiles":
    try:
        from xfworker.adapters.s3.served_bucket import open_served_bucket

        files = open_served_bucket(location)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"files in a bucket need the package {error.name!r}; install it with: pip install 'xfworker[s3]'"
        ) from None
    files.require_reachable()
    return files


def web_app(
    platform: Platform,
    files: "StoredFiles",
    *,
    sns: Path | None = None,
    images: "ViewedImages | None" = None,
    transport: "TransportOptions | None" = None,
) -> "tuple[Litestar, Callable[[], None]]":
    """
    Compose the web application: records, files, the page, and the catalogue of a folder of measurements where one is
    named; beside it, give what ends its endless answers.

    Args:
        platform: The platform.
        files: The file store.
        sns: The folder of measurements.
        images: What shows the images of the file store, where they are to be shown.
        transport: How the server is reached.

    Raises:
        ConfigurationError: The folder of measurements is not there.
    """
    from xfworker.adapters.disk.file_store import FolderFileStore
    from xfworker.adapters.page.app import page_parts, page_router
    from xfworker.adapters.web.app import create_app
    from xfworker.adapters.web.fss.service import FileStorageService, fss_handler
    from xfworker.adapters.web.password_work import PasswordWork

    passwords = PasswordWork()
    links = transport is None or transport.image_links
    viewers = [] if images is None else _image_routers(platform, images, links=links)
    parts = page_parts(platform, files, passwords.run)
    page = page_router(parts, also=viewers[1:])
    service = FileStorageService(files, _uploads(files), platform)
    routes: list[ControllerRouterHandler] = [fss_handler(service), page, *viewers[:1]]
    if sns is not None:
        from xfworker.adapters.web.sns_routes import sns_router
        from xfworker.api.composition.measurements import folder_catalogue

        routes.append(sns_router(folder_catalogue(sns), platform))
    on_startup, on_shutdown = [], []
    if isinstance(files, FolderFileStore):
        from xfworker.adapters.disk.later_digests import LaterDigests

        later = LaterDigests(files, is_busy=lambda: service.under_way > 0)
        on_startup, on_shutdown = [later.start], [later.stop]
    app = create_app(
        platform,
        routes=routes,
        passwords=passwords,
        on_startup=on_startup,
        on_shutdown=on_shutdown,
        transport=transport,
    )
    return app, parts.live.stop


def _uploads(files: "StoredFiles") -> "ResumableUploads[Any, Any]":
    from xfworker.adapters.disk.file_store import FolderFileStore

    if isinstance(files, FolderFileStore):
        from xfworker.adapters.disk.partial_uploads import PartialUploads

        return PartialUploads(files)
    from xfworker.adapters.s3.partial_uploads import S3PartialUploads

    return S3PartialUploads(files)


def _image_routers(platform: Platform, images: "ViewedImages", *, links: bool) -> list["Router"]:
    """Give the routes of images: those of the API, and those of the page, whose sessions they have."""
    from xfworker.adapters.images.gobj_drawing import write_drawn_contours
    from xfworker.adapters.page.session import AnyRequest, signed_in
    from xfworker.adapters.web.contour_routes import contour_router
    from xfworker.adapters.web.image_routes import (
        ImageRights,
        TileWork,
        image_api,
        image_router,
        rights_of_principal,
    )

    def rights(request: AnyRequest) -> ImageRights:
        return rights_of_principal(platform, signed_in(request))

    work = TileWork()
    for_page = image_router("/slices", images, rights, work=work, links=links)
    contours = contour_router("/contours", images, write_drawn_contours, rights, work)
    return [image_api(images, platform, work, links=links), for_page, contours]
