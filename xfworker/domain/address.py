"""Addresses of servers: scheme, host, port and the path that is before all others."""

import ipaddress
from urllib.parse import urlsplit

from attrs import define

from xfworker.domain.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


@define(frozen=True, kw_only=True)
class Address:
    """
    Where a server is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an IP address, without brackets.
        port: The port.
        path: What is before all paths where the server sits behind another (``/xamflow``), or nothing.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def read(cls, url: str) -> "Address":
        """
        Read ``https://host:port/path``; without a port it is the scheme's own.

        Raises:
            ConfigurationError: It is not such an address, or holds a user name; it is not shown, as it may hold a
                password.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in _PORTS or not host or parts.username is not None:
            raise ConfigurationError("a server's address looks like https://host:port; this one does not")
        return cls(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=parts.path.rstrip("/"))

    @classmethod
    def of_host(cls, host: str, port: int) -> "Address":
        """
        Put together an address whose host and port are stated apart, as scripts get them.

        The host may state the scheme and a path (``https://lab.example/xamflow``). Without a scheme it is ``http`` for
        this computer and ``https`` for every other.

        Raises:
            ValueError: The host is malformed, or states a port as well.
        """
        stated = "://" in host
        parts = urlsplit(host if stated else f"//{_bracketed(host)}")
        if not parts.hostname or parts.port is not None or parts.query or parts.fragment:
            raise ValueError(host)
        scheme = parts.scheme if stated else _assumed_scheme(parts.hostname)
        return cls(scheme=scheme, host=parts.hostname, port=port, path=parts.path.rstrip("/"))

    @property
    def stated_host(self) -> str:
        """The host as :meth:`of_host` takes it, with scheme and path only where those are not what it assumes."""
        if self.scheme == _assumed_scheme(self.host) and not self.path:
            return self.host
        return f"{self.scheme}://{_bracketed(self.host)}{self.path}"

    @property
    def at(self) -> str:
        """Host and port."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a token is good for."""
        return f"{self.scheme}://{self.at}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this computer's own, so that what is sent there leaves no wire."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def is_loopback(host: str) -> bool:
    """Whether a host is this computer, so that what is sent there leaves no wire."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _assumed_scheme(host: str) -> str:
    return "http" if is_loopback(host) else "https"


def _bracketed(host: str) -> str:
    """Write an IPv6 address as addresses hold it: its colons must not be taken for the one before the port."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
