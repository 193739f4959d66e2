"""Errors as RFC 9457 problem documents, and back: the one writer and the one reader of them."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from attrs import define

from xfworker.adapters.wire.codec import Message, write
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidContent,
    ProtocolViolation,
    RecordConflict,
    ServerBusy,
    ServerFault,
    XFWorkerError,
    all_errors,
)

PROBLEM_TYPE = "application/problem+json"
"""The media type of a problem document."""

TYPE_PREFIX = "urn:xfworker:error:"
"""What a problem's ``type`` starts with; the error's code follows."""

_SERVER_ERRORS = 500
_UNAUTHORIZED = 401
_BUSY = (429, 503)
_FOR_NOW = (408, 409, 423, 425, 460)
"""What passes: our own servers explain these in a problem document, so it is something in between that says it."""


@define(frozen=True, kw_only=True)
class Problem(Message):
    """RFC 9457."""

    sparse: ClassVar[bool] = True

    type: str
    title: str
    status: int
    detail: str
    faults: list[str] | None = None
    current: dict[str, Any] | None = None


def problem_body(error: XFWorkerError, status: int | None = None) -> bytes:
    """Write the problem document of an error; ``status`` where it travels with another than its own."""
    sent = status or error.status
    problem = Problem(type=TYPE_PREFIX + error.code, title=_title(sent), status=sent, detail=str(error))
    return json.dumps({**write(problem), **error.details()}).encode()


def http_problem_body(status: int, detail: str) -> bytes:
    """Write the problem document of a request that the web framework refuses: no route, method, body too large."""
    return json.dumps(write(Problem(type="about:blank", title=_title(status), status=status, detail=detail))).encode()


def problem_headers(error: XFWorkerError, method: str) -> dict[str, str]:
    """Give the header fields of the answer that is an error; one to a HEAD has no body to say it in."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == _UNAUTHORIZED else {}
    if isinstance(error, ServerBusy) and error.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    if method == "HEAD":
        headers |= {"XF-Error": error.code, "XF-Error-Detail": quote(str(error))}
    return headers


def _title(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"


def error_from_answer(
    status: int, media_type: str, body: bytes, *, doing: str, request_id: str | None = None
) -> XFWorkerError:
    """
    Give the error that an answer with an error status stands for.

    Args:
        status: The HTTP status, 300 or above.
        media_type: The answer's ``Content-Type``.
        body: The answer's body; it is only looked into where it is a problem document.
        doing: What was being done, for messages: ``get job 17 at xf.example.org:443``.
        request_id: The server's id of the request, with which its log can be searched.
    """
    suffix = f" [request {request_id}]" if request_id else ""
    problem = _problem(media_type, body)
    if problem is None:
        return _without_problem(status, doing, suffix)
    detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
    code = str(problem.get("type", "")).removeprefix(TYPE_PREFIX)
    kind = all_errors().get(code)
    if kind is None:
        return _without_problem(status, doing, suffix, detail)
    return _of_kind(kind, detail + suffix, problem)


def problem_in_headers(headers: Mapping[str, str]) -> bytes | None:
    """Give the problem document that the answer to a HEAD could only hint at in its header fields."""
    code = headers.get("xf-error")
    if code is None:
        return None
    detail = unquote(headers.get("xf-error-detail", ""))
    return json.dumps({"type": f"{TYPE_PREFIX}{code}", "detail": detail}).encode()


def _problem(media_type: str, body: bytes) -> Mapping[str, Any] | None:
    if media_type.partition(";")[0].strip().lower() != PROBLEM_TYPE:
        return None
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return problem if isinstance(problem, Mapping) else None


def _of_kind(kind: type[XFWorkerError], message: str, problem: Mapping[str, Any]) -> XFWorkerError:
    if issubclass(kind, RecordConflict):
        current = problem.get("current")
        return kind(message, current=current if isinstance(current, Mapping) else {})
    if issubclass(kind, InvalidContent):
        violations = problem.get("faults")
        return kind(message, [str(item) for item in violations] if isinstance(violations, list) else ())
    try:
        return kind(message)
    except TypeError:  # an error whose construction needs more than travels; its sentence is what counts
        return ServerFault(message)


def _without_problem(status: int, doing: str, suffix: str, detail: str = "") -> XFWorkerError:
    reason = f": {detail}" if detail else ""
    if status == _UNAUTHORIZED:
        return AuthenticationFailed(f"could not {doing}: the server does not accept the token{reason}{suffix}")
    if status in _BUSY:
        return ServerBusy(f"could not {doing}: the server is too busy (status {status}){reason}{suffix}")
    if status in _FOR_NOW:
        return ServerFault(f"could not {doing}: it was refused for now (status {status}){reason}{suffix}")
    if status >= _SERVER_ERRORS:
        return ServerFault(f"could not {doing}: the server failed (status {status}){reason}{suffix}")
    return ProtocolViolation(
        f"could not {doing}: the answer has status {status}{reason}{suffix}; is this the address of an XF Server?"
    )
