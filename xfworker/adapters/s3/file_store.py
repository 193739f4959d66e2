"""An object store (S3 and what speaks like it) as file store, by obstore."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.s3.object_errors import object_errors
from xfworker.adapters.s3.pieces import SHA256_KEY, XXH3_KEY
from xfworker.adapters.transfer.hashing import file_sha256
from xfworker.adapters.transfer.limits import TransferLimits
from xfworker.adapters.transfer.partial_download import PartialDownload
from xfworker.adapters.transfer.retries import transfer_retries
from xfworker.adapters.transfer.upload_source import UploadSource
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileChanged,
    FileError,
    FileNotInStore,
    NotEnoughSpace,
    ServerError,
)
from xfworker.domain.filenames import is_safe_filename
from xfworker.domain.files import USERDATA, AuthorizationToken, FileStat, Folder, Resource, require_file
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import Progress
from xfworker.services.retry_policy import Retries

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_PART = 8 << 20
_PARTS_AT_ONCE_BYTES = 32 << 20
_MOST_PARTS = 9_000
"""S3 takes 10,000 parts; larger files get larger parts."""
_BLOCK = 1 << 20


class S3FileStore:
    """
    Files as objects ``<prefix>/<source>/<serial>/<filename>`` of a bucket, with their digests in their metadata.

    Who may touch what is decided by the credentials of the bucket; scopes of tokens are checked here besides. Memory of
    an upload: at most five parts of 8 MiB, or three larger ones for files above 70 GiB; of a download four blocks of
    1 MiB and what obstore reads ahead.
    """

    def __init__(
        self,
        store: "ObjectStore",
        *,
        prefix: str = "",
        transfers: TransferLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        """
        Take the bucket.

        Args:
            store: An obstore store, such as :class:`obstore.store.S3Store`.
            prefix: What all object names begin with.
            transfers: How downloads are cut into pieces, and how often they may break.
            clock: Waits between attempts.
        """
        self._store = store
        self._prefix = prefix.strip("/")
        self._transfers = transfers or TransferLimits()
        self._clock: Clock = clock or SystemClock()

    def _path(self, resource: Resource) -> str:
        return f"{self._prefix}/{resource}" if self._prefix else str(resource)

    def stat(self, token: AuthorizationToken, resource: Resource) -> FileStat:
        if not token.allows("write", resource):
            token.require("read", resource)
        return self._stat(resource)

    def _stat(self, resource: Resource) -> FileStat:
        with object_errors(f"look at {resource}", resource):
            result = obstore.get(self._store, self._path(resource), options={"head": True})
            return _file_stat(resource, result.meta, result.attributes)

    def download(
        self, token: AuthorizationToken, resource: Resource, target: Path, *, progress: Progress | None = None
    ) -> FileStat:
        token.require("read", resource)
        key = f"{self._store!r}|{self._path(resource)}|{target.name}"
        part = PartialDownload(str(resource), key, target, self._transfers)
        part.resume(
            lambda noted: FileStat(
                resource=resource, size=noted["size"], etag=noted["etag"], sha256=noted["sha256"], xxh3=noted["xxh3"]
            )
        )
        try:
            return self._download(part, resource, progress)
        except NotEnoughSpace:
            part.discard()
            raise
        except BaseException:
            part.leave()
            raise

    def _download(self, part: PartialDownload, resource: Resource, progress: Progress | None) -> FileStat:
        retries = transfer_retries(self._clock, self._transfers, f"fetching {resource}")
        while True:
            try:
                while not part.is_complete:
                    self._fetch(part, resource, retries, progress)
                assert part.stat is not None
                verified = part.publish(part.stat)
            except (ChecksumMismatch, FileChanged) as damaged:
                part.reset()
                retries.start_over(damaged)
            except ServerError as error:
                retries.wait(error)
            else:
                return verified

    def _fetch(self, part: PartialDownload, resource: Resource, retries: Retries, progress: Progress | None) -> None:
        options: Any = {}
        position = part.spans.contiguous
        if part.stat is not None and position:
            options = {"range": {"offset": position}, "if_match": f'"{part.stat.etag}"'}
        with object_errors(f"fetch {resource}", resource):
            result = obstore.get(self._store, self._path(resource), options=options)
            if not options:
                part.restart(_file_stat(resource, result.meta, result.attributes))
            span = part.spans.take_first()
            assert part.stat is not None
            if span is None:
                return
            try:
                for chunk in result.stream(min_chunk_size=_BLOCK):
                    view = memoryview(chunk)
                    while view:
                        block = part.pool.take()
                        count = min(len(block), len(view))
                        block[:count] = view[:count]
                        part.write(span, block, count)
                        view = view[count:]
                    retries.progressed()
                    if progress is not None:
                        progress(part.spans.arrived, part.stat.size)
            finally:
                part.spans.give_back(span)

    def upload(
        self, token: AuthorizationToken, source: Path, resource: Resource, *, progress: Progress | None = None
    ) -> FileStat:
        token.require("write", resource)
        require_file(resource)
        self._require_free(resource)
        file = UploadSource(source, block_bytes=_BLOCK, blocks=4)
        try:
            # The digest travels in front of the content, so the file is read twice; that is quicker than the wire.
            sha256 = file_sha256(source)
            part = max(_PART, -(-file.size // _MOST_PARTS))
            with object_errors(f"store {resource}", resource):
                result = obstore.put(
                    self._store,
                    self._path(resource),
                    b"".join(self._blocks(file, sha256, progress))
                    if file.size <= _PART
                    else _Pieces(self._blocks(file, sha256, progress)),
                    attributes={SHA256_KEY: sha256},
                    chunk_size=part,
                    max_concurrency=max(_PARTS_AT_ONCE_BYTES // part, 2),
                )
        finally:
            file.close()
        return FileStat(resource=resource, size=file.size, sha256=sha256, etag=_bare(result["e_tag"]))

    @staticmethod
    def _blocks(file: UploadSource, sha256: str, progress: Progress | None) -> Iterator[bytes]:
        for block in file.blocks(file.size):
            if file.position == file.size:
                # Before the last block: what is refused now never becomes an object.
                file.require_unchanged()
                if file.digest() != sha256:
                    raise FileChanged(f"{file.path} changed while it was read, so it was not stored")
            yield bytes(block)
            if progress is not None:
                progress(file.position, file.size)

    def _require_free(self, resource: Resource) -> None:
        """Keep the rules of folders, which a bucket does not have: no file where a folder is, no file below a file."""
        with object_errors(f"store {resource}", resource):
            for below in obstore.list(self._store, self._path(resource) + "/", chunk_size=1):
                if below:
                    raise FileError(f"cannot store {resource}: there is a folder of this name")
        shortest = 2 if resource.source == USERDATA else 3
        for length in range(shortest, len(resource.segments)):
            parent = Resource(resource.segments[:length])
            try:
                self._stat(parent)
            except FileNotInStore:
                continue
            raise FileError(f"cannot store {resource}: {parent} is a file")

    def open_read(
        self, token: AuthorizationToken, resource: Resource, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        token.require("read", resource)
        size = self._stat(resource).size
        end = size if length is None else min(size, offset + length)
        if offset >= end:
            return iter(())
        with object_errors(f"read {resource}", resource):
            result = obstore.get(self._store, self._path(resource), options={"range": (offset, end)})

        def blocks() -> Iterator[bytes]:
            with object_errors(f"read {resource}", resource):
                for chunk in result.stream(min_chunk_size=_BLOCK):
                    view = memoryview(chunk)
                    for at in range(0, len(view), _BLOCK):
                        yield bytes(view[at : at + _BLOCK])

        return blocks()

    def direct_access_path(
        self, token: AuthorizationToken, resource: Resource, *, for_writing: bool = False
    ) -> str | None:
        token.require("write" if for_writing else "read", resource)
        return None

    def register(self, token: AuthorizationToken, resource: Resource, *, size: int, sha256: str) -> FileStat:
        token.require("write", resource)
        stat = self._stat(resource)
        if (stat.size, stat.sha256) != (size, sha256):
            raise ChecksumMismatch(
                f"{resource} is not what was written there: {stat.size} bytes, SHA-256 {stat.sha256}"
            )
        return stat

    def list(self, token: AuthorizationToken, folder: Resource) -> Folder:
        token.require("list", folder)
        start = self._path(folder) + "/"
        with object_errors(f"list {folder}", folder):
            listing = obstore.list_with_delimiter(self._store, start)
        files = [
            _file_stat(folder.child(name), meta, {})
            for meta in listing["objects"]
            if is_safe_filename(name := meta["path"].removeprefix(start))
        ]
        names = {path.removeprefix(start).rstrip("/") for path in listing["common_prefixes"]}
        return Folder(
            files=tuple(sorted(files, key=lambda stat: stat.resource.filename)),
            folders=tuple(sorted(filter(is_safe_filename, names))),
        )

    def delete(self, token: AuthorizationToken, resource: Resource) -> None:
        token.require("delete", resource)
        self._stat(resource)  # deleting what is not there is not an error to an object store
        with object_errors(f"delete {resource}", resource):
            obstore.delete(self._store, self._path(resource))

    def close(self) -> None:
        """Connections belong to the obstore store."""


class _Pieces:
    """Something to iterate over that is not a generator, so that obstore asks for one piece at a time."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks


def _file_stat(resource: Resource, meta: "ObjectMeta", attributes: Mapping[Any, str]) -> FileStat:
    return FileStat(
        resource=resource,
        size=meta["size"],
        sha256=attributes.get(SHA256_KEY),
        xxh3=attributes.get(XXH3_KEY),
        etag=_bare(meta["e_tag"]),
        modified_at=meta["last_modified"],
    )


def _bare(etag: str | None) -> str | None:
    return None if etag is None else etag.strip('"')
