"""What settings must be beyond their types."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from attrs import asdict, fields

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.network_options import ProxyOptions, TlsOptions
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.api.settings.model import LOG_LEVELS, FilesSettings, LoggingSettings, ServerSettings, Settings

Violation = tuple[str, str]
"""The path of a setting and what is wrong with it."""

_FORMATS = ("auto", "console", "json")
_TLS_VERSIONS = ("1.2", "1.3")
_GROUP_ACCESS = ("none", "read", "write")
_MOST_SECONDS = 100_000_000
"""Some three years. Systems have a limit for timeouts; this is below it."""
_MAY_BE_ZERO = frozenset({"backoff_seconds", "patience_seconds"})


def rule_violations(settings: Settings) -> Iterator[Violation]:
    """Give every setting whose value is not allowed, and why."""
    yield from _http_violations(settings.http)
    yield from _transfer_violations(settings.transfers)
    yield from _logging_violations(settings.logging)
    yield from _tls_violations(settings.tls)
    yield from _files_violations(settings.files)
    yield from _server_violations(settings.server)
    yield from _network_violations(settings.network)
    for prefix, local in settings.disk.path_map.items():
        if not isinstance(local, str):
            yield "disk.path_map", f"maps {prefix!r} to {local!r}, which is not a path"
    for name in settings.images.codecs:
        if not isinstance(name, str):
            yield "images.codecs", f"holds {name!r}, which is not a name of an adapter"


def _logging_violations(logging: LoggingSettings) -> Iterator[Violation]:
    if logging.level not in LOG_LEVELS:
        yield "logging.level", f"is {logging.level!r}; it is one of {', '.join(LOG_LEVELS)}"
    if logging.format not in _FORMATS:
        yield "logging.format", f"is {logging.format!r}; it is one of {', '.join(_FORMATS)}"


def _server_violations(server: ServerSettings) -> Iterator[Violation]:
    if server.url and (violation := _address_violation(server.url)):
        yield "server.url", violation
    if server.token and server.token_file is not None:
        yield "server.token_file", "is set beside server.token; set one of them"
    if not all("!" <= character <= "~" for character in server.token):
        yield "server.token", "holds a blank or another character that no token has"


def _network_violations(network: ProxyOptions) -> Iterator[Violation]:
    proxy = network.proxy
    if proxy and _parts(proxy) is None:
        yield "network.proxy", "is not an address of a proxy; it looks like http://host:port"
    for host in network.no_proxy:
        if not isinstance(host, str):
            yield "network.no_proxy", f"holds {host!r}, which is not a host name"


def _http_violations(http: HttpLimits) -> Iterator[Violation]:
    for item in fields(HttpLimits):
        value = getattr(http, item.name)
        if item.name in {"attempts", "connections", "answer_mib"}:
            if value < 1:
                yield f"http.{item.name}", f"is {value}; it must be at least 1"
        elif value < 0 or (value == 0 and item.name not in _MAY_BE_ZERO):
            yield f"http.{item.name}", f"is {value}; it must be more than 0"
        elif not value <= _MOST_SECONDS:  # so written, it holds for what is not a number (nan) as well
            yield f"http.{item.name}", f"is {value}; it must be a number up to {_MOST_SECONDS:,}"


def _transfer_violations(transfers: TransferLimits) -> Iterator[Violation]:
    for item in fields(TransferLimits):
        value = getattr(transfers, item.name)
        least = 0 if item.name in {"single_put_bytes", "ranges_above_bytes", "fsync"} else 1
        if value < least:
            yield f"transfers.{item.name}", f"is {value}; it must be at least {least}"


def _tls_violations(tls: TlsOptions) -> Iterator[Violation]:
    for name in ("ca_file", "client_certificate", "client_key"):
        path = getattr(tls, name)
        if path is not None and not path.is_file():
            yield f"tls.{name}", f"names {path}, which is not a file"
    if tls.client_key is not None and tls.client_certificate is None:
        yield "tls.client_key", "is set without tls.client_certificate"
    if tls.minimum_version not in _TLS_VERSIONS:
        yield "tls.minimum_version", f"is {tls.minimum_version!r}; it is one of {', '.join(_TLS_VERSIONS)}"


def _files_violations(files: FilesSettings) -> Iterator[Violation]:
    yield from _store_violations("files", files.kind, asdict(files, recurse=False))
    if files.secret_key and files.secret_key_file is not None:
        yield "files.secret_key_file", "is set beside files.secret_key; set one of them"
    if files.endpoint and (violation := _address_violation(files.endpoint)):
        yield "files.endpoint", violation
    for index, archive in enumerate(files.archives):
        path = f"files.archives[{index}]"
        kind = archive.get("kind") if isinstance(archive, dict) else None
        if not isinstance(kind, str):
            yield path, "is not a table with a kind"
            continue
        yield from _store_violations(path, kind, archive)
        if archive.get("endpoint") and (violation := _address_violation(str(archive["endpoint"]))):
            yield f"{path}.endpoint", violation


def _store_violations(path: str, kind: str, store: Mapping[str, Any]) -> Iterator[Violation]:
    if kind == "folder" and not store.get("folder"):
        yield f"{path}.kind", f"is 'folder', which needs {path}.folder"
    group_access = store.get("group_access", "none")
    if group_access not in _GROUP_ACCESS:
        yield f"{path}.group_access", f"is {group_access!r}; it is one of {', '.join(_GROUP_ACCESS)}"
    if kind == "s3" and not str(store.get("bucket", "")).startswith("s3://"):
        yield f"{path}.kind", f"is 's3', which needs {path}.bucket, such as s3://bucket/prefix"


def _address_violation(url: str) -> str | None:
    parts = _parts(url)
    if parts is None:
        # It is not quoted: what is not an address may still hold a password.
        return "is not an address; it looks like https://host:port"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password; an address has none"
    return "has a question or a fragment behind it; an address has none" if parts.query or parts.fragment else None


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is not a port
    except ValueError:
        return None
    well_formed = parts.scheme in {"http", "https"} and parts.hostname and not any(map(str.isspace, url))
    return parts if well_formed else None
