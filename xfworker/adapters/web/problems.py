"""Errors as RFC 9457 problem documents."""

from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from xfworker.adapters.wire.problem import PROBLEM_TYPE, http_problem_body, problem_body, problem_headers
from xfworker.domain.errors import ServerFault, XFWorkerError

_log: structlog.stdlib.BoundLogger = structlog.get_logger("xfworker.web")


def answer_error(request: Request[Any, Any, Any], error: XFWorkerError) -> Response[bytes]:
    """Answer with the problem that an error of ours is."""
    return _response(problem_body(error), error.status, problem_headers(error, request.method))


def answer_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer with the problem that the web framework reports: no such route, method not allowed, body too large."""
    return _response(http_problem_body(error.status_code, error.detail), error.status_code, dict(error.headers or {}))


def answer_internal_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer an internal error; what it was stays in the server's log."""
    _log.error("xfworker.request_failed", method=request.method, path=request.url.path, exc_info=error)
    return answer_error(request, ServerFault("the server failed at this request; its log says why"))


def _response(body: bytes, status: int, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(content=body, status_code=status, media_type=PROBLEM_TYPE, headers=dict(headers))
