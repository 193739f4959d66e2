"""What settings must be beyond their types."""

from collections.abc import Iterator

from attrs import fields

from xfworker.api.settings import FilesSettings, HttpSettings, LoggingSettings, Settings, TlsSettings, TransferSettings

Fault = tuple[str, str]
"""The path of a setting and what is wrong with it."""

_LEVELS = ("debug", "info", "warning", "error", "off")
_FORMATS = ("auto", "console", "json")
_TLS_VERSIONS = ("1.2", "1.3")
_MAY_BE_ZERO = frozenset({"backoff_seconds", "patience_seconds"})


def rule_faults(settings: Settings) -> Iterator[Fault]:
    """Give every setting that cannot be."""
    yield from _http_faults(settings.http)
    yield from _transfer_faults(settings.transfers)
    yield from logging_faults(settings.logging)
    yield from _tls_faults(settings.tls)
    yield from _files_faults(settings.files)
    server = settings.server
    if server.url and not server.url.startswith(("https://", "http://")):
        yield "server.url", f"is {server.url!r}; an address starts with https://"
    if server.token and server.token_file is not None:
        yield "server.token_file", "is given beside server.token; give one of them"
    proxy = settings.network.proxy
    if proxy and not proxy.startswith(("http://", "https://")):
        yield "network.proxy", "is no address of a proxy; it looks like http://host:port"
    for host in settings.network.no_proxy:
        if not isinstance(host, str):
            yield "network.no_proxy", f"holds {host!r}, which is no host name"
    for prefix, local in settings.disk.path_map.items():
        if not isinstance(local, str):
            yield "disk.path_map", f"maps {prefix!r} to {local!r}, which is no path"
    for name in settings.images.codecs:
        if not isinstance(name, str):
            yield "images.codecs", f"holds {name!r}, which is no name of an adapter"


def logging_faults(logging: LoggingSettings) -> Iterator[Fault]:
    """Give the settings of logging that cannot be."""
    if logging.level not in _LEVELS:
        yield "logging.level", f"is {logging.level!r}; it is one of {', '.join(_LEVELS)}"
    if logging.format not in _FORMATS:
        yield "logging.format", f"is {logging.format!r}; it is one of {', '.join(_FORMATS)}"


def _http_faults(http: HttpSettings) -> Iterator[Fault]:
    for item in fields(HttpSettings):
        value = getattr(http, item.name)
        if item.name in {"attempts", "connections"}:
            if value < 1:
                yield f"http.{item.name}", f"is {value}; it must be at least 1"
        elif value < 0 or (value == 0 and item.name not in _MAY_BE_ZERO):
            yield f"http.{item.name}", f"is {value}; it must be more than 0"


def _transfer_faults(transfers: TransferSettings) -> Iterator[Fault]:
    for item in fields(TransferSettings):
        value = getattr(transfers, item.name)
        least = 0 if item.name in {"single_put_bytes", "ranges_above_bytes", "fsync"} else 1
        if value < least:
            yield f"transfers.{item.name}", f"is {value}; it must be at least {least}"


def _tls_faults(tls: TlsSettings) -> Iterator[Fault]:
    for name in ("ca_file", "client_certificate", "client_key"):
        path = getattr(tls, name)
        if path is not None and not path.is_file():
            yield f"tls.{name}", f"names {path}, which is no file"
    if tls.client_key is not None and tls.client_certificate is None:
        yield "tls.client_key", "is given without tls.client_certificate"
    if tls.minimum_version not in _TLS_VERSIONS:
        yield "tls.minimum_version", f"is {tls.minimum_version!r}; it is one of {', '.join(_TLS_VERSIONS)}"


def _files_faults(files: FilesSettings) -> Iterator[Fault]:
    if files.kind == "folder" and files.folder is None:
        yield "files.kind", "is 'folder', which needs files.folder"
    if files.kind == "s3" and not files.bucket.startswith("s3://"):
        yield "files.kind", "is 's3', which needs files.bucket, such as s3://bucket/prefix"
    for index, archive in enumerate(files.archives):
        if not isinstance(archive, dict) or not isinstance(archive.get("kind"), str):
            yield "files.archives", f"[{index}] is no table with a kind"
