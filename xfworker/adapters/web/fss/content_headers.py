"""What answers say of a file's content."""

from xfworker.domain.digest_field import XXH3, write_digest
from xfworker.domain.files import FileStat


def content_headers(stat: FileStat) -> dict[str, str]:
    """Give ``ETag`` and the digests that are known: ``Repr-Digest`` (RFC 9530) and our ``XF-Quick-Digest``."""
    headers = {"ETag": f'"{stat.etag}"'}
    if stat.sha256 is not None:
        headers["Repr-Digest"] = write_digest(stat.sha256)
    if stat.xxh3 is not None:
        headers["XF-Quick-Digest"] = write_digest(stat.xxh3, XXH3)
    return headers
