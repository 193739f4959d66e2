"""
Images for viewers over HTTP: what an image is, tiles of its planes, and the whole of it as a virtual OME-Zarr.

Below a base path: ``<resource>`` (a file, a folder, or a series as ``<file>.series``) describes an image,
``<resource>?tile=...`` gives a tile, and the paths below
``<resource>.ome.zarr/`` are those of a zarr store. A ``POST`` to ``<resource>`` makes a link to that store. The same
routes serve the API (with tokens) and the page (with its sessions).
"""

import contextlib
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from anyio import CapacityLimiter, to_thread
from attrs import define, field
from litestar import Response, Router, post, route
from litestar.params import FromPath

from xfworker.adapters.web.difference_tiles import DifferenceRequest
from xfworker.adapters.web.exchange import AnyRequest, in_thread
from xfworker.adapters.web.image_answers import TileName, answer, describe, kept_headers
from xfworker.adapters.web.registered_tiles import RegisteredRequest
from xfworker.adapters.wire.authorization import bearer_token
from xfworker.adapters.wire.byte_range import is_unmodified
from xfworker.domain.errors import AuthenticationFailed, FileNotInStore, PermissionDenied, ServerBusy
from xfworker.domain.files import AuthorizationToken, Resource, Scope, parse_resource
from xfworker.services.images.placement import offset_in
from xfworker.services.images.viewing import Authorize, ViewedImages
from xfworker.services.images.virtual_ome_zarr import (
    array_document,
    chunk_bytes,
    group_document,
    little_endian,
)
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import Principal

MOUNT: Final = "/images/v1"
"""The base path of the API."""

LINK: Final = "link"
"""The segment behind the base path that a file token follows, for viewers that cannot send header fields."""

Result = TypeVar("Result")

_RIGHTS: Final = "xfworker_image_rights"
_JSON: Final = "application/json"
_BINARY: Final = "application/octet-stream"
_AT_ONCE: Final = 4
_MOST_WAITING: Final = 256
_BUSY_SECONDS: Final = 1.0
_ASK_AGAIN: Final = "private, no-cache"
_ZARR: Final = re.compile(
    r"(?P<resource>.+)\.ome\.zarr/(?:(?P<level>\d{1,2})/)?(?:zarr\.json|c/(?P<z>\d{1,9})/(?P<y>\d{1,9})/(?P<x>\d{1,9}))",
    re.ASCII,
)
_BELOW_ZARR: Final = re.compile(r".+\.ome\.zarr/.*", re.ASCII)
_ZARR_PROBES: Final = re.compile(r".+\.ome\.zarr(?:/.*)?", re.ASCII)

_SHARED: Final = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
_FROM_ANYWHERE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}
"""Of answers to a link: its token is all the right there is, so no page gets more by asking than its owner gave it."""


@define(frozen=True)
class ImageRights:
    """
    What whoever is asking may see.

    Attributes:
        authorize: Raises ``PermissionDenied`` for a file that they may not read.
        grant: Gives a token to read some files, which are theirs to read.
    """

    authorize: Authorize
    grant: Callable[[Sequence[Resource]], AuthorizationToken]


@define
class TileWork:
    """Does the work of requests in few threads, and refuses more than can wait."""

    _waiting: int = 0
    _limiter: CapacityLimiter | None = field(default=None, init=False)

    async def do(self, work: Callable[[], Result]) -> Result:
        """
        Do some work in a thread.

        Raises:
            ServerBusy: Too many wait already.
        """
        if self._limiter is None:
            self._limiter = CapacityLimiter(_AT_ONCE)
        if self._waiting >= _MOST_WAITING:
            raise ServerBusy("too many parts of images are asked for at once", retry_after_seconds=_BUSY_SECONDS)
        self._waiting += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._waiting -= 1


def image_router(
    path: str,
    images: ViewedImages,
    rights_of: Callable[[AnyRequest], ImageRights],
    *,
    before_request: Callable[[AnyRequest], Awaitable[Any]] | None = None,
    work: TileWork | None = None,
    links: bool = True,
) -> Router:
    """
    Give the routes of images.

    Args:
        path: The base path.
        images: The images.
        rights_of: Gives what whoever is asking may see.
        before_request: Finds out who is asking, where no router around this one does.
        work: Shared by routers of several base paths.
        links: Whether there are links with a token in their address, for programs that cannot send one elsewhere.
    """
    threads = work or TileWork()

    @route("/{path:path}", http_method=["GET", "HEAD"])
    async def image(request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        authorize = rights_of(request).authorize
        address, shared = _without_link(path.lstrip("/"))
        if shared:
            _require_links(links)
        headers = _FROM_ANYWHERE if shared else _SHARED
        tile = request.query_params.get("tile")
        onto = request.query_params.get("onto")
        zarr = _ZARR.fullmatch(address)
        if zarr is not None:
            return await threads.do(lambda: _zarr(images, zarr, authorize, request, headers))
        # A folder of the store may itself be called so: it is described to whoever asks for it by its own name.
        if tile is None and (_ZARR_PROBES if shared else _BELOW_ZARR).fullmatch(address):
            # Readers of zarr try the names of other versions; what is not there is not an error to them.
            raise FileNotInStore(f"there is nothing at {address[-200:]}")
        resource = parse_resource(address)
        if onto is not None:
            asked = RegisteredRequest(parse_resource(onto), request.query_params.get("transform", ""), tile)
            unless = request.headers.get("if-none-match")
            return await threads.do(lambda: asked.answer(images, resource, authorize, unless, headers))
        if "minus" in request.query_params:
            minus = DifferenceRequest(parse_resource(request.query_params["minus"]), tile)
            unless = request.headers.get("if-none-match")
            return await threads.do(lambda: minus.answer(images, resource, authorize, unless, headers))
        if tile is not None:
            return await threads.do(lambda: _tile(images, resource, tile, authorize, request, headers))
        over = request.query_params.get("over")
        beneath = None if over is None else parse_resource(over)
        return await threads.do(lambda: _description(images, resource, beneath, authorize, headers))

    @post("/{path:path}")
    async def link(request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        _require_links(links)
        rights = rights_of(request)
        resource = parse_resource(path.lstrip("/"))
        return await threads.do(lambda: _link(images, resource, rights))

    return Router(path=path, route_handlers=[image, link], before_request=before_request)


def image_api(images: ViewedImages, platform: Platform, work: TileWork | None = None, *, links: bool = True) -> Router:
    """
    Give the routes of images below :data:`MOUNT`, for whoever has a token of the XF Server or one for these files.

    A link has a file token in its path: ``/images/v1/link/<token>/<resource>.ome.zarr``.
    """

    async def authenticate(request: AnyRequest) -> None:
        parts = request.url.path.removeprefix(f"{MOUNT}/").split("/", 2)
        by_link = parts[0] == LINK and len(parts) > 2  # noqa: PLR2004 - link, token, address
        token = parts[1] if by_link else bearer_token(request.scope["headers"])
        request.scope["state"][_RIGHTS] = await in_thread(lambda: _rights(platform, token, by_link=by_link))

    def rights_of(request: AnyRequest) -> ImageRights:
        rights: ImageRights = request.scope["state"][_RIGHTS]
        return rights

    return image_router(MOUNT, images, rights_of, before_request=authenticate, work=work, links=links)


def rights_of_principal(platform: Platform, principal: Principal) -> ImageRights:
    """Give what a caller of the XF Server may see; a record is asked about once."""
    server = platform.server_for(principal)
    allowed: set[tuple[str, ...]] = set()

    def authorize(resource: Resource) -> None:
        owner = resource.segments[:2]
        if owner not in allowed:
            server.file_token([Scope("read", resource)])
            allowed.add(owner)

    return ImageRights(
        authorize, lambda resources: server.file_token([Scope("read", resource) for resource in resources])
    )


def _rights(platform: Platform, token: str, *, by_link: bool) -> ImageRights:
    if not by_link:
        with contextlib.suppress(AuthenticationFailed):  # it may be a token for files
            return rights_of_principal(platform, platform.authenticate(token))
    granted = platform.verify_file_token(token)
    # What was granted for a while is handed on as it is: it neither grows nor lasts longer.
    return ImageRights(lambda resource: granted.require("read", resource), lambda _: granted)


def _require_links(links: bool) -> None:  # noqa: FBT001  an option handed through
    if not links:
        raise PermissionDenied(
            "this server gives no links to images with a token in their address (serve --no-image-links); open the "
            "image on the page, or download it"
        )


def _without_link(address: str) -> tuple[str, bool]:
    first, _, rest = address.partition("/")
    if first != LINK:
        return address, False
    return rest.partition("/")[2], True


def _description(
    images: ViewedImages, resource: Resource, beneath: Resource | None, authorize: Authorize, headers: Mapping[str, str]
) -> Response[bytes]:
    with images.open(resource, authorize) as image:
        described = describe(image)
        # What has failed, as on a full disk, is tried again whenever somebody looks anew.
        images.preparation.try_again(image)
        if beneath is not None:
            with images.open(beneath, authorize) as below:
                described["offset"] = list(offset_in(image.info, below.info))
    return answer(msgspec.json.encode(described), _JSON, {**headers, "Cache-Control": _ASK_AGAIN})


def _link(images: ViewedImages, resource: Resource, rights: ImageRights) -> Response[bytes]:
    with images.open(resource, rights.authorize) as image:
        token = rights.grant(image.files)
    path = "/".join(quote(segment, safe="") for segment in resource.segments)
    made = {
        "ome_zarr": f"{MOUNT}/{LINK}/{token.token}/{path}.ome.zarr",
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
    }
    return Response(
        content=msgspec.json.encode(made),
        status_code=int(HTTPStatus.CREATED),
        media_type=_JSON,
        headers={**_SHARED, "Cache-Control": "no-store"},
    )


def _tile(
    images: ViewedImages,
    resource: Resource,
    tile: str,
    authorize: Authorize,
    request: AnyRequest,
    headers: Mapping[str, str],
) -> Response[bytes]:
    name = TileName.parse(tile)
    with images.preparation.viewing(), images.open(resource, authorize) as image:
        name.require(image.key, resource)
        kept = {**headers, **kept_headers(tile), "Vary": "Accept-Encoding"}
        if is_unmodified(request.headers.get("if-none-match"), kept["ETag"]):
            return Response(content=b"", status_code=int(HTTPStatus.NOT_MODIFIED), headers=kept)
        body = little_endian(image.tile(*name.place))
        is_small = image.dtype.itemsize == 1
    if is_small and "gzip" in request.headers.get("accept-encoding", ""):
        # Labels become a hundredth of their size; grey values hardly less than they are.
        packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
        kept["Content-Encoding"] = "gzip"
    return answer(body, _BINARY, kept)


def _zarr(
    images: ViewedImages,
    address: re.Match[str],
    authorize: Authorize,
    request: AnyRequest,
    headers: Mapping[str, str],
) -> Response[bytes]:
    kept = {**headers, "Cache-Control": _ASK_AGAIN}
    with images.preparation.viewing(), images.open(parse_resource(address["resource"]), authorize) as image:
        if address["z"] is None:
            level = address["level"]
            document = group_document(image) if level is None else array_document(image, int(level))
            return answer(msgspec.json.encode(document), _JSON, kept)
        if address["level"] is None:
            raise FileNotInStore("a chunk is below the number of its level")
        at = tuple(int(address[axis]) for axis in ("level", "z", "y", "x"))
        kept["ETag"] = f'"{image.key}.{".".join(map(str, at))}"'
        if is_unmodified(request.headers.get("if-none-match"), kept["ETag"]):
            return Response(content=b"", status_code=int(HTTPStatus.NOT_MODIFIED), headers=kept)
        body = chunk_bytes(image, *at)
    if body is None:
        return Response(content=b"", status_code=int(HTTPStatus.NOT_FOUND), headers=kept, media_type=_BINARY)
    return answer(body, _BINARY, kept)
