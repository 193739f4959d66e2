"""The SNS server: a catalogue of measurements and their ISQ files."""

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ContextManager, Dict, Iterator

from xfworker.api.facade.connection import Connection, connected
from xfworker.api.facade.sns_connection import SnsConnection, SnsConnectionParams
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError, UsageError
from xfworker.domain.job_arguments import SERVER_AUTH, JobArguments, read_job_arguments
from xfworker.ports.clock import Clock
from xfworker.ports.sns_server import SnsServer

CONFIG_KEY = "default_sns_server"
"""The key of the server's global configuration that says where the default SNS server stands."""

_MAX_PORT = 65535


def get_xf_default_sns_server_connection_params(conn: Connection) -> Dict[str, Any] | None:
    """
    Give what is needed to connect to the default SNS server, from the server's global configuration.

    Returns:
        What :func:`get_sns_server_connection` takes, or ``None`` where there is no default SNS server.
    """
    session = connected(conn).session
    config = session.server.global_config().get(CONFIG_KEY)
    if config is None:
        return None
    if not isinstance(config, dict):
        raise ConfigurationError(f"the server's configuration of {CONFIG_KEY} is not an object but {config!r:.80}")
    from xfworker.api.composition.network import server_url

    public = {key: value for key, value in config.items() if key != "token"}
    url = public.get("url")
    if isinstance(url, str) and url.startswith("/"):
        # A server need not know what it is called: the address is below the XF Server's own.
        public["url"] = server_url(session.arguments) + url

    def opener() -> SnsServer:
        return _open(public, config.get("token"), session.arguments, session.clock)

    return SnsConnectionParams(public, opener)


def get_sns_server_connection(sns_conn_params: Dict[str, Any]) -> ContextManager[Connection]:
    """
    Open a connection to an SNS server for a ``with`` block.

    The connection has the methods ``measurements(patient_index=None, measurement_index=None)`` and
    ``download(measurement_index, path)``.

    Args:
        sns_conn_params: From :func:`get_xf_default_sns_server_connection_params`; or ``{"url": "https://host:port/sns/v1",
            "token": ...}``, ``{"host": ..., "port": ..., "token": ...}``, or ``{"folder": ...}`` for a folder of ISQ
            files. Without a token the script's own is used where the server is the script's
            own.

    Raises:
        UsageError: The parameters say neither of these.
    """
    if sns_conn_params is None:
        raise UsageError(
            "get_sns_server_connection: there is no default SNS server; name one, {'url': ..., 'token': ...}"
        )
    if not isinstance(sns_conn_params, dict):
        raise UsageError(f"get_sns_server_connection takes a dict of parameters, not {type(sns_conn_params).__name__}")
    return _connection(sns_conn_params)


@contextmanager
def _connection(params: Dict[str, Any]) -> Iterator[Connection]:
    if isinstance(params, SnsConnectionParams):
        sns = params.opener()
    else:
        arguments = read_job_arguments(os.environ) if SERVER_AUTH in os.environ else None
        sns = _open(params, params.get("token"), arguments, None)
    connection = SnsConnection(sns)
    try:
        yield connection
    finally:
        connection.close()


def _open(params: Dict[str, Any], token: Any, arguments: JobArguments | None, clock: Clock | None) -> SnsServer:
    if params.get("folder"):
        from xfworker.api.composition.measurements import folder_catalogue

        return folder_catalogue(Path(params["folder"]))
    from xfworker.adapters.clock import SystemClock
    from xfworker.adapters.http.sns_server import HttpSnsServer
    from xfworker.api.composition.network import server_url, transport
    from xfworker.api.settings.file import load_settings

    url = _url(params)
    clock = clock or SystemClock()
    # The script's own token goes to its own server only.
    if token is None and arguments is not None and _origin(url) == _origin(server_url(arguments)):
        token = arguments.server_auth
    return HttpSnsServer(transport(load_settings().settings, url, token, clock), clock, base="")


def _origin(url: str) -> str | None:
    try:
        return Address.read(url).origin
    except ConfigurationError:
        return None


def _url(params: Dict[str, Any]) -> str:
    if isinstance(params.get("url"), str):
        return str(params["url"])
    from xfworker.adapters.http.sns_server import BASE

    host, port = params.get("host"), params.get("port")
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if isinstance(host, str) and isinstance(port, int) and 0 < port <= _MAX_PORT:
        with suppress(ValueError):
            return f"{Address.of_host(host, port)}{BASE}"
    raise UsageError(
        "an SNS server is named by 'url', by 'host' and 'port', or by 'folder'; keys given: "
        f"{', '.join(map(str, params)) or 'none'}"
    )
