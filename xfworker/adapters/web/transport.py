"""How the server is reached: which proxies it believes, and that browsers come back over TLS only."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from attrs import define
from granian.utils.proxies import wrap_asgi_with_proxy_headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from xfworker.domain.address import is_loopback
from xfworker.domain.errors import ConfigurationError

HSTS_DAYS = 365
"""For how long browsers come back over TLS only, where an installation does not say otherwise."""

_HSTS = b"strict-transport-security"


@define(frozen=True, kw_only=True)
class TransportOptions:
    """
    How the server is reached.

    Attributes:
        trusted_proxies: Addresses and networks of reverse proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto``
            are believed; everybody else's are not.
        image_links: Whether there are links to images that hold a token, for programs that cannot send one elsewhere.
        hsts_days: For how long browsers that came over TLS come back over TLS only; 0 for no such answer.
    """

    trusted_proxies: tuple[str, ...] = ()
    image_links: bool = True
    hsts_days: int = HSTS_DAYS


def checked_proxies(addresses: Sequence[str]) -> tuple[str, ...]:
    """
    Give addresses and networks of proxies as they are compared.

    Raises:
        ConfigurationError: One is neither; it would never match, and so be without effect.
    """
    for address in addresses:
        try:
            ipaddress.ip_network(address)
        except ValueError as error:
            raise ConfigurationError(
                f"{address[:80]!a} is not the address or network of a proxy ({error}); give --trusted-proxy as "
                "10.0.0.7 or 10.0.0.0/24"
            ) from None
    return tuple(addresses)


def reached_by(app: ASGIApp, options: TransportOptions) -> ASGIApp:
    """Put an application behind the proxies that are believed, and say over TLS that it is to stay so."""
    inner = _StrictTransport(app, options.hsts_days) if options.hsts_days else app
    if not options.trusted_proxies:
        return inner
    wrapped: ASGIApp = wrap_asgi_with_proxy_headers(inner, list(options.trusted_proxies))
    return wrapped


class _StrictTransport:
    """ASGI middleware: adds the header field of HSTS (RFC 6797) to what is answered over TLS."""

    def __init__(self, app: ASGIApp, days: int) -> None:
        self._app = app
        self._field = (_HSTS, b"max-age=%d; includeSubDomains" % (days * 24 * 3600))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For a browser all servers on this computer have one name, and most of them speak no TLS.
        if scope["type"] != ScopeType.HTTP or scope["scheme"] != "https" or is_loopback(_host(scope)):
            await self._app(scope, receive, send)
            return

        async def with_field(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._field]
            await send(message)

        await self._app(scope, receive, with_field)


def _host(scope: Any) -> str:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    # An IPv6 address stands in brackets, and only then has a colon of its own.
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
