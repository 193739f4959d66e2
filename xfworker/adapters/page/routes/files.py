"""Files of the store as a browser takes them: downloads, pictures, videos and reports, none with the page's rights."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.security import FILE_HEADERS, REPORT_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.adapters.wire.byte_range import answer_range, is_unmodified
from xfworker.adapters.wire.file_headers import quoted_etag
from xfworker.domain.files import FileStat, Resource, Scope, parse_resource, require_file
from xfworker.ports.served_files import OpenedFile

_SHOWN_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".csv": "text/plain",
    ".json": "text/plain",
}
"""What is shown in the browser; all else is downloaded. HTML is here on purpose nowhere."""

_END = b""


def file_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of files."""

    @get("/files/{name:path}")
    async def file(request: AnyRequest, name: FromPath[str]) -> Response[Any]:
        resource = require_file(parse_resource(name.lstrip("/")))
        suffix = f".{resource.filename.rpartition('.')[2].lower()}"
        media_type = _SHOWN_TYPES.get(suffix)
        is_download = media_type is None or "download" in request.query_params
        headers = {**FILE_HEADERS, "Content-Disposition": _disposition(resource, is_download=is_download)}
        return await send(parts, request, resource, media_type or "application/octet-stream", headers)

    @get("/reports/{name:path}")
    async def report(request: AnyRequest, name: FromPath[str]) -> Response[Any]:
        resource = require_file(parse_resource(name.lstrip("/")))
        headers = {**REPORT_HEADERS, "Content-Disposition": _disposition(resource, is_download=False)}
        return await send(parts, request, resource, "text/html", headers)

    return [file, report]


async def send(
    parts: PageParts, request: AnyRequest, resource: Resource, media_type: str, headers: Mapping[str, str]
) -> Response[Any]:
    """
    Send a file, or the range of it that was asked for.

    Raises:
        PermissionDenied: Who is signed in may not read it.
        FileNotInStore: There is no such file.
    """
    stat, opened = await in_thread(lambda: open_file(parts, request, resource))
    etag = quoted_etag(stat.etag)
    if is_unmodified(request.headers.get("if-none-match"), etag):
        opened.close()
        return Response(content=_END, status_code=HTTPStatus.NOT_MODIFIED, headers={**headers, "ETag": etag})
    asked = {key.lower(): value for key, value in request.headers.items()}
    part = answer_range(asked, size=stat.size, etag=etag, modified_at=stat.modified_at)
    fields = {**headers, "Accept-Ranges": "bytes", "ETag": etag, **part.headers}
    if part.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        opened.close()
        return Response(content=_END, status_code=part.status, headers=fields)
    fields["Content-Length"] = str(part.end - part.start)
    blocks = _blocks(opened, part.start, part.end - part.start)
    return Stream(blocks, status_code=part.status, media_type=media_type, headers=fields)


def open_file(parts: PageParts, request: AnyRequest, resource: Resource) -> tuple[FileStat, OpenedFile]:
    """Open a file with the rights of who is signed in; for a thread."""
    token = parts.server(request).file_token([Scope("read", resource)])
    return parts.files.open_file(token, resource)


async def _blocks(opened: OpenedFile, start: int, length: int) -> AsyncIterator[bytes]:
    blocks = opened.blocks(offset=start, length=length)
    try:
        while block := await in_thread(lambda: next(blocks, _END)):
            yield block
    finally:
        opened.close()


def _disposition(resource: Resource, *, is_download: bool) -> str:
    kind = "attachment" if is_download else "inline"
    return f"{kind}; filename*=UTF-8''{quote(resource.filename, safe='')}"
