"""
Who looks at the page: a session in a cookie, and the token that every form carries.

The cookie holds a token of the platform. No script of the page can read it, other sites' pages do not send it with what
changes anything, and it leaves the browser over TLS only where the page itself came that way.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from http.cookies import Morsel
from typing import Any, TypeVar
from urllib.parse import quote

from anyio import to_thread
from attrs import define, field
from litestar import Request, Response
from litestar.response import Redirect

from xfworker.adapters.page.security import PAGE_HEADERS
from xfworker.adapters.wire.digits import are_plain
from xfworker.domain.errors import AuthenticationFailed, PermissionDenied, RecordNotFound
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import Principal, PrincipalKind

AnyRequest = Request[Any, Any, Any]
Result = TypeVar("Result")

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"
_STATE = "xfworker_visitor"
_PAD_BYTES = 16
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@define(frozen=True)
class Visitor:
    """
    Somebody who is signed in.

    Attributes:
        principal: Who they are to the platform.
        token: The session's token.
    """

    principal: Principal
    token: str = field(repr=False)

    @property
    def name(self) -> str:
        """What the page calls them."""
        return self.principal.name

    @property
    def is_administrator(self) -> bool:
        """Whether they may do everything."""
        return self.principal.is_admin

    def csrf_token(self) -> str:
        """Give a new token for forms; it is another one each time, so that compressed pages do not leak it."""
        secret = _csrf_secret(self.token)
        pad = secrets.token_bytes(len(secret))
        return urlsafe_b64encode(pad + _xor(pad, secret)).decode().rstrip("=")

    def is_own_csrf_token(self, text: str) -> bool:
        """Return whether a token for forms was made in this session."""
        try:
            both = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return False
        pad, masked = both[:_PAD_BYTES], both[_PAD_BYTES:]
        return len(masked) == _PAD_BYTES and hmac.compare_digest(_xor(pad, masked), _csrf_secret(self.token))


def visitor_of(request: AnyRequest) -> Visitor | None:
    """Give who is signed in, or ``None``."""
    visitor: Visitor | None = request.scope["state"].get(_STATE)
    return visitor


def signed_in(request: AnyRequest) -> Principal:
    """
    Give who is signed in.

    Raises:
        AuthenticationFailed: Nobody is.
    """
    visitor = visitor_of(request)
    if visitor is None:
        raise AuthenticationFailed("sign in first")
    return visitor.principal


async def in_thread(work: Callable[[], Result]) -> Result:
    """Do work that waits for a database or a disk in a thread, so that other requests go on."""
    return await to_thread.run_sync(work)


def visits(platform: Platform) -> Callable[[AnyRequest], Awaitable[Response[Any] | None]]:
    """Give the hook that finds out who is asking, and refuses changes that other sites' pages ask for."""

    async def visit(request: AnyRequest) -> Response[Any] | None:
        visitor = await _visitor(platform, request)
        request.scope["state"][_STATE] = visitor
        if visitor is not None:
            request.scope["state"]["xfworker_caller"] = visitor.name
        if not are_plain(request.scope["path"], request.path_params):
            raise RecordNotFound("there is no such page: a serial is written in digits")
        if request.method not in _SAFE_METHODS:
            _require_own_page(request)
            if visitor is not None and not visitor.is_own_csrf_token(await _sent_csrf_token(request)):
                raise PermissionDenied("the form was not this session's; load the page again and repeat what you did")
        if visitor is None and not request.route_handler.opt.get("public"):
            return _to_sign_in(request)
        return None

    return visit


def session_cookie(request: AnyRequest, token: str, seconds: int = 0) -> str:
    """Write the cookie that begins a session of so many seconds; with an empty token, the one that ends it."""
    morsel: Morsel[str] = Morsel()
    morsel.set(_cookie_name(request), token, token)
    morsel["path"] = "/"
    morsel["httponly"] = True
    morsel["samesite"] = "Lax"
    morsel["max-age"] = seconds if token else 0
    if is_secure(request):
        morsel["secure"] = True
    return morsel.OutputString()


def is_secure(request: AnyRequest) -> bool:
    """Return whether the browser speaks https, with this server or with a proxy that it believes."""
    return request.url.scheme == "https"


def own_path(text: str | None) -> str:
    """Give the path to go to after signing in; never another site's."""
    if not text or not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    return text


async def _visitor(platform: Platform, request: AnyRequest) -> Visitor | None:
    token = request.cookies.get(_cookie_name(request))
    if not token:
        return None
    try:
        principal = await in_thread(lambda: platform.authenticate(token))
    except AuthenticationFailed:
        return None
    # A script's or a worker's token in a cookie is not a person.
    return Visitor(principal, token) if principal.kind in (PrincipalKind.USER, PrincipalKind.ADMIN) else None


def _cookie_name(request: AnyRequest) -> str:
    # Cookies know no ports, and several servers on one computer are the rule.
    port = request.headers.get("host", "").rpartition(":")[2]
    name = f"xfworker-{port}" if port.isascii() and port.isdigit() else "xfworker"
    # With this prefix browsers take it over TLS only, for this host alone; so no neighbour can plant one. On loopback
    # without TLS they would not take it at all.
    return f"__Host-{name}" if is_secure(request) else name


def _require_own_page(request: AnyRequest) -> None:
    """
    Refuse what another site's page sends.

    Raises:
        PermissionDenied: The browser says that the request comes from elsewhere.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    host = request.headers.get("host", "")
    if site not in {"same-origin", "none"} or (origin is not None and origin.partition("://")[2] != host):
        raise PermissionDenied("this was sent from a page of another site")


async def _sent_csrf_token(request: AnyRequest) -> str:
    header: str | None = request.headers.get(CSRF_HEADER)
    if header is not None:
        return header
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return ""
    value = (await request.form()).get(CSRF_FIELD)
    return value if isinstance(value, str) else ""


def _to_sign_in(request: AnyRequest) -> Response[Any]:
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        raise AuthenticationFailed("you are not signed in any more; sign in and try again")
    query = f"?{request.url.query}" if request.url.query else ""
    target = quote(f"{request.url.path}{query}", safe="/")
    return Redirect(f"/sign-in?next={target}" if target != "/" else "/sign-in", status_code=303, headers=PAGE_HEADERS)


def _csrf_secret(token: str) -> bytes:
    return hashlib.sha256(b"xfworker form\0" + token.encode()).digest()[:_PAD_BYTES]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
