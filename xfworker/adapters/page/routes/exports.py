"""A workflow as files: its tasks, and the package that another server imports."""

import json

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.domain.package import ARCHIVE_SUFFIX, TASKS_FILENAME
from xfworker.domain.records import Workflow
from xfworker.services.packages.workflow_export import export_workflow, tasks_document

_MOST_TYPED = 200


def export_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of workflows that are saved."""

    @get(f"/workflows/{{serial:int}}/{TASKS_FILENAME}")
    async def tasks(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> str:
            return json.dumps(tasks_document(parts.server(request).board_steps(serial)), ensure_ascii=False, indent=2)

        return _download(f"{await in_thread(read)}\n".encode(), TASKS_FILENAME, "application/json")

    @get(f"/workflows/{{serial:int}}/package{ARCHIVE_SUFFIX}")
    async def package(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        name, version = (request.query_params.get(key, "")[:_MOST_TYPED].strip() for key in ("name", "version"))

        def read() -> bytes:
            server = parts.server(request)
            return export_workflow(server.get(Workflow, serial), server.board_steps(serial), name=name, version=version)

        # The name is checked by now: letters, digits and dots.
        return _download(await in_thread(read), f"{name}-{version}{ARCHIVE_SUFFIX}", "application/zip")

    return [tasks, package]


def _download(content: bytes, name: str, media_type: str) -> Response[bytes]:
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content=content, media_type=media_type, headers=headers)
