"""
Contours that are drawn on an image, as the file that they are kept in.

A ``POST`` to ``<image>`` with ``{contours: [{z, points}]}`` in voxels of the image answers with the file (GOBJ), which
the caller stores where it belongs; ``GET <image>?of=<mask>`` gives the contours of a file of contours or a mask.
"""

import tempfile
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath

from xfworker.adapters.web.exchange import AnyRequest
from xfworker.adapters.web.image_routes import ImageRights, TileWork
from xfworker.domain.errors import UsageError
from xfworker.domain.files import Resource, parse_resource
from xfworker.domain.image.contour import Contour
from xfworker.domain.image.description import ImageInfo
from xfworker.services.images.drawn_contours import polygons_of, traced
from xfworker.services.images.viewing import Authorize, ViewedImages

ContourWriter = Callable[[Path, ImageInfo, Sequence[Contour]], None]
"""Writes traced contours in voxels of an image to a file."""

_MOST_BYTES: Final = 32 << 20
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def contour_router(
    path: str,
    images: ViewedImages,
    write: ContourWriter,
    rights_of: Callable[[AnyRequest], ImageRights],
    work: TileWork,
) -> Router:
    """
    Give the routes of contours.

    Args:
        path: The base path.
        images: The images.
        write: Writes the file.
        rights_of: Gives what whoever is asking may see.
        work: Shared with the routes of images.
    """

    @get("/{path:path}")
    async def read(request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        authorize = rights_of(request).authorize
        image, mask = parse_resource(path.lstrip("/")), parse_resource(request.query_params.get("of", ""))
        return await work.do(lambda: _read(images, image, mask, authorize))

    @post("/{path:path}", status_code=int(HTTPStatus.OK))
    async def make(request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        authorize = rights_of(request).authorize
        image, drawn = parse_resource(path.lstrip("/")), _polygons(await request.body())
        return await work.do(lambda: _made(images, image, drawn, write, authorize))

    return Router(path=path, route_handlers=[read, make], request_max_body_size=_MOST_BYTES)


def _polygons(body: bytes) -> Any:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"expected JSON with contours: {error}") from None
    if not isinstance(document, dict) or "contours" not in document:
        raise UsageError("expected an object with contours")
    return document["contours"]


def _read(images: ViewedImages, resource: Resource, mask: Resource, authorize: Authorize) -> Response[bytes]:
    with images.open(resource, authorize) as image, images.open(mask, authorize) as contours:
        found = {"contours": polygons_of(contours, image.info)}
    return Response(content=msgspec.json.encode(found), media_type="application/json", headers=_HEADERS)


def _made(
    images: ViewedImages, resource: Resource, drawn: Any, write: ContourWriter, authorize: Authorize
) -> Response[bytes]:
    with images.open(resource, authorize) as image, tempfile.TemporaryDirectory(prefix="xfworker-contours-") as folder:
        file = Path(folder, "drawn.gobj")
        write(file, image.info, traced(drawn, image.info))
        content = file.read_bytes()
    return Response(content=content, media_type="application/octet-stream", headers=_HEADERS)
