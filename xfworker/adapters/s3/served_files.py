"""A bucket as the store that a server offers: files received piece by piece and published at once, under a permit."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import obstore
from attrs import define, evolve

from xfworker.adapters.s3.file_store import S3FileStore
from xfworker.adapters.s3.incoming_file import S3IncomingFile
from xfworker.adapters.s3.object_errors import object_errors
from xfworker.adapters.s3.pieces import Piece, PieceFolder, metadata_of, piece_bytes, put_together
from xfworker.adapters.s3.signed_requests import ABSENT, ANYHOW, Condition, SignedRequests, unchanged
from xfworker.adapters.transfer.hashing import FileHash
from xfworker.domain.digests import Digests
from xfworker.domain.errors import ChecksumMismatch, ConfigurationError, FileChanged, FileNotInStore, XFWorkerError
from xfworker.domain.files import USERDATA, AuthorizationToken, FileStat, Resource, require_file
from xfworker.ports.served_files import Permit
from xfworker.services.event_log import EventLog

if TYPE_CHECKING:
    from obstore.store import S3Store

PRIVATE: Final = ".xfworker"
"""Below the prefix: what arrives, and digests that were computed later."""
ADDRESS_SECONDS: Final = 300.0
"""How long an address is good: for one request, which a client makes at once."""
_HASHED_ON_THE_SPOT: Final = 64 << 20
"""Up to this size the digest of a file that someone put into the bucket by hand is computed when it is asked for."""
_READ_BYTES: Final = 1 << 20
_MOST_REPLACED: Final = 3
"""So often may others replace an object between the look at it and the request that depends on that."""
_UNKNOWN = Digests()

_log = EventLog("xfworker.files")


@define
class S3OpenedFile:
    """A file of a bucket; where another takes its name meanwhile, reading ends with an error."""

    _store: "S3Store"
    _path: str
    _stat: FileStat

    @property
    def descriptor(self) -> None:
        """There is no file on a disk of this machine."""
        return

    def blocks(self, *, offset: int, length: int, block_bytes: int = _READ_BYTES) -> Iterator[bytes]:
        end = min(offset + length, self._stat.size)
        if offset >= end:
            return
        resource = self._stat.resource
        with object_errors(f"read {resource}", resource):
            options: dict[str, object] = {"range": (offset, end)}
            if self._stat.etag is not None:
                options["if_match"] = f'"{self._stat.etag}"'
            result = obstore.get(self._store, self._path, options=options)  # type: ignore[arg-type]  # a TypedDict
            for chunk in result.stream(min_chunk_size=min(_READ_BYTES, block_bytes)):
                whole = bytes(chunk)
                for start in range(0, len(whole), block_bytes):
                    yield whole[start : start + block_bytes]

    def close(self) -> None:
        """Nothing is held open."""


class S3ServedFiles(S3FileStore):
    """
    Files as objects ``<prefix>/<source>/<serial>/<filename>``, so that others who read the bucket see them as well.

    Digests stand in the object's metadata; those that were computed later beside it, because metadata cannot change
    without another entity tag. No room is reserved: a bucket has no size that could be asked for.

    Memory: up to two pieces (8 MiB, or a 9,000th of the file where that is more) for each file that is received.
    """

    def __init__(self, store: "S3Store", requests: SignedRequests, *, prefix: str = "", address: str = "") -> None:
        """
        Take the bucket.

        Args:
            store: The bucket.
            requests: For what obstore does not offer.
            prefix: What all object names begin with.
            address: What messages call the bucket, such as ``s3://bucket/prefix at https://host``.
        """
        super().__init__(store, prefix=prefix)
        self.bucket = store
        self._requests = requests
        self.address = address

    @property
    def identity(self) -> str:
        """What tells this bucket from others."""
        return self.address

    def require_reachable(self) -> None:
        """
        Look whether the bucket is there, lets us in, and answers.

        Raises:
            ConfigurationError: There is no such bucket, or it is in another region.
            AuthenticationFailed: It does not accept the credentials.
            PermissionDenied: They do not allow to look into it.
            ServerUnreachable: The object store does not answer.
        """
        with object_errors(f"open the bucket {self.address}", Resource((USERDATA,))):
            try:
                for _ in obstore.list(self.bucket, self.private("identity"), chunk_size=1):
                    break
            except FileNotFoundError:
                raise ConfigurationError(
                    f"cannot open {self.address}: there is no such bucket; make it, or correct its name"
                ) from None

    def private(self, *names: str) -> str:
        """Give the path of an object that is no file."""
        return "/".join(part for part in (self._prefix, PRIVATE, *names) if part)

    def stat(self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False) -> FileStat:
        if not token.allows("write", resource):
            token.require("read", resource)
        return self._known(resource, sha256=sha256)

    def _known(self, resource: Resource, *, sha256: bool) -> FileStat:
        stat = self._stat(resource)
        if stat.sha256 is None:
            later = self._later_digests(stat)
            stat = evolve(stat, sha256=stat.sha256 or later.sha256, xxh3=stat.xxh3 or later.xxh3)
        is_new = Digests(stat.sha256, stat.xxh3) == _UNKNOWN and stat.size <= _HASHED_ON_THE_SPOT
        return self._computed(stat) if is_new or (sha256 and stat.sha256 is None) else stat

    def _computed(self, stat: FileStat) -> FileStat:
        hashed = FileHash.begin(sha256=True)
        try:
            for block in S3OpenedFile(self.bucket, self._path(stat.resource), stat).blocks(offset=0, length=stat.size):
                hashed.update(block)
        except FileChanged:
            return stat  # it is another by now
        digests = hashed.digests()
        if not digests.fit(Digests(stat.sha256, stat.xxh3)):
            # The bucket gives other bytes than were stored: a SHA-256 of these would only make it look right.
            known = str(Digests(stat.sha256, stat.xxh3))
            _log.warning("xfworker.file_damaged", file=str(stat.resource), expected=known, read=str(digests))
            return stat
        entry = {"etag": stat.etag, "sha256": digests.sha256, "xxh3": digests.xxh3}
        with suppress(XFWorkerError), object_errors(f"keep the digests of {stat.resource}", stat.resource):
            obstore.put(self.bucket, self._later_path(stat.resource), json.dumps(entry).encode())
        return evolve(stat, sha256=digests.sha256, xxh3=digests.xxh3)

    def _later_path(self, resource: Resource) -> str:
        return self.private("digests", f"{hashlib.sha256(str(resource).encode()).hexdigest()}.json")

    def _later_digests(self, stat: FileStat) -> Digests:
        try:
            with object_errors(f"look at {stat.resource}", stat.resource):
                entry = json.loads(bytes(obstore.get(self.bucket, self._later_path(stat.resource)).bytes()))
        except (FileNotInStore, ValueError):
            return _UNKNOWN
        return Digests(entry["sha256"], entry["xxh3"]) if entry.get("etag") == stat.etag else _UNKNOWN

    def open_file(
        self, token: AuthorizationToken, resource: Resource, *, sha256: bool = False
    ) -> tuple[FileStat, S3OpenedFile]:
        token.require("read", resource)
        stat = self._known(resource, sha256=sha256)
        return stat, S3OpenedFile(self.bucket, self._path(resource), stat)

    def receive(self, resource: Resource, *, size: int | None = None, sha256: bool = False) -> S3IncomingFile:
        require_file(resource)
        return S3IncomingFile(
            PieceFolder(self.bucket, self.private("incoming", secrets.token_hex(16)), resource),
            partial(self.publish, resource),
            piece_bytes=piece_bytes(size),
            start=FileHash.begin(sha256=sha256),
        )

    def publish(
        self,
        resource: Resource,
        pieces: Sequence[Piece],
        content: bytes | None,
        digests: Digests,
        permit: Permit = nullcontext,
    ) -> FileStat:
        """
        Make an object of pieces, or of bytes, under a permit.

        It takes the place of what was there before, and of nothing else: a request that the store carries out late,
        when nobody waits for it any more, replaces nothing newer. Where the permit says at its end that the rights
        ended meanwhile, the object is deleted again.

        Raises:
            FileError: The resource is a folder, or lies below a file.
            FileChanged: Others replaced it again and again meanwhile.
        """
        path = self._path(require_file(resource))
        self._require_free(resource)
        if content is not None and digests.sha256 is None:
            # So small that it takes no time, and nobody has to look for it beside the object later.
            digests = Digests(hashlib.sha256(content).hexdigest(), digests.xxh3)
        size = pieces[-1].end if content is None else len(content)
        stored = FileStat(resource=resource, size=size, sha256=digests.sha256, xxh3=digests.xxh3)
        etag = None
        with object_errors(f"store {resource}", resource):
            before = self._stat_where_stored(resource)
            appearing = (
                put_together(self._requests, pieces, path, digests, resource)
                if content is None
                else nullcontext(partial(self._put, path, content, digests, resource))
            )
            with appearing as appear:
                try:
                    with permit():
                        etag = self._in_place_of(before, stored, appear)
                except XFWorkerError:
                    if etag:
                        self._take_back(resource, etag)
                    raise
        return evolve(stored, etag=etag or None)

    def _put(self, path: str, content: bytes, digests: Digests, resource: Resource, condition: Condition) -> str:
        assert digests.sha256 is not None
        return self._requests.put(path, content, digests.sha256, metadata_of(digests), resource, condition=condition)

    def _stat_where_stored(self, resource: Resource) -> FileStat | None:
        try:
            return self._stat(resource)
        except FileNotInStore:
            return None

    def _in_place_of(self, before: FileStat | None, stored: FileStat, appear: Callable[[Condition], str]) -> str:
        """Let an object appear in place of what was there before, or of what took its place meanwhile."""
        for left in range(_MOST_REPLACED, -1, -1):
            try:
                return appear(_condition(before))
            except FileChanged:
                before = self._stat_where_stored(stored.resource)
                if before is not None and _content(before) == _content(stored):
                    # The store did it, and was asked again because its answer was lost.
                    return before.etag or ""
                if not left:
                    raise
        raise AssertionError

    def _take_back(self, resource: Resource, etag: str) -> None:
        """Delete an object that was not allowed any more when it appeared, unless it is another's by now."""
        with suppress(XFWorkerError), object_errors(f"delete {resource}", resource):
            there = self._stat(resource)
            if there.etag == etag:
                self._requests.delete(self._path(resource), resource, condition=_condition(there))

    def register(
        self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str, permit: Permit = nullcontext
    ) -> FileStat:
        token.require("write", resource)
        with permit():
            stat = self._known(resource, sha256=True)
        if (stat.size, stat.sha256) != (size, sha256):
            raise ChecksumMismatch(
                f"{resource} is not what was written there: {stat.size} bytes, SHA-256 {stat.sha256} here, {size} "
                f"bytes, SHA-256 {sha256} was expected"
            )
        return stat

    def delete(self, token: AuthorizationToken, resource: Resource, *, permit: Permit = nullcontext) -> None:
        token.require("delete", resource)
        there = self._stat(require_file(resource))  # deleting what is not there is not an error to an object store
        with permit():
            self._delete(there)
        with object_errors(f"delete {resource}", resource):
            obstore.delete(self.bucket, self._later_path(resource))

    def _delete(self, there: FileStat | None) -> None:
        """Delete the object that was looked at, or what took its place meanwhile; nothing that comes later."""
        left = _MOST_REPLACED
        while there is not None:
            try:
                self._requests.delete(self._path(there.resource), there.resource, condition=_condition(there))
            except FileChanged:
                if not left:
                    raise
                left -= 1
                there = self._stat_where_stored(there.resource)
            else:
                return

    def download_url(self, stat: FileStat) -> str | None:
        """Give an address that is good for :data:`ADDRESS_SECONDS`; a transfer that has begun goes on."""
        with object_errors(f"sign the address of {stat.resource}", stat.resource):
            return obstore.sign(self.bucket, "GET", self._path(stat.resource), timedelta(seconds=ADDRESS_SECONDS))

    def resources(self) -> Iterator[Resource]:
        """Give every file of the store."""
        from xfworker.domain.errors import InvalidFilename
        from xfworker.domain.files import parse_resource

        start = f"{self._prefix}/" if self._prefix else ""
        with object_errors("list the files", Resource((USERDATA,))):
            for page in obstore.list(self.bucket, start or None):
                for meta in page:
                    with suppress(InvalidFilename):
                        yield require_file(parse_resource(meta["path"].removeprefix(start)))

    def move_aside(self, resource: Resource, name: str) -> str:
        """Move a file where no client finds it, and give where that is."""
        target = self.private("replaced", name, str(resource))
        with object_errors(f"move {resource} aside", resource):
            obstore.rename(self.bucket, self._path(resource), target)
        return target

    def close(self) -> None:
        self._requests.close()


def _condition(there: FileStat | None) -> Condition:
    """Give the condition that what was looked at is still there, or still nothing."""
    if there is None:
        return ABSENT
    return ANYHOW if there.etag is None else unchanged(there.etag)


def _content(stat: FileStat) -> tuple[int, str | None, str | None]:
    return stat.size, stat.sha256, stat.xxh3
