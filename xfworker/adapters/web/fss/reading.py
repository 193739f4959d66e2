"""Answers about files of the store: HEAD, GET with ranges, folder listings."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import quote

from attrs import define, evolve

from xfworker.adapters.web.fss.file_threads import in_file_thread
from xfworker.adapters.web.fss.requests import Request
from xfworker.adapters.wire.byte_range import RangeAnswer, answer_range, is_unmodified
from xfworker.adapters.wire.codec import write
from xfworker.adapters.wire.file_headers import (
    FILE_SIZE,
    TAKES_REDIRECTS,
    direct_access_headers,
    quoted_etag,
    stat_headers,
)
from xfworker.adapters.wire.files import Listing
from xfworker.domain.digest_field import wants_digest
from xfworker.domain.errors import FileChanged
from xfworker.domain.files import AuthorizationToken, FileStat, Resource
from xfworker.ports.served_files import OpenedFile, ServedFiles

_SENT_BY_PATH = 4 << 20
"""From this size on the server sends the file by itself; below, handing over costs more than reading."""
_READ_AT_ONCE = 1 << 20
"""Up to so much is read where the file is looked up."""
_LOOKS = 3
"""How often a small file is looked for that is replaced while it is read."""
_OPENED_AFTER_SECONDS = 5.0
_KEPT_AT_MOST = 64
_LARGEST_BLOCK = 1 << 20
_SMALLEST_BLOCK = 64 << 10
_BLOCKS_BYTES = 64 << 20
"""What the blocks of all answers under way take, one of each; the web server holds some ten for a slow reader."""


@define(frozen=True)
class _FileAnswer:
    """
    An answer about a file, found in one go in another thread.

    Attributes:
        status: HTTP status.
        headers: Header fields.
        body: The body, where it was small enough to be read at once.
        length: Of the body, stated where it is left out.
        opened: The file, where its part is still to be read.
        part: Which part of the file the body is.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    length: int | None = None
    opened: OpenedFile | None = None
    part: RangeAnswer | None = None


async def send_file(
    request: Request,
    store: ServedFiles,
    verify: Callable[[], AuthorizationToken],
    handles: "KeptHandles",
    sending: "BlocksUnderWay",
) -> None:
    """Answer HEAD or GET of a file; the token is verified with the rest, because each change of threads takes time."""
    resource = request.resource()
    answer = await in_file_thread(lambda: _find(request, store, verify(), resource))
    opened, part = answer.opened, answer.part
    if opened is None or part is None:  # all of it is there
        await request.answer(answer.status, answer.headers, answer.body, length=answer.length)
        return
    try:
        whole = answer.status == HTTPStatus.OK and request.pathsend and part.end >= _SENT_BY_PATH
        descriptor = opened.descriptor if whole else None
        if descriptor is not None and handles.are_free:
            await request.answer_file(answer.status, answer.headers, handles.keep(descriptor))
        else:
            with sending.another() as size:
                blocks = opened.blocks(offset=part.start, length=part.end - part.start, block_bytes=size)
                await request.answer_blocks(answer.status, answer.headers, blocks)
    finally:
        opened.close()


def _find(request: Request, store: ServedFiles, token: AuthorizationToken, resource: Resource) -> _FileAnswer:
    for _ in range(_LOOKS - 1):
        # A bucket cannot hold a file still between the look at it and the reading.
        with suppress(FileChanged):
            return _found(request, store, token, resource)
    return _found(request, store, token, resource)


def _found(request: Request, store: ServedFiles, token: AuthorizationToken, resource: Resource) -> _FileAnswer:
    sha256 = wants_digest(request.headers.get("want-repr-digest"))
    if request.method == "HEAD":
        if request.query.get("for") == "write":
            path = store.direct_access_path(token, resource, for_writing=True)
            return _FileAnswer(HTTPStatus.NO_CONTENT, direct_access_headers(path))
        return _described(request, store.stat(token, resource, sha256=sha256))
    stat, opened = store.open_file(token, resource, sha256=sha256)
    with ExitStack() as closing:
        closing.callback(opened.close)
        answer = _described(request, stat)
        part = answer.part
        if part is None:
            return answer
        length = part.end - part.start
        if length > _READ_AT_ONCE and request.headers.get(TAKES_REDIRECTS.lower()) == "?1":
            elsewhere = store.download_url(stat)
            if elsewhere is not None:
                return _FileAnswer(HTTPStatus.TEMPORARY_REDIRECT, _redirect(stat, elsewhere))
        if length > _READ_AT_ONCE:
            closing.pop_all()  # it is closed when it was sent
            return evolve(answer, opened=opened)
        body = b"".join(opened.blocks(offset=part.start, length=length))
        if len(body) < length:
            raise FileChanged(f"{resource} became shorter while it was read; ask for it again")
        return evolve(answer, body=body)


def _described(request: Request, stat: FileStat) -> _FileAnswer:
    """Decide what to answer, up to the body."""
    etag = quoted_etag(stat.etag)
    if is_unmodified(request.headers.get("if-none-match"), etag):
        return _FileAnswer(HTTPStatus.NOT_MODIFIED, {"ETag": etag})
    part = answer_range(request.headers, size=stat.size, etag=etag, modified_at=stat.modified_at)
    if part.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _FileAnswer(part.status, part.headers)
    return _FileAnswer(part.status, {**_headers(stat), **part.headers}, length=part.end - part.start, part=part)


@define
class KeptHandles:
    """
    Files that the web server was asked to send and opens by itself a moment later.

    A path to the open file, rather than its name, sends exactly this file even when another takes its name meanwhile. A
    second handle keeps it open until then; with many of them under way, files are sent block by block instead.
    """

    _open: int = 0

    @property
    def are_free(self) -> bool:
        """Whether another may be kept."""
        return sys.platform == "linux" and self._open < _KEPT_AT_MOST

    def keep(self, descriptor: int) -> str:
        """Give a path to an open file that is good for a few seconds."""
        handle = os.dup(descriptor)
        self._open += 1
        asyncio.get_running_loop().call_later(_OPENED_AFTER_SECONDS, self._close, handle)
        return f"/proc/self/fd/{handle}"

    def _close(self, handle: int) -> None:
        self._open -= 1
        os.close(handle)


@define
class BlocksUnderWay:
    """Answers that are sent block by block: the more of them, the smaller their blocks, so that memory is bounded."""

    _count: int = 0

    @contextmanager
    def another(self) -> Iterator[int]:
        """Count an answer while it is sent, and give the size of its blocks in bytes."""
        self._count += 1
        try:
            yield max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, _BLOCKS_BYTES // self._count))
        finally:
            self._count -= 1


async def send_folder(request: Request, store: ServedFiles, verify: Callable[[], AuthorizationToken]) -> None:
    """Answer what a folder holds."""
    resource = request.resource()
    folder = await in_file_thread(lambda: store.list(verify(), resource))
    await request.answer_json(HTTPStatus.OK, write(Listing.of_folder(folder)))


def _redirect(stat: FileStat, url: str) -> dict[str, str]:
    # The address is as good as a token for this one file, so nobody may keep it.
    return {**stat_headers(stat), "Location": url, FILE_SIZE: str(stat.size), "Cache-Control": "no-store"}


def _headers(stat: FileStat) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        # What lies in the store is data; a browser must not run it as a page of this site.
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stat.resource.filename, safe='')}",
        **stat_headers(stat),
    }
