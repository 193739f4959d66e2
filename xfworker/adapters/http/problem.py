"""RFC 9457 problem documents, read back into the errors that they were made from."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

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

_SERVER_FAULTS = 500
_UNAUTHORIZED = 401
_BUSY = (429, 503)
_FOR_NOW = (408, 409, 423, 425, 460)
"""What passes: our own servers explain these in a problem document, so it is something in between that says it."""


def error_from_answer(
    status: int, media_type: str, body: bytes, *, doing: str, request_id: str | None = None
) -> XFWorkerError:
    """
    Give the error that an answer with an error status stands for.

    Args:
        status: The HTTP status, 300 or above.
        media_type: The answer's ``Content-Type``.
        body: The answer's body; it is only looked into where it is a problem document.
        doing: What was being done, for messages: ``get job 17 at xf.lab:443``.
        request_id: The server's mark of the request, shown so that its log can be searched for it.
    """
    mark = f" [request {request_id}]" if request_id else ""
    problem = _problem(media_type, body)
    if problem is None:
        return _without_problem(status, doing, mark)
    detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
    code = str(problem.get("type", "")).removeprefix(TYPE_PREFIX)
    kind = all_errors().get(code)
    if kind is None:
        return _without_problem(status, doing, mark, detail)
    return _of_kind(kind, detail + mark, problem)


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
        faults = problem.get("faults")
        return kind(message, [str(fault) for fault in faults] if isinstance(faults, list) else ())
    try:
        return kind(message)
    except TypeError:  # an error whose construction needs more than travels; its sentence is what counts
        return ServerFault(message)


def _without_problem(status: int, doing: str, mark: str, detail: str = "") -> XFWorkerError:
    shown = f": {detail}" if detail else ""
    if status == _UNAUTHORIZED:
        return AuthenticationFailed(f"could not {doing}: the server does not accept the token{shown}{mark}")
    if status in _BUSY:
        return ServerBusy(f"could not {doing}: the server is too busy (status {status}){shown}{mark}")
    if status in _FOR_NOW:
        return ServerFault(f"could not {doing}: it was refused for now (status {status}){shown}{mark}")
    if status >= _SERVER_FAULTS:
        return ServerFault(f"could not {doing}: the server failed (status {status}){shown}{mark}")
    return ProtocolViolation(
        f"could not {doing}: the answer has status {status}{shown}{mark}; is this the address of an XF Server?"
    )
