"""How servers are trusted and reached: the tables ``[tls]`` and ``[network]`` of the settings."""

import ipaddress
from pathlib import Path

from attrs import define, field


@define(frozen=True, kw_only=True, eq=False, repr=False)
class TlsOptions:
    """
    How servers are trusted, and how this side shows who it is.

    Attributes:
        ca_file: PEM file of the authorities to trust instead of the system's.
        client_certificate: PEM file of this client's certificate, for servers that ask for one.
        client_key: PEM file of its key, where that is not in the same file.
        minimum_version: The least version of TLS, ``1.2`` or ``1.3``.
    """

    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    minimum_version: str = "1.2"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class ProxyOptions:
    """
    The way to servers.

    Attributes:
        proxy: ``http://host:port`` of a proxy for ``https`` servers; a password in it is never shown. By default what
            ``HTTPS_PROXY`` says; an empty string is none.
        no_proxy: What is reached without the proxy: host names with all names below them (``lab.example``, also
            written ``.lab.example`` or ``*.lab.example``), addresses and networks (``10.0.0.0/8``), each with a port
            where only that one is meant (``lab.example:8443``), or ``*`` for everything. By default what ``NO_PROXY``
            says.
    """

    proxy: str | None = field(default=None, repr=False)
    no_proxy: list[str] = field(factory=list)

    def proxy_for(self, host: str, port: int = 443) -> str | None:
        """Give the proxy by which a host is reached at a port, or ``None``."""
        name = host.lower().rstrip(".")
        is_direct = any(_covers(skipped.strip().lower(), name, port) for skipped in self.no_proxy)
        return None if is_direct else self.proxy or None


def _covers(pattern: str, host: str, port: int) -> bool:
    if pattern == "*":
        return True
    network = _network(pattern)
    if network is None:
        name, colon, digits = pattern.rpartition(":")
        if colon and digits.isascii() and digits.isdigit():
            if int(digits) != port:
                return False
            pattern = name
            network = _network(name.strip("[]"))
    if network is not None:
        address = _address(host)
        return address is not None and address in network
    name = pattern.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> "ipaddress.IPv4Network | ipaddress.IPv6Network | None":
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
