"""What settings must be beyond their types."""

from collections.abc import Iterator

import attrs

from xfworker.api.settings import HttpSettings, Settings

_LEVELS = ("debug", "info", "warning", "error", "off")
_FORMATS = ("auto", "console", "json")


def rule_faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """Give the path of each setting that cannot be, and what is wrong with it."""
    yield from _http_faults(settings.http)
    if settings.logging.level not in _LEVELS:
        yield "logging.level", f"is {settings.logging.level!r}; it is one of {', '.join(_LEVELS)}"
    if settings.logging.format not in _FORMATS:
        yield "logging.format", f"is {settings.logging.format!r}; it is one of {', '.join(_FORMATS)}"
    if settings.tls.ca_file is not None and not settings.tls.ca_file.is_file():
        yield "tls.ca_file", f"names {settings.tls.ca_file}, which is no file"
    url = settings.server.url
    if url and not url.startswith(("https://", "http://")):
        yield "server.url", f"is {url!r}; an address starts with https://"
    for prefix, local in settings.disk.path_map.items():
        if not isinstance(local, str):
            yield "disk.path_map", f"maps {prefix!r} to {local!r}, which is no path"


def _http_faults(http: HttpSettings) -> Iterator[tuple[str, str]]:
    for name, value in attrs.asdict(http).items():
        least = 1 if name in {"attempts", "connections"} else 0
        if value < least or (name.endswith("_seconds") and name not in _MAY_BE_ZERO and value == 0):
            yield f"http.{name}", f"is {value}; it must be {'at least 1' if least else 'more than 0'}"


_MAY_BE_ZERO = frozenset({"backoff_seconds", "patience_seconds"})
