"""
The file that a running server leaves in its data folder, so that programs on the same computer find it.

Beside it the server holds a lock, which the system frees however the server ends. Only the lock says whether the server
still runs: the file outlives a crash, and the number of its process may be that of any other by then.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from attrs import define, field

from xfworker.adapters.process.file_lock import try_lock
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError
from xfworker.services.files_in_use import when_free

_LOCK_SECONDS = 2.0
"""Programs that look whether a server runs hold the lock for a moment; a server that was killed is gone after one."""
_LOCK_STEP_SECONDS = 0.05


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


@contextmanager
def server_lock(data: Path) -> Iterator[bool]:
    """
    Hold the lock of a data folder's server; give whether that was possible, which it is where no other server runs.

    Raises:
        ConfigurationError: The lock file cannot be made.
    """
    with _opened_lock(data) as lock_file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not (is_held := try_lock(lock_file)) and time.monotonic() < deadline:
            time.sleep(_LOCK_STEP_SECONDS)
        yield is_held


def running_endpoint(data: Path) -> ServerEndpoint | None:
    """
    Give the endpoint of the server that runs on a data folder, or ``None`` where none runs.

    Raises:
        ConfigurationError: The endpoint file is not one, or cannot be read.
    """
    endpoint = read_endpoint(endpoint_path(data))
    if endpoint is None:
        return None
    with _opened_lock(data) as lock_file:
        return None if try_lock(lock_file) else endpoint


def _opened_lock(data: Path) -> BinaryIO:
    path = data / "server.lock"
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise ConfigurationError(f"could not open the server's lock file {path}: {error.strerror or error}") from None


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
    when_free(lambda: partial.replace(path))


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
