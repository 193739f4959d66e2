"""Addresses of servers, and how they are reached."""

from typing import TYPE_CHECKING, Any

from attrs import fields

from xfworker.api.settings.model import Settings
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.clock import Clock

if TYPE_CHECKING:
    from xfworker.adapters.http.pool import NetworkOptions
    from xfworker.adapters.http.transport import HttpLimits, HttpTransport
    from xfworker.adapters.transfer.limits import TransferLimits


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


def _values(settings: Any) -> dict[str, Any]:
    return {item.name: getattr(settings, item.name) for item in fields(type(settings))}
