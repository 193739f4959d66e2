"""
What a lab can choose: which adapters are used and how.

The classes are plain attrs classes with defaults that work, so that a script that needs no settings pays nothing for
them. :mod:`xfworker.api.settings.file` fills them from a file and from environment variables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

PREFIX = "XFWORKER_"
"""What the names of all environment variables with settings begin with."""
LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 50}
"""The levels of events, numbered as in the standard library, whose import a script should not wait for."""
SECRETS = frozenset({"server.token", "files.secret_key", "network.proxy"})
"""Settings whose values are never shown."""


@define(frozen=True, kw_only=True)
class ServerSettings:
    """
    The XF Server.

    Attributes:
        kind: ``http``; ``embedded`` for one of this process's own; ``memory`` for one that forgets; or the name of an
            adapter (entry point ``xfworker.adapters``, ``server.NAME``).
        url: Where it is, for the command line and workers; scripts are told by their environment.
        token: The token for it, for the command line and workers; never shown.
        token_file: A file that holds the token, in place of ``token``.
        allow_plain_http: Whether ``http`` may go further than this computer.
        data: The data folder of an embedded server; a temporary one where not set.
        inputs: The inputs of the job that an embedded or memory server makes for a script that is started by hand.
        options: What an adapter of somebody else's is given.
    """

    kind: str = "http"
    url: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    allow_plain_http: bool = False
    data: Path | None = None
    inputs: dict[str, Any] = field(factory=dict)
    options: dict[str, Any] = field(factory=dict, repr=False)


@define(frozen=True, kw_only=True)
class FilesSettings:
    """
    The file store.

    Attributes:
        kind: ``fss`` for the server's own, ``folder``, ``s3``, ``memory``, or the name of an adapter (entry point
            ``xfworker.adapters``, ``files.NAME``).
        folder: The folder on a shared disk, for ``folder``.
        direct_access_root: What the server calls that folder in direct-access paths; its own path where not set.
        direct_writes: Whether outputs may be written into that folder directly, to be registered only.
        bucket: ``s3://bucket/prefix``, for ``s3``.
        endpoint: The S3 server, where it is not Amazon's.
        region: The bucket's region.
        access_key: The credentials' name; from ``AWS_ACCESS_KEY_ID`` where not set.
        secret_key: The credentials' secret; from ``AWS_SECRET_ACCESS_KEY`` where not set; never shown.
        archives: Further stores that are only read, as tables of these settings, looked into in this order for files
            that the store itself does not hold.
        options: What an adapter of somebody else's is given.
    """

    kind: str = "fss"
    folder: Path | None = None
    direct_access_root: str | None = None
    direct_writes: bool = False
    bucket: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    archives: list[dict[str, Any]] = field(factory=list, repr=False)
    options: dict[str, Any] = field(factory=dict, repr=False)


@define(frozen=True, kw_only=True)
class TlsSettings:
    """
    How servers are trusted, and how this side shows who it is.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of the system's.
        client_certificate: PEM file of this client's certificate.
        client_key: PEM file of its key, where that is not in the same file.
        minimum_version: The least version of TLS, ``1.2`` or ``1.3``.
    """

    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    minimum_version: str = "1.2"


@define(frozen=True, kw_only=True)
class NetworkSettings:
    """
    The way to servers.

    Attributes:
        proxy: ``http://host:port`` of a proxy for https servers; a password in it is never shown.
        no_proxy: Hosts that are reached without it: names, and domains with a dot before them.
    """

    proxy: str | None = field(default=None, repr=False)
    no_proxy: list[str] = field(factory=list)


@define(frozen=True, kw_only=True)
class HttpSettings:
    """
    How long to wait and how often to try.

    Attributes:
        connect_seconds: For a connection to be made.
        read_seconds: For the next bytes of an answer.
        write_seconds: For the next bytes of a body to be taken.
        attempts: How often a request that may be repeated is sent.
        backoff_seconds: The wait before the second attempt; it doubles.
        patience_seconds: How long in all to follow a server's wish to slow down.
        connections: How many connections to a server are kept alive.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    write_seconds: float = 60.0
    attempts: int = 4
    backoff_seconds: float = 0.25
    patience_seconds: float = 120.0
    connections: int = 8


@define(frozen=True, kw_only=True)
class TransferSettings:
    """
    How transfers are cut into pieces; see :class:`~xfworker.adapters.transfer.limits.TransferLimits`.

    Attributes:
        block_bytes: How much is read and written at a time.
        blocks: How many blocks are on their way between network, disk and digest.
        single_put_bytes: Files up to this size are stored by one request.
        request_bytes: The most bytes of an upload that one request carries.
        ranges_above_bytes: With so much or more missing, a download may use several connections.
        connections_per_file: How many at most.
        attempts: How often a transfer may break off without getting any further.
        fsync: Whether a downloaded file must outlive a power cut as soon as it has its name.
    """

    block_bytes: int = 1 << 20
    blocks: int = 4
    single_put_bytes: int = 4 << 20
    request_bytes: int = 256 << 20
    ranges_above_bytes: int = 64 << 20
    connections_per_file: int = 4
    attempts: int = 5
    fsync: bool = False


@define(frozen=True, kw_only=True)
class DiskSettings:
    r"""
    The local disks.

    Attributes:
        temp_directory: Where working directories are made; ``XFTEMP`` comes before it, the system's folder after it.
        path_map: What prefixes of direct-access paths (``\\server\share``) are called here.
    """

    temp_directory: Path | None = None
    path_map: dict[str, str] = field(factory=dict)


@define(frozen=True, kw_only=True)
class ImagesSettings:
    """
    Image formats.

    Attributes:
        codecs: Further formats: names of adapters (entry point ``xfworker.adapters``, ``images.NAME``).
    """

    codecs: list[str] = field(factory=list)


@define(frozen=True, kw_only=True)
class LoggingSettings:
    """
    The events that this package writes to a script's or worker's log.

    Attributes:
        level: The least level: ``debug``, ``info``, ``warning``, ``error``, or ``off`` for none.
        format: ``console`` for people, ``json`` for programs, ``auto`` for whoever is looking.
    """

    level: str = "info"
    format: str = "auto"


@define(frozen=True, kw_only=True)
class Settings:
    """Everything that can be chosen."""

    server: ServerSettings = field(factory=ServerSettings)
    files: FilesSettings = field(factory=FilesSettings)
    tls: TlsSettings = field(factory=TlsSettings)
    network: NetworkSettings = field(factory=NetworkSettings)
    http: HttpSettings = field(factory=HttpSettings)
    transfers: TransferSettings = field(factory=TransferSettings)
    disk: DiskSettings = field(factory=DiskSettings)
    images: ImagesSettings = field(factory=ImagesSettings)
    logging: LoggingSettings = field(factory=LoggingSettings)


@define(frozen=True, kw_only=True)
class LoadedSettings:
    """
    The settings in force and where they are from.

    Attributes:
        settings: The settings.
        file: The file that was read, or ``None``.
        sources: For each setting (``http.read_seconds``) that is not a default: the file and line, or the variable.
        overruled: For each setting of the file that a variable comes before: where in the file it stands.
        ignored: Environment variables that look like settings but are none, and for each what may have been meant.
    """

    settings: Settings
    file: Path | None = None
    sources: Mapping[str, str] = field(factory=dict)
    overruled: Mapping[str, str] = field(factory=dict)
    ignored: Mapping[str, str] = field(factory=dict)
