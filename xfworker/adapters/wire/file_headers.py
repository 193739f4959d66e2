"""What header fields say of a file: written by the server, read by the client."""

from collections.abc import Mapping
from email.utils import format_datetime
from urllib.parse import quote, unquote

from xfworker.adapters.wire.http_date import read_http_date
from xfworker.domain.digest_field import SHA256, XXH3, read_digest, write_digest
from xfworker.domain.digests import Digests
from xfworker.domain.files import FileStat, Resource

DIGEST_FIELDS = {XXH3: "XF-Quick-Digest", SHA256: "Repr-Digest"}
"""For each kind of digest the field that carries it for the whole file: ours, and that of RFC 9530."""

TAKES_REDIRECTS = "XF-Takes-Redirects"
"""The field by which a client says that it reads and writes files where the server says that they are: ``?1``."""
PIECE_BYTES = "XF-Piece-Bytes"
"""The field by which a server says how large the pieces are that a client may put into the object store itself."""
PIECES_DIGEST = "XF-Pieces-Digest"
"""The field by which a client states the MD5 of the MD5s of all pieces, in hexadecimal digits."""
FILE_SIZE = "XF-File-Size"
"""The field of a redirect that states the size of the file."""

_SAMPLE = "XF-Sample-Digest"
_DIRECT_ACCESS = "XF-Direct-Access-Path"


def content_headers(stat: FileStat) -> dict[str, str]:
    """Give ``ETag`` and the digests that are known."""
    return {"ETag": quoted_etag(stat.etag), **digest_headers(Digests(stat.sha256, stat.xxh3))}


def digest_headers(digests: Digests) -> dict[str, str]:
    """Give the digests that are known."""
    known = {SHA256: digests.sha256, XXH3: digests.xxh3}
    return {DIGEST_FIELDS[name]: write_digest(digest, name) for name, digest in known.items() if digest is not None}


def stat_headers(stat: FileStat) -> dict[str, str]:
    """Give everything that :func:`stat_from_headers` reads."""
    headers = {**content_headers(stat), **direct_access_headers(stat.direct_access_path)}
    if stat.modified_at is not None:
        headers["Last-Modified"] = format_datetime(stat.modified_at.replace(microsecond=0), usegmt=True)
    if stat.sample_sha256 is not None:
        headers[_SAMPLE] = write_digest(stat.sample_sha256)
    return headers


def direct_access_headers(path: str | None) -> dict[str, str]:
    """Say where a file lies on the shared disk, if it does."""
    return {} if path is None else {_DIRECT_ACCESS: quote(path, safe="/:")}


def stat_from_headers(resource: Resource, headers: Mapping[str, str], size: int) -> FileStat:
    """Read what an answer's header fields, whose names are compared without case, say of a file."""
    fields = {name.lower(): value for name, value in headers.items()}  # a look into what was given takes longer
    direct = fields.get(_DIRECT_ACCESS.lower())
    return FileStat(
        resource=resource,
        size=size,
        sha256=read_digest(fields.get(DIGEST_FIELDS[SHA256].lower())),
        etag=strong_etag(fields),
        modified_at=read_http_date(fields.get("last-modified")),
        direct_access_path=None if direct is None else unquote(direct, errors="surrogateescape"),
        xxh3=read_digest(fields.get(DIGEST_FIELDS[XXH3].lower()), XXH3),
        sample_sha256=read_digest(fields.get(_SAMPLE.lower())),
    )


def quoted_etag(etag: str | None) -> str:
    """Write an entity tag as ``ETag`` and ``If-Range`` carry it."""
    return f'"{etag}"'


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Give the entity tag without its quotes; a weak one does not count, as bytes may differ under it."""
    tag = headers.get("etag", "").strip()
    return tag[1:-1] if len(tag) > 1 and tag[0] == tag[-1] == '"' else None
