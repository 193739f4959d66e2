"""One's own second factor on the page, and administrators' removal of one that was lost."""

from typing import Any

from litestar import Response, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.qr_code import qr_code
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.domain.errors import AuthenticationFailed
from xfworker.ports.authenticator_secrets import NewAuthenticator
from xfworker.services.platform.second_factors import SecondFactors

_MOST_PASSWORD = 1024


def second_factor_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of second factors of those who are signed in."""
    said = strings()["done"]

    def factors(request: AnyRequest) -> SecondFactors:
        return parts.platform.second_factors_for(signed_in(request))

    def set_up_page(
        request: AnyRequest, serial: int, given: NewAuthenticator, error: AuthenticationFailed | None = None
    ) -> Response[Any]:
        return parts.templates.answer(
            request,
            "authenticator.html",
            status=200 if error is None else error.status,
            action=f"/people/{serial}/second-factor/confirm",
            pending="",
            target="/people",
            secret=given.secret,
            picture=qr_code(given.link),
            is_demanded=False,
            error="" if error is None else str(error),
        )

    @post("/people/{serial:int}/second-factor", status_code=200)
    async def begin(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        password, code = await _proof(request)
        given = await parts.passwords(lambda: factors(request).begin(serial, password, code))
        return set_up_page(request, serial, given)

    @post("/people/{serial:int}/second-factor/confirm", status_code=200)
    async def confirm(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        code = await form_value(request, "code")
        try:
            codes = await in_thread(lambda: factors(request).confirm(serial, code))
        except AuthenticationFailed as error:
            given = await in_thread(lambda: factors(request).unconfirmed(serial))
            return set_up_page(request, serial, given, error)
        return parts.templates.answer(request, "recovery_codes.html", codes=codes, target="/people")

    @post("/people/{serial:int}/second-factor/remove", status_code=200)
    async def remove(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        password, code = await _proof(request)
        await parts.passwords(lambda: factors(request).remove(serial, password, code))
        return done(request, said["second_factor_removed"], page="/people")

    return [begin, confirm, remove]


async def _proof(request: AnyRequest) -> tuple[str, str]:
    return await form_value(request, "current_password", most=_MOST_PASSWORD), await form_value(request, "code")
