"""Routes of second factors: one's own, and those that administrators remove."""

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.web.exchange import AnyRequest, answer_message, caller, in_thread, message, serial_in_range
from xfworker.adapters.web.password_work import PasswordWork
from xfworker.adapters.wire.accounts import FirstCode, NewAuthenticator, OwnProof, RecoveryCodes, SecondFactorEntry
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.second_factors import SecondFactors

_NO_STORE = {"Cache-Control": "no-store"}


def second_factor_routes(platform: Platform, passwords: PasswordWork) -> list[ControllerRouterHandler]:
    """Give the routes of second factors."""

    def factors(request: AnyRequest) -> SecondFactors:
        return platform.second_factors_for(caller(request))

    @get("/accounts/{serial:int}/second-factor")
    async def get_second_factor(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        state = await in_thread(lambda: factors(request).state(serial_in_range(serial)))
        return answer_message(SecondFactorEntry.of(state))

    @post("/accounts/{serial:int}/second-factor")
    async def begin(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, OwnProof, "the request")
        account = serial_in_range(serial)
        given = await passwords.run(lambda: factors(request).begin(account, body.password or "", body.code))
        return answer_message(NewAuthenticator.of(given), 201, _NO_STORE)

    @post("/accounts/{serial:int}/second-factor/confirmation", status_code=200)
    async def confirm(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, FirstCode, "the request")
        codes = await in_thread(lambda: factors(request).confirm(serial_in_range(serial), body.code))
        return answer_message(RecoveryCodes(recovery_codes=list(codes)), headers=_NO_STORE)

    @post("/accounts/{serial:int}/second-factor/removal", status_code=204)
    async def remove(request: AnyRequest, serial: FromPath[int]) -> None:
        body = await message(request, OwnProof, "the request")
        account = serial_in_range(serial)
        await passwords.run(lambda: factors(request).remove(account, body.password, body.code))

    return [get_second_factor, begin, confirm, remove]
