"""
What a lab can choose: which adapters are used and how.

The classes are plain attrs classes with defaults that work, so that a script that needs no settings pays nothing for
them. :mod:`xfworker.api.settings_file` fills them from a file and from environment variables.
"""

from pathlib import Path

from attrs import define, field

SECRETS = frozenset({"server.token"})
"""Settings whose values are never shown."""


@define(frozen=True, kw_only=True)
class ServerSettings:
    """
    The XF Server.

    Attributes:
        kind: ``http``, or the name of an adapter from an entry point.
        url: Where it is, for the command line and workers; scripts are told by their environment.
        token: The token for it, for the command line and workers; never shown.
        token_file: A file that holds the token, in place of ``token``.
        allow_plain_http: Whether ``http`` may go further than this computer.
    """

    kind: str = "http"
    url: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    allow_plain_http: bool = False


@define(frozen=True, kw_only=True)
class FilesSettings:
    """
    The file store.

    Attributes:
        kind: ``fss``, or the name of an adapter from an entry point.
    """

    kind: str = "fss"


@define(frozen=True, kw_only=True)
class TlsSettings:
    """
    How servers are trusted.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of the system's.
    """

    ca_file: Path | None = None


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
    http: HttpSettings = field(factory=HttpSettings)
    disk: DiskSettings = field(factory=DiskSettings)
    logging: LoggingSettings = field(factory=LoggingSettings)
