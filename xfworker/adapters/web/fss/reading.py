"""Answers about files of the store: HEAD, GET with ranges, folder listings."""

import asyncio
import os
import sys
from http import HTTPStatus
from urllib.parse import quote

from attrs import define

from xfworker.adapters.web.fss.requests import Request
from xfworker.adapters.wire.byte_range import answer_range, is_unmodified
from xfworker.adapters.wire.codec import write
from xfworker.adapters.wire.file_headers import direct_access_headers, quoted_etag, stat_headers
from xfworker.adapters.wire.files import Listing
from xfworker.domain.files import AuthorizationToken, FileStat
from xfworker.ports.served_files import OpenedFile, ServedFiles

_SENT_BY_PATH = 4 << 20
"""From this size on the server sends the file by itself; below, handing over costs more than reading."""
_OPENED_AFTER_SECONDS = 5.0
_KEPT_AT_MOST = 64


async def send_file(request: Request, store: ServedFiles, token: AuthorizationToken, handles: "KeptHandles") -> None:
    """Answer HEAD or GET of a file."""
    resource = request.resource()
    if request.method == "HEAD" and request.query.get("for") == "write":
        path = await asyncio.to_thread(store.direct_access_path, token, resource, for_writing=True)
        await request.answer(HTTPStatus.NO_CONTENT, direct_access_headers(path))
        return
    if request.method == "HEAD":
        stat = await asyncio.to_thread(store.stat, token, resource)
        await _send(request, stat, None, handles)
        return
    stat, opened = await asyncio.to_thread(store.open_file, token, resource)
    try:
        await _send(request, stat, opened, handles)
    finally:
        opened.close()


async def _send(request: Request, stat: FileStat, opened: OpenedFile | None, handles: "KeptHandles") -> None:
    etag = quoted_etag(stat.etag)
    if is_unmodified(request.headers.get("if-none-match"), etag):
        await request.answer(HTTPStatus.NOT_MODIFIED, {"ETag": etag})
        return
    part = answer_range(request.headers, size=stat.size, etag=etag, modified_at=stat.modified_at)
    status, length = part.status, part.end - part.start
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        await request.answer(status, part.headers)
        return
    headers = {**_headers(stat), **part.headers}
    if opened is None:
        await request.answer(status, headers, length=length)
        return
    descriptor = (
        opened.descriptor if status == HTTPStatus.OK and request.pathsend and stat.size >= _SENT_BY_PATH else None
    )
    if descriptor is not None and handles.are_free:
        await request.answer_file(status, headers, handles.keep(descriptor))
    else:
        await request.answer_blocks(status, headers, opened.blocks(offset=part.start, length=length))


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


async def send_folder(request: Request, store: ServedFiles, token: AuthorizationToken) -> None:
    """Answer what a folder holds."""
    folder = await asyncio.to_thread(store.list, token, request.resource())
    await request.answer_json(HTTPStatus.OK, write(Listing.of_folder(folder)))


def _headers(stat: FileStat) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        # What lies in the store is data; a browser must not run it as a page of this site.
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stat.resource.filename, safe='')}",
        **stat_headers(stat),
    }
