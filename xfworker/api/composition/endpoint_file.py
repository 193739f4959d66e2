"""The file that a running server leaves in its data folder, so that programs on the same computer find it."""

import json
import os
import secrets
from pathlib import Path

from attrs import define, field

from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError


@define(frozen=True, kw_only=True)
class ServerEndpoint:
    """
    Where a server is, and how to be its administrator.

    Attributes:
        host: The host to connect to.
        port: The port.
        scheme: ``http`` or ``https``.
        pid: The server's process.
        admin_token: The token that may do everything.
    """

    host: str
    port: int
    scheme: str
    pid: int
    admin_token: str = field(repr=False)

    @property
    def url(self) -> str:
        """The server's address."""
        return str(Address(scheme=self.scheme, host=self.host, port=self.port))


def endpoint_path(data: Path) -> Path:
    """Give the path of the endpoint file in a data folder."""
    return data / "server.json"


def write_endpoint(path: Path, endpoint: ServerEndpoint) -> None:
    """Write the endpoint file, readable by its owner only; it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(
            {
                "host": endpoint.host,
                "port": endpoint.port,
                "scheme": endpoint.scheme,
                "pid": endpoint.pid,
                "admin_token": endpoint.admin_token,
            },
            file,
        )
    partial.replace(path)


def read_endpoint(path: Path) -> ServerEndpoint | None:
    """
    Read an endpoint file, or give ``None`` where there is none.

    Raises:
        ConfigurationError: The file is not an endpoint file.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
        return ServerEndpoint(
            host=str(value["host"]),
            port=int(value["port"]),
            scheme=str(value["scheme"]),
            pid=int(value["pid"]),
            admin_token=str(value["admin_token"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"could not read the server's endpoint file {path}: {error}") from None


def remove_endpoint(path: Path, pid: int) -> None:
    """Remove the endpoint file, if it is still this server's."""
    endpoint = read_endpoint(path)
    if endpoint is not None and endpoint.pid == pid:
        path.unlink(missing_ok=True)
