"""The page: routes to be served beside the platform's own, at ``/``."""

from collections.abc import Sequence

from litestar import Router
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.errors import error_pages
from xfworker.adapters.page.live import LiveBoards
from xfworker.adapters.page.parts import PageParts, PasswordWork
from xfworker.adapters.page.rendering import Templates
from xfworker.adapters.page.routes.appending import appending_routes
from xfworker.adapters.page.routes.boards import board_routes
from xfworker.adapters.page.routes.charts import chart_routes
from xfworker.adapters.page.routes.comparison import comparison_routes
from xfworker.adapters.page.routes.disk import disk_routes
from xfworker.adapters.page.routes.editor import editor_routes
from xfworker.adapters.page.routes.exports import export_routes
from xfworker.adapters.page.routes.files import file_routes
from xfworker.adapters.page.routes.forms import form_routes
from xfworker.adapters.page.routes.jobs import job_routes
from xfworker.adapters.page.routes.machines import machine_routes
from xfworker.adapters.page.routes.packages import package_routes
from xfworker.adapters.page.routes.people import people_routes
from xfworker.adapters.page.routes.projects import project_routes
from xfworker.adapters.page.routes.runs import run_routes
from xfworker.adapters.page.routes.second_factor import second_factor_routes
from xfworker.adapters.page.routes.sign_in import sign_in_routes
from xfworker.adapters.page.routes.tables import table_routes
from xfworker.adapters.page.routes.userdata import userdata_routes
from xfworker.adapters.page.routes.volumes import volume_routes
from xfworker.adapters.page.session import visits
from xfworker.adapters.page.static_files import StaticFiles, static_route
from xfworker.ports.served_files import ServedFiles
from xfworker.services.platform.platform import Platform

MOST_FORM_BYTES = 1 << 20
"""The largest form that is taken; files go to the file store's own routes."""


def page_parts(platform: Platform, files: ServedFiles, passwords: PasswordWork) -> PageParts:
    """
    Put together what every part of the page is made of.

    Args:
        platform: The platform behind the page.
        files: The file store behind the page.
        passwords: Does work with passwords, little of it at once.
    """
    static = StaticFiles.of_package()
    return PageParts(platform, files, passwords, Templates.of_package(static.base), static, LiveBoards(platform))


def page_router(parts: PageParts, *, also: Sequence[ControllerRouterHandler] = ()) -> Router:
    """
    Give the page's routes.

    Args:
        parts: What the page is made of.
        also: Routes of parts that are composed apart, such as the image viewer; they have the page's sessions, rights
            and errors.
    """
    return Router(
        path="/",
        route_handlers=[
            static_route(parts.static),
            *sign_in_routes(parts),
            *project_routes(parts),
            *board_routes(parts),
            *job_routes(parts),
            *comparison_routes(parts),
            *appending_routes(parts),
            *chart_routes(parts),
            *disk_routes(parts),
            *editor_routes(parts),
            *export_routes(parts),
            *userdata_routes(parts),
            *people_routes(parts),
            *second_factor_routes(parts),
            *machine_routes(parts),
            *package_routes(parts),
            *form_routes(parts),
            *run_routes(parts),
            *file_routes(parts),
            *table_routes(parts),
            *volume_routes(parts),
            *also,
        ],
        before_request=visits(parts.platform),
        exception_handlers=error_pages(parts.templates),
        request_max_body_size=MOST_FORM_BYTES,
    )
