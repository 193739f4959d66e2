"""Pools of connections to a server: TLS as the settings say, by way of a proxy where there is one."""

import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.util import make_headers

from xfworker.adapters.http.connection import PlainConnection, TlsConnection, with_write_limit
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.domain.address import Address
from xfworker.domain.errors import ConfigurationError

TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
"""The versions of TLS that can be demanded."""
_PROXY_PORT = 3128


def open_pool(
    address: Address,
    tls: TlsOptions,
    proxy: ProxyOptions,
    *,
    connections: int,
    block_bytes: int,
    write_seconds: float,
) -> urllib3.HTTPConnectionPool:
    """
    Make a pool; nothing is connected yet.

    Args:
        address: The server. Plain HTTP never goes by a proxy.
        tls: How it is trusted.
        proxy: By which proxy it is reached.
        connections: How many connections are kept alive.
        block_bytes: How much is read and sent at a time.
        write_seconds: How long each send may take.

    Raises:
        ConfigurationError: A certificate file cannot be used, or the proxy's address is malformed.
    """
    options: dict[str, Any] = {"maxsize": connections, "block": False, "blocksize": block_bytes}
    host, port = address.host, address.port
    if address.scheme == "http":
        plain = urllib3.HTTPConnectionPool(host, port, **options)
        plain.ConnectionCls = with_write_limit(PlainConnection, write_seconds)
        return plain
    options["ssl_context"] = tls_context(tls)
    by_way_of = proxy.proxy_for(host, port)
    secure: urllib3.HTTPConnectionPool
    if by_way_of is None:
        secure = urllib3.HTTPSConnectionPool(host, port, **options)
    else:
        secure = _proxy_manager(by_way_of, options).connection_from_host(host, port, "https")
    secure.ConnectionCls = with_write_limit(TlsConnection, write_seconds)
    return secure


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """
    Give how certificates are checked and shown.

    Raises:
        ConfigurationError: A file cannot be read or holds no certificate or key.
    """
    ca_file = tls.ca_file
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ConfigurationError(
            f"could not read the certificate authorities in {ca_file}: {error.strerror or error}"
        ) from None
    context.minimum_version = TLS_VERSIONS[tls.minimum_version]
    if tls.client_certificate is not None:
        try:
            context.load_cert_chain(tls.client_certificate, tls.client_key)
        except OSError as error:
            raise ConfigurationError(
                f"could not use the client certificate {tls.client_certificate}: {error.strerror or error}"
            ) from None
    return context


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    parts = urlsplit(proxy)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("the proxy's address looks like http://host:port; this one does not")
    headers = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = make_headers(proxy_basic_auth=login)
    address = Address(scheme=parts.scheme, host=host, port=port or _PROXY_PORT)
    return urllib3.ProxyManager(str(address), proxy_headers=headers, **options)
