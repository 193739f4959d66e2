"""Addresses of servers, and how they are reached."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from xfworker.adapters.http.network_options import ProxyOptions
from xfworker.api.settings.model import Settings
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.clock import Clock

if TYPE_CHECKING:
    from xfworker.adapters.http.transport import HttpTransport


def server_url(arguments: JobArguments) -> str:
    """
    Give the server's address; see :meth:`.Address.of_host`.

    Raises:
        ConfigurationError: The host is malformed.
    """
    host = arguments.server_host
    try:
        return str(Address.of_host(host, int(arguments.server_port)))
    except ValueError:
        raise ConfigurationError(
            f"The server host {host!r} is malformed; it is a host name, with https:// and a path where needed, and the "
            "port has a variable of its own (XF_SERVER_PORT)."
        ) from None


def proxy_options(network: ProxyOptions, environment: Mapping[str, str]) -> ProxyOptions:
    """Give the way to servers: what the settings say, and where they say nothing the environment's usual variables."""
    if network.proxy is not None:
        return network

    def variable(name: str) -> str:
        return environment.get(name.lower()) or environment.get(name) or ""

    skipped = network.no_proxy or [host for host in variable("NO_PROXY").replace(",", " ").split() if host]
    return evolve(network, proxy=variable("HTTPS_PROXY") or None, no_proxy=skipped)


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
        limits=settings.http,
        tls=settings.tls,
        proxy=proxy_options(settings.network, os.environ),
        allow_plain_http=settings.server.allow_plain_http,
        clock=clock,
    )
