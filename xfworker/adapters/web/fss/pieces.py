"""Pieces of uploads that clients put into the object store themselves: announced, addressed, put together."""

import base64
import binascii
import hashlib
from typing import Any, cast

from xfworker.adapters.web.fss.requests import Request
from xfworker.adapters.wire.digits import read_digits
from xfworker.adapters.wire.file_headers import DIGEST_FIELDS, PIECE_BYTES, PIECES_DIGEST, TAKES_REDIRECTS
from xfworker.domain.digest_field import XXH3, require_digest
from xfworker.domain.digests import Digests
from xfworker.domain.errors import UsageError
from xfworker.ports.served_files import Permit, PiecewiseUpload, PiecewiseUploads, ResumableUpload


def piece_headers(request: Request, uploads: Any, upload: ResumableUpload) -> dict[str, str]:
    """State how large the pieces are, to a client that takes redirects, where the store takes pieces."""
    if request.headers.get(TAKES_REDIRECTS.lower()) != "?1" or not isinstance(uploads, PiecewiseUploads):
        return {}
    size = cast("PiecewiseUpload", upload).piece_bytes
    return {} if size is None else {PIECE_BYTES: str(size)}


def piece_url(request: Request, uploads: Any, upload: ResumableUpload, begin: str) -> str | None:
    """
    Give where a client may put the piece that it announces, or ``None`` where this upload has no pieces.

    Raises:
        UsageError: There is no such piece, or its digest is missing.
    """
    size, offset = read_digits(piece_headers(request, uploads, upload).get(PIECE_BYTES)), read_digits(begin)
    if size is None:
        return None
    if offset is None or offset % size or offset >= upload.size:
        raise UsageError(f"a piece begins at a multiple of {size} below {upload.size}, not at {begin[:40]!a}")
    try:
        md5 = base64.b64decode(request.headers.get("content-md5", ""), validate=True)
    except (binascii.Error, ValueError):
        md5 = b""
    if len(md5) != hashlib.md5(usedforsecurity=False).digest_size:
        raise UsageError("a piece is announced with its MD5: Content-MD5, in base64")
    return str(uploads.piece_url(upload, offset, md5.hex()))


def put_together(request: Request, uploads: Any, upload: ResumableUpload, permit: Permit) -> bool:
    """
    Publish what a client has put into the object store, under a permit; ``False`` where it does not say that it has.

    Raises:
        UsageError: The digest of the whole is missing.
        ChecksumMismatch: The pieces are others, or not all there.
    """
    pieces_md5 = request.headers.get(PIECES_DIGEST.lower())
    if pieces_md5 is None or not isinstance(uploads, PiecewiseUploads):
        return False
    digests = Digests(xxh3=require_digest(request.headers.get(DIGEST_FIELDS[XXH3].lower()), XXH3))
    if digests.xxh3 is None:
        raise UsageError(f"pieces are put together with the digest of the whole: {DIGEST_FIELDS[XXH3]}")
    uploads.complete_pieces(upload, digests, pieces_md5, permit)
    return True
