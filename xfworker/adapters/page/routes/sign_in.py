"""Signing in by name and password or by a link that works once, with a second factor after it, and signing out."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.qr_code import qr_code
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread, own_path, session_cookie, signed_in, visitor_of
from xfworker.domain.errors import AuthenticationFailed, TooManyRequests
from xfworker.services.platform.signing_in import PendingSignIn
from xfworker.services.platform.tokens import NewToken

_FORM_BYTES = 64 << 10


def sign_in_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of signing in and out."""

    @get("/sign-in", public=True)
    async def show_form(request: AnyRequest) -> Response[Any]:
        target = own_path(request.query_params.get("next"))
        if visitor_of(request) is not None:
            return to_page(target)
        return parts.templates.answer(request, "sign_in.html", target=target, name="", error="")

    @post("/sign-in", public=True, status_code=200, request_max_body_size=_FORM_BYTES)
    async def sign_in(request: AnyRequest) -> Response[Any]:
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        target = own_path(str(form.get("next", "")))
        address = address_of(request)
        try:
            outcome = await parts.passwords(
                lambda: parts.platform.signing_in().by_password(name, password, None, address=address)
            )
        except (AuthenticationFailed, TooManyRequests) as error:
            return parts.templates.answer(
                request, "sign_in.html", status=error.status, target=target, name=name, error=str(error)
            )
        return await _next_step(parts, request, outcome, target)

    @get("/link/{code:str}", public=True)
    async def follow_link(request: AnyRequest, code: FromPath[str]) -> Response[Any]:
        address = address_of(request)
        outcome = await in_thread(lambda: parts.platform.page_sessions().begin(code, address=address))
        return await _next_step(parts, request, outcome, own_path(request.query_params.get("next")))

    @post("/sign-out", status_code=200)
    async def sign_out(request: AnyRequest) -> Response[Any]:
        principal = signed_in(request)
        await in_thread(lambda: parts.platform.page_sessions().end(principal))
        return to_page("/sign-in", cookie=session_cookie(request, ""))

    return [show_form, sign_in, follow_link, sign_out, *_second_steps(parts)]


def _second_steps(parts: PageParts) -> list[ControllerRouterHandler]:
    @post("/sign-in/code", public=True, status_code=200, request_max_body_size=_FORM_BYTES)
    async def enter_code(request: AnyRequest) -> Response[Any]:
        form = await request.form()
        pending, code = str(form.get("pending", "")), str(form.get("code", ""))
        target, address = own_path(str(form.get("next", ""))), address_of(request)
        try:
            session = await parts.passwords(
                lambda: parts.platform.signing_in().with_code(pending, code, address=address)
            )
        except (AuthenticationFailed, TooManyRequests) as error:
            return _code_form(parts, request, pending, target, error)
        return to_page(target, cookie=_cookie(parts, request, session))

    @post("/sign-in/set-up", public=True, status_code=200, request_max_body_size=_FORM_BYTES)
    async def set_up(request: AnyRequest) -> Response[Any]:
        form = await request.form()
        pending, code = str(form.get("pending", "")), str(form.get("code", ""))
        target, address = own_path(str(form.get("next", ""))), address_of(request)
        try:
            begun = await in_thread(lambda: parts.platform.signing_in().with_first_code(pending, code, address=address))
        except AuthenticationFailed as error:
            return await _set_up_form(parts, request, pending, target, error)
        headers = {"Set-Cookie": _cookie(parts, request, begun.session)}
        return parts.templates.answer(
            request, "recovery_codes.html", codes=begun.recovery_codes, target=target, headers=headers
        )

    return [enter_code, set_up]


async def _next_step(
    parts: PageParts, request: AnyRequest, outcome: NewToken | PendingSignIn, target: str
) -> Response[Any]:
    if isinstance(outcome, NewToken):
        return to_page(target, cookie=_cookie(parts, request, outcome))
    if outcome.sets_up:
        return await _set_up_form(parts, request, outcome.text, target)
    return _code_form(parts, request, outcome.text, target)


def _code_form(
    parts: PageParts,
    request: AnyRequest,
    pending: str,
    target: str,
    error: AuthenticationFailed | TooManyRequests | None = None,
) -> Response[Any]:
    status, text = (200, "") if error is None else (error.status, str(error))
    return parts.templates.answer(
        request, "second_factor.html", status=status, pending=pending, target=target, error=text
    )


async def _set_up_form(
    parts: PageParts, request: AnyRequest, pending: str, target: str, error: AuthenticationFailed | None = None
) -> Response[Any]:
    given = await in_thread(lambda: parts.platform.signing_in().set_up(pending))
    return parts.templates.answer(
        request,
        "authenticator.html",
        status=200 if error is None else error.status,
        action="/sign-in/set-up",
        pending=pending,
        target=target,
        secret=given.secret,
        picture=qr_code(given.link),
        is_demanded=True,
        error="" if error is None else str(error),
    )


def _cookie(parts: PageParts, request: AnyRequest, session: NewToken) -> str:
    return session_cookie(request, session.text, int(parts.platform.options.session_seconds))


def address_of(request: AnyRequest) -> str:
    """Give the address that a request came from."""
    return request.client.host if request.client else ""


def to_page(path: str, *, cookie: str | None = None) -> Response[Any]:
    """Send the browser to a page of ours."""
    headers = dict(PAGE_HEADERS)
    if cookie is not None:
        headers["Set-Cookie"] = cookie
    return Redirect(path, status_code=303, headers=headers)
