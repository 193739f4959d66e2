"""The 3-D preview of an image or a mesh: a page of its own in a frame, as NiiVue needs pictures from ``data:``."""

from typing import Any
from urllib.parse import quote

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.rendering import is_mesh
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest
from xfworker.domain.files import parse_resource, require_file

FRAME_HEADERS = {
    **PAGE_HEADERS,
    # The letters and the lighting of NiiVue are pictures that stand in its script.
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"]
    .replace("img-src 'self'", "img-src 'self' data:")
    .replace("frame-ancestors 'none'", "frame-ancestors 'self'"),
    "X-Frame-Options": "SAMEORIGIN",
}
"""Of the frame: like every page's, but that the page itself may show it, and pictures may stand in scripts."""


def volume_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of 3-D previews; what is shown in them is fetched under the rights of its files."""

    @get("/volumes/{name:path}")
    async def volume(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
        resource = require_file(parse_resource(name.lstrip("/")))
        path = "/".join(quote(segment, safe="") for segment in resource.segments)
        values: dict[str, Any] = {"name": resource.filename, "image": None, "mesh": None}
        values |= {"mesh": f"/files/{path}"} if is_mesh(resource.filename) else {"image": f"/slices/{path}"}
        return parts.templates.answer(request, "volume.html", headers=FRAME_HEADERS, **values)

    return [volume]
