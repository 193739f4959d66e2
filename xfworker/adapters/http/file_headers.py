"""What header fields say of a file, and the addresses of files."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote

from xfworker.domain.digest_field import XXH3, read_digest
from xfworker.domain.files import FileStat, Resource


def file_path(resource: Resource) -> str:
    """Give the path of a file below the service's base address."""
    return f"/files/{quoted(resource)}"


def quoted(resource: Resource) -> str:
    """Percent-encode a resource, segment by segment."""
    return "/".join(quote(segment, safe="") for segment in resource.segments)


def stat_from_headers(resource: Resource, headers: Mapping[str, str], size: int) -> FileStat:
    """Read what an answer's header fields say of a file."""
    direct = headers.get("xf-direct-access-path")
    return FileStat(
        resource=resource,
        size=size,
        sha256=read_digest(headers.get("repr-digest")),
        etag=strong_etag(headers),
        modified_at=_time(headers.get("last-modified")),
        direct_access_path=None if direct is None else unquote(direct, errors="surrogateescape"),
        xxh3=read_digest(headers.get("xf-quick-digest"), XXH3),
        sample_sha256=read_digest(headers.get("xf-sample-digest")),
    )


def _time(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Give the content's mark without its quotes; a weak one does not count, as bytes may differ under it."""
    text = headers.get("etag", "").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else None
