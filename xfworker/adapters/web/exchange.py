"""How the routes read requests and write answers: JSON in, JSON out, the work in a thread."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from xfworker.adapters.web.request_threads import RequestThreads
from xfworker.adapters.wire.authorization import bearer_token
from xfworker.adapters.wire.codec import read, write
from xfworker.adapters.wire.digits import are_plain
from xfworker.adapters.wire.field_types import LARGEST
from xfworker.domain.errors import InvalidRecord, RecordNotFound, UsageError
from xfworker.services.platform.keeping import MOST_BYTES
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import Principal

Result = TypeVar("Result")
MessageT = TypeVar("MessageT")
AnyRequest = Request[Any, Any, Any]

_PRINCIPAL = "xfworker_principal"
_AGAIN = "xfworker_authenticated_again"
_PROMPT_SECONDS = 0.2
"""A body that is there by then came with its head."""
_MAX_KEY = 200
_SHORT_BYTES = 32 * 1024
_MOST_BYTES = 4 * MOST_BYTES


def authentication(platform: Platform) -> Callable[[AnyRequest], Awaitable[None]]:
    """Give the hook that finds out who is asking before anything else is looked at, and again after a slow body."""

    async def authenticate(request: AnyRequest) -> None:
        begun = platform.clock.monotonic()
        require_plain_numbers(request)
        # The framework would decode all header fields for this one.
        token = bearer_token(request.scope["headers"])
        principal = platform.authenticate_by_token(token)
        if principal is None:
            principal = await in_thread(lambda: platform.authenticate(token))

        async def again() -> None:
            if platform.clock.monotonic() - begun > _PROMPT_SECONDS:
                await authenticate(request)

        request.scope["state"].update({_PRINCIPAL: principal, _AGAIN: again, "xfworker_caller": principal.name})

    return authenticate


def require_plain_numbers(request: AnyRequest) -> None:
    """
    Refuse a path in which a number stands in another form than its digits.

    Raises:
        RecordNotFound: One does.
    """
    if not are_plain(request.scope["path"], request.path_params):
        raise RecordNotFound(f"there is nothing at {request.scope['path'][:200]!a}: a serial is written in digits")


def caller(request: AnyRequest) -> Principal:
    principal: Principal = request.scope["state"][_PRINCIPAL]
    return principal


in_thread = RequestThreads(40, "xfworker-request").run
"""Does work that waits for a database in a thread, so that other requests go on."""


async def json_object(request: AnyRequest) -> dict[str, Any]:
    """
    Give the request's body as a JSON object.

    Raises:
        InvalidRecord: It is something else.
    """
    body = await _body(request)
    return await _as_large_as(body, lambda: _decoded(body))


async def message(request: AnyRequest, kind: type[MessageT], name: str) -> MessageT:
    """
    Read the request's body as a message.

    Raises:
        InvalidRecord: With every violation and its path, after ``name``.
    """
    body = await _body(request)
    return await _as_large_as(body, lambda: read(kind, _decoded(body), name))


async def _body(request: AnyRequest) -> bytes:
    body = await request.body()
    # A body may take hours to come, and whoever sends it may have lost their rights meanwhile.
    if _AGAIN in request.scope["state"]:
        await request.scope["state"][_AGAIN]()
    return body


async def _as_large_as(body: bytes, work: Callable[[], Result]) -> Result:
    """Do work whose time grows with a body: at once where that is short, else in a thread."""
    if len(body) > _MOST_BYTES:
        raise InvalidRecord(
            f"the request's body has {len(body) / 1e6:,.1f} MB, and a field of a record holds at most "
            f"{MOST_BYTES >> 20} MiB of JSON; store it as a file (upload_output_file) and keep a reference to the file"
        )
    return work() if len(body) <= _SHORT_BYTES else await in_thread(work)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidRecord(f"the request's body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRecord(f"the request's body must be a JSON object, not a {type(value).__name__}")
    return value


def answer_message(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Give an answer with a message as body."""
    return answer(write(value), status, headers)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Give an answer with a JSON body."""
    body = msgspec.json.encode(value)
    return Response(content=body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def idempotency_key(request: AnyRequest) -> str | None:
    """
    Give the request's idempotency key, or ``None``.

    Raises:
        UsageError: It is empty, too long or not printable.
    """
    key: str | None = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _MAX_KEY and key.isprintable()):
        raise UsageError(f"an Idempotency-Key has 1 to {_MAX_KEY} printable characters")
    return key


def serial_in_range(serial: int) -> int:
    """Give the serial, or 0, which no record has, where it is a number that no database could hold."""
    return serial if 0 < serial <= LARGEST else 0
