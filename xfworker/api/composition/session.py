"""
The one place that picks adapters: puts together what a task script works with.

Everything can be passed in instead. Nothing is read from the environment before :func:`session` is called.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import fields

from xfworker.api.composition.deferred_file_store import DeferredFileStore
from xfworker.api.composition.provided_session import current_session
from xfworker.api.script_log import write_script_log
from xfworker.api.settings.file import load_settings
from xfworker.api.settings.model import Settings
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JOB_SERIAL, JobArguments, read_job_arguments
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.filesystem import Filesystem
from xfworker.ports.xf_server import XFServer
from xfworker.services.script.session import Session

if TYPE_CHECKING:
    from xfworker.adapters.http.pool import NetworkOptions
    from xfworker.adapters.http.transport import HttpLimits, HttpTransport
    from xfworker.adapters.transfer.limits import TransferLimits

TEMPORARY_FOLDER = "XFTEMP"
OWN_SERVERS = ("http", "embedded", "memory")
"""XF Servers that need no registration."""
_BY_HAND = ("embedded", "memory")


def session(
    settings: Settings | None = None,
    *,
    arguments: JobArguments | None = None,
    server: XFServer | None = None,
    files: FileStore | None = None,
    filesystem: Filesystem | None = None,
    clock: Clock | None = None,
) -> Session:
    """
    Put together what a task script works with.

    Where the settings choose an ``embedded`` or ``memory`` server and no environment says which job it is, the script
    was started by hand: a job is made for it on a server of its own.

    Called without arguments inside :func:`.provided_session` it gives that session.

    Args:
        settings: Which adapters to use and how; by default what the settings file and the environment say.
        arguments: Which job it is; by default what ``XF_JOB_SERIAL``, ``XF_SERVER_HOST``, ``XF_SERVER_PORT`` and
            ``XF_SERVER_AUTH`` say.
        server: The XF Server instead of the one that the arguments name.
        files: The file store instead of the one that the settings name.
        filesystem: The local disks instead of this machine's.
        clock: The time instead of this machine's.

    Returns:
        The session; connections are made when they are first needed.

    Raises:
        ConfigurationError: An environment variable or a setting is missing or malformed; the message names it.
    """
    if all(part is None for part in (settings, arguments, server, files, filesystem, clock)):
        provided = current_session()
        if provided is not None:
            return provided
    chosen = load_settings().settings if settings is None else settings
    add_codecs(chosen)
    if arguments is None and server is None and chosen.server.kind in _BY_HAND and JOB_SERIAL not in os.environ:
        from xfworker.api.composition.own_server import session_by_hand

        return session_by_hand(chosen, files=files, filesystem=filesystem, clock=clock)
    who = read_job_arguments(os.environ) if arguments is None else arguments
    write_script_log(chosen.logging, job_serial=who.job_serial)
    if clock is None:
        from xfworker.adapters.clock import SystemClock

        clock = SystemClock()
    return Session(
        server=_server(chosen, who, clock) if server is None else server,
        files=_deferred(chosen, clock) if files is None else files,
        filesystem=local_filesystem(chosen, os.environ) if filesystem is None else filesystem,
        clock=clock,
        arguments=who,
    )


def server_url(arguments: JobArguments) -> str:
    """
    Give the server's address.

    The host may state the scheme and a path before it (``https://lab.example/xamflow``). Without a scheme it is
    ``http`` for this computer and ``https`` for every other.

    Raises:
        ConfigurationError: The host is malformed.
    """
    from xfworker.adapters.http.transport import is_loopback

    host = arguments.server_host
    stated = "://" in host
    try:
        parts = urlsplit(host if stated else f"//{_bracketed(host)}")
        name, own_port = parts.hostname, parts.port
    except ValueError:
        name, own_port = None, None
    if not name or own_port is not None or parts.query or parts.fragment:
        raise ConfigurationError(
            f"The server host {host!r} is malformed; it is a host name, with https:// and a path where needed, and the "
            "port has a variable of its own (XF_SERVER_PORT)."
        )
    scheme = parts.scheme if stated else "http" if is_loopback(name) else "https"
    return f"{scheme}://{_bracketed(name)}:{arguments.server_port}{parts.path.rstrip('/')}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def add_codecs(settings: Settings) -> None:
    """
    Let the image formats that the settings name take part.

    Raises:
        ConfigurationError: One is not installed, or cannot be made.
    """
    if not settings.images.codecs:
        return
    from xfworker.adapters.images.registry import image_formats
    from xfworker.api.composition.adapter_registry import make_adapter

    for name in settings.images.codecs:
        image_formats().add(make_adapter("images", name, {}, own=(), setting="images.codecs"))


def local_filesystem(settings: Settings, environment: Mapping[str, str]) -> Filesystem:
    """Give this machine's disks; ``XFTEMP`` says where working directories are made."""
    from xfworker.adapters.disk.filesystem import LocalFilesystem

    named = environment.get(TEMPORARY_FOLDER, "").strip()
    return LocalFilesystem(Path(named) if named else settings.disk.temp_directory, settings.disk.path_map)


def _server(settings: Settings, arguments: JobArguments, clock: Clock) -> XFServer:
    if settings.server.kind not in OWN_SERVERS:
        from xfworker.api.composition.adapter_registry import make_adapter

        options = {"arguments": arguments, **settings.server.options}
        server: XFServer = make_adapter("server", settings.server.kind, options, own=OWN_SERVERS, setting="server.kind")
        return server
    from xfworker.adapters.http.xf_server import HttpXFServer

    return HttpXFServer(transport(settings, server_url(arguments), arguments.server_auth, clock))


def transport(settings: Settings, url: str, token: str, clock: Clock) -> "HttpTransport":
    """
    Give the connections to a server.

    Raises:
        ConfigurationError: The address is malformed, or a setting forbids it.
    """
    from xfworker.adapters.http.transport import HttpTransport

    return HttpTransport(
        url,
        token=token,
        limits=http_limits(settings),
        network=network_options(settings),
        allow_plain_http=settings.server.allow_plain_http,
        clock=clock,
    )


def http_limits(settings: Settings) -> "HttpLimits":
    """Give how long HTTP waits and how often it tries."""
    from xfworker.adapters.http.transport import HttpLimits

    return HttpLimits(**_values(settings.http))


def network_options(settings: Settings) -> "NetworkOptions":
    """Give how servers are reached and trusted."""
    from xfworker.adapters.http.pool import NetworkOptions

    tls = settings.tls
    return NetworkOptions(
        ca_file=tls.ca_file,
        client_certificate=tls.client_certificate,
        client_key=tls.client_key,
        minimum_tls=tls.minimum_version,
        proxy=settings.network.proxy,
        no_proxy=tuple(settings.network.no_proxy),
    )


def transfer_limits(settings: Settings) -> "TransferLimits":
    """Give how transfers are cut into pieces."""
    from xfworker.adapters.transfer.limits import TransferLimits

    return TransferLimits(**_values(settings.transfers))


def _deferred(settings: Settings, clock: Clock) -> FileStore:
    store: FileStore = DeferredFileStore(lambda: file_store(settings, clock))
    return store


def file_store(settings: Settings, clock: Clock) -> FileStore:
    """
    Give the file store that the settings choose, with its archives behind it.

    Raises:
        ConfigurationError: A setting is missing or malformed, or an adapter is not installed.
    """
    from xfworker.api.composition.file_stores import open_file_store

    return open_file_store(settings, clock)


def _values(settings: Any) -> dict[str, Any]:
    return {item.name: getattr(settings, item.name) for item in fields(type(settings))}
