"""Signing in by name and password or by a link that works once, and signing out."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.page.session import AnyRequest, in_thread, own_path, session_cookie, signed_in, visitor_of
from xfworker.domain.errors import AuthenticationFailed, TooManyRequests
from xfworker.services.platform.principal import Principal, PrincipalKind
from xfworker.services.platform.tokens import NewToken

_NOBODY = Principal(kind=PrincipalKind.USER, name="nobody")
_FORM_BYTES = 64 << 10


def sign_in_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of signing in and out."""
    seconds = int(parts.platform.options.session_seconds)

    def begun(request: AnyRequest, session: NewToken) -> str:
        return session_cookie(request, session.text, seconds)

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
        accounts = parts.platform.accounts_for(_NOBODY)
        try:
            session = await parts.passwords(lambda: accounts.log_in(name, password, address=address))
        except (AuthenticationFailed, TooManyRequests) as error:
            return parts.templates.answer(
                request, "sign_in.html", status=error.status, target=target, name=name, error=str(error)
            )
        return to_page(target, cookie=begun(request, session))

    @get("/link/{code:str}", public=True)
    async def follow_link(request: AnyRequest, code: FromPath[str]) -> Response[Any]:
        address = address_of(request)
        session = await in_thread(lambda: parts.platform.page_sessions().begin(code, address=address))
        target = own_path(request.query_params.get("next"))
        return to_page(target, cookie=begun(request, session))

    @post("/sign-out", status_code=200)
    async def sign_out(request: AnyRequest) -> Response[Any]:
        principal = signed_in(request)
        await in_thread(lambda: parts.platform.page_sessions().end(principal))
        return to_page("/sign-in", cookie=session_cookie(request, ""))

    return [show_form, sign_in, follow_link, sign_out]


def address_of(request: AnyRequest) -> str:
    """Give the address that a request came from."""
    return request.client.host if request.client else ""


def to_page(path: str, *, cookie: str | None = None) -> Response[Any]:
    """Send the browser to a page of ours."""
    headers = dict(PAGE_HEADERS)
    if cookie is not None:
        headers["Set-Cookie"] = cookie
    return Redirect(path, status_code=303, headers=headers)
