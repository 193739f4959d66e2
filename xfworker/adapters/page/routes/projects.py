"""The list of projects and the workflows of one."""

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread
from xfworker.domain.records import Project, Workflow


def project_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of projects and workflows."""

    @get("/")
    async def projects(request: AnyRequest) -> Response[bytes]:
        found = await in_thread(lambda: parts.server(request).find(Project))
        return parts.templates.answer(request, "projects.html", projects=found)

    @get("/projects/{serial:int}")
    async def project(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            server = parts.server(request)
            return {
                "project": server.get(Project, serial),
                "workflows": server.find(Workflow, {"project_serial": serial}),
            }

        return parts.templates.answer(request, "project.html", **await in_thread(read))

    return [projects, project]
