"""
What can be chosen: which adapters are used and how. What is chosen for an adapter is the adapter's own class.

The classes are plain attrs classes with defaults that work, so that a script that needs no settings pays little for
them: making ``==`` and ``repr`` for all of them would take as long as the rest of their import, and nobody needs it.
:mod:`xfworker.api.settings.file` fills them from a file and from environment variables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.adapters.transfer.limits import TransferLimits

PREFIX = "XFWORKER_"
"""What the names of all environment variables with settings begin with."""
LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 50}
"""The levels of events, numbered as in the standard library, whose import a script should not wait for."""
SECRETS = frozenset({"server.token", "files.secret_key", "network.proxy"})
"""Settings whose values are never shown."""


@define(frozen=True, kw_only=True, eq=False, repr=False)
class ServerSettings:
    """
    The XF Server.

    Attributes:
        kind: ``http``; ``embedded`` for one of this process's own; ``memory`` for one that keeps nothing; ``genuine``
            for what the genuine ``xfworkerutil`` on this computer serves; or the name of an adapter (entry point
            ``xfworker.adapters``, ``server.NAME``).
        url: Where it is, for the command line and workers; scripts get it from their environment.
        token: The token for it, for the command line and workers; never shown.
        token_file: A file that holds the token, in place of ``token``.
        allow_plain_http: Whether ``http`` may go further than this computer.
        data: The data folder of an embedded server; a temporary one where not set.
        inputs: The inputs of the job that an embedded or memory server makes for a script that is started by hand.
        options: The arguments of another package's adapter; of ``genuine``: ``module`` and ``key_map``.
    """

    kind: str = "http"
    url: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    allow_plain_http: bool = False
    data: Path | None = None
    inputs: dict[str, Any] = field(factory=dict)
    options: dict[str, Any] = field(factory=dict, repr=False)


@define(frozen=True, kw_only=True, eq=False, repr=False)
class FilesSettings:
    """
    The file store.

    Attributes:
        kind: ``fss`` for the server's own, ``folder``, ``s3``, ``memory``, or the name of an adapter (entry point
            ``xfworker.adapters``, ``files.NAME``).
        folder: The folder on a shared disk, for ``folder``.
        direct_access_root: What the server calls that folder in direct-access paths; its own path where not set.
        direct_writes: Whether outputs may be written into that folder directly, to be registered only.
        group_access: What the folder's group may do with its files, whatever the umask: ``none``, ``read`` or
            ``write``; others than the owner and the group may nothing.
        bucket: ``s3://bucket/prefix``, for ``s3``.
        endpoint: The S3 server, where it is not Amazon's.
        region: The bucket's region.
        access_key: The credentials' name; from ``AWS_ACCESS_KEY_ID`` where not set.
        secret_key: The credentials' secret; from ``AWS_SECRET_ACCESS_KEY`` where not set; never shown.
        secret_key_file: A file that holds the secret, in place of ``secret_key``.
        archives: Further stores that are only read, as tables of these settings, looked into in this order for files
            that the store itself does not hold.
        options: The arguments of another package's adapter.
    """

    kind: str = "fss"
    folder: Path | None = None
    direct_access_root: str | None = None
    direct_writes: bool = False
    group_access: str = "write"
    bucket: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    secret_key_file: Path | None = None
    archives: list[dict[str, Any]] = field(factory=list, repr=False)
    options: dict[str, Any] = field(factory=dict, repr=False)


@define(frozen=True, kw_only=True, eq=False, repr=False)
class DiskSettings:
    r"""
    The local disks.

    Attributes:
        temp_directory: Where working directories are made; ``XFTEMP`` comes before it, the system's folder after it.
        path_map: What prefixes of direct-access paths (``\\server\share``) are called here.
    """

    temp_directory: Path | None = None
    path_map: dict[str, str] = field(factory=dict)


@define(frozen=True, kw_only=True, eq=False, repr=False)
class ImagesSettings:
    """
    Image formats.

    Attributes:
        codecs: Further formats: names of adapters (entry point ``xfworker.adapters``, ``images.NAME``).
    """

    codecs: list[str] = field(factory=list)


@define(frozen=True, kw_only=True, eq=False, repr=False)
class LoggingSettings:
    """
    The events that this package writes to a script's or worker's log.

    Attributes:
        level: The least level: ``debug``, ``info``, ``warning``, ``error``, or ``off`` for none.
        format: ``console`` for people, ``json`` for programs, ``auto`` for whoever is looking.
    """

    level: str = "info"
    format: str = "auto"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class WorkerSettings:
    """
    Workers.

    Attributes:
        fork_server: Whether scripts are started as forks of a process that has imported what they import, on Linux and
            where that makes no difference to them; else each is started anew.
        control_groups: Whether scripts are kept to their parts of the machine by Linux's control groups, where a worker
            may make them.
    """

    fork_server: bool = True
    control_groups: bool = True


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Settings:
    """Everything that can be chosen."""

    server: ServerSettings = field(factory=ServerSettings)
    files: FilesSettings = field(factory=FilesSettings)
    tls: TlsOptions = field(factory=TlsOptions)
    network: ProxyOptions = field(factory=ProxyOptions)
    http: HttpLimits = field(factory=HttpLimits)
    transfers: TransferLimits = field(factory=TransferLimits)
    disk: DiskSettings = field(factory=DiskSettings)
    images: ImagesSettings = field(factory=ImagesSettings)
    logging: LoggingSettings = field(factory=LoggingSettings)
    worker: WorkerSettings = field(factory=WorkerSettings)


@define(frozen=True, kw_only=True, eq=False, repr=False)
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
