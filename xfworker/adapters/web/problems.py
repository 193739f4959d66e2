"""Errors as RFC 9457 problem documents."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from xfworker.domain.errors import ServerFault, XFWorkerError

PROBLEM_TYPE = "application/problem+json"
"""The media type of a problem document."""

TYPE_PREFIX = "urn:xfworker:error:"
"""What a problem's ``type`` starts with; the error's code follows."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.web")


def problem(error: XFWorkerError) -> dict[str, Any]:
    """Give the problem document of an error."""
    return {
        "type": TYPE_PREFIX + error.code,
        "title": HTTPStatus(error.status).phrase if error.status in set(HTTPStatus) else "Error",
        "status": error.status,
        "detail": str(error),
        **error.details(),
    }


def answer_error(_: Request[Any, Any, Any], error: XFWorkerError) -> Response[bytes]:
    """Answer with the problem that an error of ours is."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    return problem_response(problem(error), error.status, headers)


def answer_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer with the problem that the web framework found: no such route, method not allowed, body too large."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": error.detail,
    }
    return problem_response(document, error.status_code, dict(error.headers or {}))


def answer_fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a fault of the server itself; what it was stays in the server's log."""
    _log.error("xfworker.request_failed", method=request.method, path=request.url.path, exc_info=error)
    fault = ServerFault("the server failed at this request; its log says why")
    return problem_response(problem(fault), fault.status, {})


def problem_response(document: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Response[bytes]:
    """Give the answer that carries a problem document."""
    body = json.dumps(document).encode()
    return Response(content=body, status_code=status, media_type=PROBLEM_TYPE, headers=dict(headers))
