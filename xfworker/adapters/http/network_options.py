"""How servers are trusted and reached: the tables ``[tls]`` and ``[network]`` of the settings."""

from pathlib import Path

from attrs import define, field


@define(frozen=True, kw_only=True)
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


@define(frozen=True, kw_only=True)
class ProxyOptions:
    """
    The way to servers.

    Attributes:
        proxy: ``http://host:port`` of a proxy for ``https`` servers; a password in it is never shown.
        no_proxy: Hosts that are reached without the proxy: names, and domains with a dot before them.
    """

    proxy: str | None = field(default=None, repr=False)
    no_proxy: list[str] = field(factory=list)

    def proxy_for(self, host: str) -> str | None:
        """Give the proxy by which a host is reached, or ``None``."""
        name = host.lower().rstrip(".")
        for skipped in self.no_proxy:
            pattern = skipped.lower()
            if name == pattern.lstrip(".") or (pattern.startswith(".") and name.endswith(pattern)):
                return None
        return self.proxy
