"""The way of commands and workers to a server: which one, with which token, over which connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.endpoint_file import endpoint_path, running_endpoint
from xfworker.api.composition.file_stores import open_file_store
from xfworker.api.composition.network import transport
from xfworker.api.composition.secret_files import read_secret
from xfworker.api.settings.model import Settings
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError, UsageError
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.services.event_log import EventLog

DEFAULT_DATA = Path("xfworker-data")
"""Where ``xfworker serve`` keeps its data by default; a server there is discovered by itself."""
_AWAITED_SECONDS = 0.5

_log = EventLog("xfworker.worker")


@define(frozen=True)
class ServerAddress:
    """
    A server and the token for it.

    Attributes:
        url: ``https://host:port`` with a path where needed.
        token: The token; never printed.
    """

    url: str
    token: str = field(repr=False)

    @property
    def script_host(self) -> str:
        """The host that scripts get."""
        return Address.read(self.url).stated_host

    @property
    def script_port(self) -> str:
        """The port that scripts get."""
        return str(Address.read(self.url).port)


@define(frozen=True)
class Client:
    """
    A server as a command or a worker sees it.

    Attributes:
        address: Which server it is.
        server: Its records.
        queue: Its job queue.
        files: Its files.
        transport: The connections to it.
    """

    address: ServerAddress
    server: HttpXFServer
    queue: HttpJobQueue
    files: FileStore
    transport: HttpTransport


def awaited_server(named: str | None, settings: Settings, clock: Clock) -> ServerAddress:
    """
    Find the server that a worker is for, as :func:`find_server`; wait for one that was killed and is to come back.

    A server that stops in order removes its endpoint file, so where that is left behind its server is missed.

    Raises:
        UsageError: No server is named and none runs here.
        ConfigurationError: There is no token for it.
    """
    location = named or settings.server.url
    folder = Path(location) if location else DEFAULT_DATA
    if "://" not in location:
        while endpoint_path(folder).is_file() and running_endpoint(folder) is None:
            _log.warning("xfworker.server_awaited", data=str(folder), reason="it ended without stopping in order")
            clock.sleep(_AWAITED_SECONDS)
    return find_server(named, settings)


def find_server(named: str | None, settings: Settings, *, needs_token: bool = True) -> ServerAddress:
    """
    Find the server that a command is for.

    Args:
        named: Its address, or the data folder of one that runs on this computer; by default what the settings say,
            else the server whose data are in ``xfworker-data`` here.
        settings: The settings in force; the token is theirs unless the data folder has it.
        needs_token: Whether there has to be a token.

    Raises:
        UsageError: No server is named and none runs here, or the folder's server does not run.
        ConfigurationError: There is no token for it.
    """
    location = named or settings.server.url
    if "://" in location:
        return ServerAddress(location, server_token(settings) if needs_token else "")
    folder = Path(location) if location else DEFAULT_DATA
    endpoint = running_endpoint(folder)
    if endpoint is not None:
        return ServerAddress(endpoint.url, endpoint.admin_token)
    if location:
        raise UsageError(
            f"{folder} is not an address of a server (https://host:port), and no server runs on that folder"
        )
    raise UsageError(
        "no server is named: give --server with its address or with its data folder, or set server.url in "
        f"xfworker.toml, or start one here with: xfworker serve --data {DEFAULT_DATA}"
    )


@contextmanager
def connected(address: ServerAddress, settings: Settings) -> Iterator[Client]:
    """Give the client of a server; its connections are made when they are first needed and closed at the end."""
    clock = SystemClock()
    link = transport(settings, address.url, address.token, clock)
    files = open_file_store(settings, clock)
    try:
        yield Client(address, HttpXFServer(link), HttpJobQueue(link), files, link)
    finally:
        files.close()
        link.close()


def server_token(settings: Settings) -> str:
    """
    Give the token that the settings hold or name a file of.

    Raises:
        ConfigurationError: There is none, or its file cannot be read.
    """
    if settings.server.token:
        return settings.server.token
    path = settings.server.token_file
    if path is None:
        raise ConfigurationError(
            "there is no token for the server: set the environment variable XFWORKER_SERVER_TOKEN, or "
            "server.token_file in xfworker.toml"
        )
    return read_secret(path, "token")
