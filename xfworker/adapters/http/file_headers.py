"""What header fields say of a file, and the addresses of files."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote

from xfworker.domain.files import FileStat, Resource

_SHA256_BYTES = 32


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


def digest_field(sha256: str) -> str:
    """Write a SHA-256 as the digest fields of RFC 9530 want it: ``sha-256=:base64:``."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def read_digest(text: str | None) -> str | None:
    """Read the SHA-256 out of a digest field; ``None`` where it holds none that is well-formed."""
    for part in (text or "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "sha-256":
            try:
                raw = base64.b64decode(value.strip().strip(":"), validate=True)
            except (binascii.Error, ValueError):
                continue
            if len(raw) == _SHA256_BYTES:
                return raw.hex()
    return None
