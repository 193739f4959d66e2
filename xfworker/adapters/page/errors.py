"""Errors as pages: what went wrong and what to do, in a sentence."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from xfworker.adapters.page.rendering import Templates, answer_json
from xfworker.adapters.page.session import AnyRequest
from xfworker.domain.errors import ServerFault, XFWorkerError

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.page")


def error_pages(templates: Templates) -> dict[Any, Callable[[Any, Any], Response[bytes]]]:
    """Give the exception handlers of the page's routes."""

    def answer(request: AnyRequest, status: int, message: str) -> Response[bytes]:
        accepted = request.headers.get("accept", "")
        if "text/html" not in accepted:  # a script of the page asked
            return answer_json(request, {"status": status, "detail": message}, status=status)
        return templates.answer(request, "error.html", status=status, code=status, message=message)

    def own_error(request: AnyRequest, error: XFWorkerError) -> Response[bytes]:
        return answer(request, error.status, str(error))

    def http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
        return answer(request, error.status_code, error.detail)

    def internal_error(request: AnyRequest, error: Exception) -> Response[bytes]:
        _log.error("xfworker.request_failed", method=request.method, path=request.url.path, exc_info=error)
        fault = ServerFault("the server failed at this request; its log says why")
        return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, str(fault))

    return {XFWorkerError: own_error, HTTPException: http_error, Exception: internal_error}
