"""What has arrived of a file, as objects of its own: readable by any process, and put together inside the store."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import obstore
from attrs import define, field

from xfworker.adapters.s3.object_errors import object_errors
from xfworker.adapters.s3.signed_requests import Condition, SignedRequests
from xfworker.domain.digests import Digests
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import Resource

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE_BYTES: Final = 8 << 20
"""How much of a file is held in memory until it is put into the store."""
LEAST_PIECE_BYTES: Final = 5 << 20
"""S3 takes parts below this size at the end only."""
_UNKNOWN_SIZE_PIECE_BYTES: Final = 32 << 20
_MOST_PIECES: Final = 9_000
_COPIED_AT_ONCE: Final = 8
_DIRECT: Final = "direct"
_MOST_COPIED_BYTES: Final = 5 << 30

SHA256_KEY: Final = "xf-sha256"
XXH3_KEY: Final = "xf-xxh3"
"""The keys of an object's own metadata that hold the digests of its content."""


@define(frozen=True, order=True)
class Piece:
    """
    A part of a file.

    Attributes:
        offset: Where in the file it begins.
        size: Bytes.
        path: The object that holds it.
        etag: Its entity tag, the MD5 that was promised, where a client put it there: nothing else is taken.
    """

    offset: int
    size: int
    path: str
    etag: str | None = field(default=None, order=False)

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + self.size


def piece_bytes(size: int | None) -> int:
    """Give how large the pieces of a file are: S3 puts at most 10,000 together."""
    return _UNKNOWN_SIZE_PIECE_BYTES if size is None else max(PIECE_BYTES, -(-size // _MOST_PIECES))


def chain(pieces: Sequence[Piece]) -> list[Piece]:
    """Give the pieces that make the beginning of a file, without gaps; of several at one offset the largest."""
    largest: dict[int, Piece] = {}
    for piece in sorted(pieces):
        largest[piece.offset] = piece
    found: list[Piece] = []
    while (following := largest.get(found[-1].end if found else 0)) is not None and following.size:
        found.append(following)
    return found


def metadata_of(digests: Digests) -> dict[str, str]:
    """Give the metadata that hold digests."""
    known = {SHA256_KEY: digests.sha256, XXH3_KEY: digests.xxh3}
    return {name: digest for name, digest in known.items() if digest is not None}


@define
class PieceFolder:
    """
    The objects below one path that hold pieces of one file.

    Attributes:
        store: The bucket.
        path: What the names of all pieces begin with.
        resource: The file.
    """

    store: "ObjectStore"
    path: str
    resource: Resource

    def put(self, name: str, offset: int, blocks: Sequence[bytes]) -> Piece:
        """Store a piece under a name."""
        content = b"".join(blocks)
        path = f"{self.path}/{name}-{offset:020d}-{secrets.token_hex(4)}"
        with object_errors(f"store {self.resource}", self.resource):
            obstore.put(self.store, path, content, use_multipart=False)
        return Piece(offset, len(content), path)

    def read(self, piece: Piece, *, length: int | None = None) -> Iterator[bytes]:
        """Give the content of a piece, or its beginning."""
        end = piece.size if length is None else min(length, piece.size)
        if not end:
            return
        with object_errors(f"read what arrived of {self.resource}", self.resource):
            for block in obstore.get(self.store, piece.path, options={"range": (0, end)}).stream():
                yield bytes(block)

    def direct_path(self, offset: int, md5: str) -> str:
        """Give the path of a piece that a client puts there itself; the name promises what it is."""
        return f"{self.path}/{_DIRECT}-{offset:020d}-{md5}"

    def list(self, name: str) -> Iterator[Piece]:
        """Give the pieces that were stored under a name, and those that clients put there and are as promised."""
        start = f"{self.path}/"
        with object_errors(f"look for what arrived of {self.resource}", self.resource):
            for page in obstore.list(self.store, start):
                for meta in page:
                    kind, _, rest = meta["path"].removeprefix(start).partition("-")
                    offset, _, promised = rest.partition("-")
                    etag = (meta["e_tag"] or "").strip('"')
                    if kind == _DIRECT and etag == promised:
                        yield Piece(int(offset), meta["size"], meta["path"], etag)
                    elif kind == name and offset:
                        yield Piece(int(offset), meta["size"], meta["path"])

    def delete_direct(self, kept: Sequence[Piece]) -> None:
        """Delete the pieces that clients put there, but for some."""
        paths = {piece.path for piece in kept}
        gone = [piece.path for piece in self.list(_DIRECT) if piece.path not in paths]
        with object_errors(f"delete what arrived of {self.resource}", self.resource):
            if gone:
                obstore.delete(self.store, gone)

    def delete(self) -> None:
        """Delete everything below the path."""
        with object_errors(f"delete what arrived of {self.resource}", self.resource):
            paths = [meta["path"] for page in obstore.list(self.store, self.path + "/") for meta in page]
            if paths:
                obstore.delete(self.store, paths)


@contextmanager
def put_together(
    requests: SignedRequests, pieces: Sequence[Piece], target: str, digests: Digests, resource: Resource
) -> Iterator[Callable[[Condition], str]]:
    """
    Make one object of pieces inside the store: give what lets it appear, as a whole, and gives its entity tag.

    It may be called again where the condition did not hold.

    Raises:
        ServerError: The store could not be asked, or failed.
    """
    metadata = metadata_of(digests)
    if len(pieces) == 1 and pieces[0].size <= _MOST_COPIED_BYTES:
        yield lambda condition: requests.copy(
            pieces[0].path, target, metadata, resource, etag=pieces[0].etag, condition=condition
        )
        return
    upload = requests.begin(target, metadata, resource)
    try:
        with ThreadPoolExecutor(_COPIED_AT_ONCE, thread_name_prefix="xfworker-s3") as threads:
            etags = list(
                threads.map(
                    lambda numbered: requests.copy_part(
                        numbered[1].path, target, upload, numbered[0], resource, etag=numbered[1].etag
                    ),
                    enumerate(pieces, 1),
                )
            )
        yield lambda condition: requests.complete(target, upload, etags, resource, condition=condition)
    except BaseException:
        with suppress(XFWorkerError):  # what came before says more
            requests.abort(target, upload, resource)
        raise
