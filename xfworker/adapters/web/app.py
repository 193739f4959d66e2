"""The web application: the platform's routes, errors as problems, an id for every request."""

from collections.abc import Callable, Sequence
from typing import Any

from litestar import Litestar, Response, Router, get
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from xfworker import __version__
from xfworker.adapters.web.exchange import answer_message, authentication, in_thread
from xfworker.adapters.web.metrics import MEDIA_TYPE, RequestMetrics
from xfworker.adapters.web.openapi import areas, document_text
from xfworker.adapters.web.password_work import PasswordWork
from xfworker.adapters.web.periodic_tasks import PeriodicTasks
from xfworker.adapters.web.problems import answer_error, answer_http_error, answer_internal_error
from xfworker.adapters.web.request_limits import RequestLimits
from xfworker.adapters.web.request_log import RequestLog
from xfworker.adapters.web.transport import TransportOptions, reached_by
from xfworker.adapters.web.xf_routes.accounts import account_router, login_route
from xfworker.adapters.web.xf_routes.boards import board_router
from xfworker.adapters.web.xf_routes.control import control_router
from xfworker.adapters.web.xf_routes.disk_space import disk_space_router
from xfworker.adapters.web.xf_routes.queries import question_router
from xfworker.adapters.web.xf_routes.queue import queue_router
from xfworker.adapters.web.xf_routes.records import record_routers
from xfworker.adapters.wire.health import Health
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.services.platform.platform import Platform

MAX_JSON_BYTES = 64 << 20
"""The largest JSON body that is taken; file bodies have no limit."""


def create_app(
    platform: Platform,
    *,
    routes: Sequence[ControllerRouterHandler] = (),
    passwords: PasswordWork | None = None,
    on_startup: Sequence[Callable[[], None]] = (),
    on_shutdown: Sequence[Callable[[], None]] = (),
    transport: TransportOptions | None = None,
) -> Litestar:
    """
    Compose the web application.

    Args:
        platform: The platform behind it.
        routes: What is served beside the XF Server: the file store's routes below ``/fss/v1``, the page, and others.
        passwords: Does all work with passwords, where one of the routes does some as well.
        on_startup: What begins with the application.
        on_shutdown: What ends with it.
        transport: How the server is reached.
    """
    metrics = RequestMetrics(areas())
    passwords = passwords or PasswordWork()

    @get("/health")
    async def health() -> Response[bytes]:
        def asked() -> int:
            with platform.records.transaction(write=False) as transaction:
                return transaction.count(Job, {"state": JobState.RUNNING})

        return answer_message(Health(status="ok", version=__version__, running_jobs=await in_thread(asked)))

    @get("/metrics")
    async def figures() -> Response[bytes]:
        def counted() -> dict[str, float]:
            with platform.records.transaction(write=False) as transaction:
                return {f'state="{state}"': transaction.count(Job, {"state": state}) for state in JobState}

        jobs = await in_thread(counted)
        rendered = metrics.render({"xfworker_jobs": ("Jobs by state.", jobs)})
        return Response(content=rendered.encode(), media_type=MEDIA_TYPE)

    @get("/xf/v1/openapi.json")
    async def openapi() -> Response[bytes]:
        return Response(content=document_text().encode(), media_type="application/json")

    xf_routes = Router(
        path="/xf/v1",
        route_handlers=[
            *record_routers(platform),
            question_router(platform),
            queue_router(platform),
            control_router(platform),
            board_router(platform),
            disk_space_router(platform),
            account_router(platform, passwords),
        ],
        request_max_body_size=MAX_JSON_BYTES,
        before_request=authentication(platform),
    )
    periodic_tasks = PeriodicTasks(platform)
    handlers: dict[Any, Any] = {
        XFWorkerError: answer_error,
        HTTPException: answer_http_error,
        Exception: answer_internal_error,
    }
    app = Litestar(
        route_handlers=[health, figures, openapi, login_route(platform, passwords), xf_routes, *routes],
        exception_handlers=handlers,
        on_startup=[periodic_tasks.start, *on_startup],
        on_shutdown=[*on_shutdown, periodic_tasks.stop],
        openapi_config=None,
        debug=False,
    )
    # Around everything, because the framework's own middleware never sees what no route takes.
    answered = RequestLog(RequestLimits(app.asgi_handler), metrics)
    app.asgi_handler = reached_by(answered, transport or TransportOptions())
    return app
