"""People: accounts, who shares which project, one's own password and sessions."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.page.answers import done, form_value
from xfworker.adapters.page.parts import PageParts
from xfworker.adapters.page.session import AnyRequest, in_thread, signed_in
from xfworker.adapters.page.strings import strings
from xfworker.domain.bookkeeping import MemberRole
from xfworker.domain.errors import UsageError
from xfworker.domain.records import Project
from xfworker.services.platform.accounts import Accounts

_MOST_PASSWORD = 1024
_SIGN_INS_SHOWN = 20


def people_routes(parts: PageParts) -> list[ControllerRouterHandler]:
    """Give the routes of accounts and shares."""

    def accounts(request: AnyRequest) -> Accounts:
        return parts.platform.accounts_for(signed_in(request))

    @get("/people")
    async def people(request: AnyRequest) -> Response[bytes]:
        def read() -> dict[str, Any]:
            own = accounts(request)
            serial = signed_in(request).account_serial
            tokens = [] if serial is None else own.tokens(serial)
            sign_ins = [] if serial is None else own.sign_ins(serial)[:_SIGN_INS_SHOWN]
            factors = parts.platform.second_factors_for(signed_in(request))
            return {
                "accounts": own.all(),
                "tokens": tokens,
                "own": serial,
                "sign_ins": sign_ins,
                "this": signed_in(request).token_key,
                "factor": None if serial is None else factors.state(serial),
                "holders": factors.holders() if signed_in(request).is_admin else frozenset(),
            }

        return parts.templates.answer(request, "people.html", **await in_thread(read))

    return [people, *_account_routes(parts, accounts), *_share_routes(parts, accounts)]


def _account_routes(parts: PageParts, accounts: Any) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @post("/people", status_code=200)
    async def add(request: AnyRequest) -> Response[Any]:
        name = await form_value(request, "name")
        password = await form_value(request, "password", most=_MOST_PASSWORD)
        administrator = await form_value(request, "administrator") == "true"
        await parts.passwords(lambda: accounts(request).add(name, password, administrator=administrator))
        return done(request, said["account_added"], page="/people")

    @post("/people/{serial:int}", status_code=200)
    async def change(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        what, on = await form_value(request, "what"), await form_value(request, "value") == "true"
        if what not in {"administrator", "disabled"}:
            raise UsageError("what: expected administrator or disabled")
        if serial == signed_in(request).account_serial:
            raise UsageError("you cannot do this to your own account; ask another administrator")
        await in_thread(lambda: accounts(request).change(serial, **{what: on}))
        return done(request, said["account_changed"], page="/people")

    @post("/people/{serial:int}/password", status_code=200)
    async def password(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        new, current = [
            await form_value(request, name, most=_MOST_PASSWORD) for name in ("password", "current_password")
        ]
        own = serial == signed_in(request).account_serial
        await parts.passwords(lambda: accounts(request).change(serial, password=new, current_password=current or None))
        # All tokens of the account ended with its password, the one of this session as well.
        return done(request, said["password"], page="/sign-in" if own else "/people", go=own)

    @post("/tokens/{serial:int}/revoke", status_code=200)
    async def revoke(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        await in_thread(lambda: accounts(request).revoke(serial))
        return done(request, said["revoked"], page="/people")

    @post("/people/{serial:int}/sign-out", status_code=200)
    async def end_sessions(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        await in_thread(lambda: accounts(request).end_sessions(serial))
        return done(request, said["sessions_ended"], page="/people")

    return [add, change, password, revoke, end_sessions]


def _share_routes(parts: PageParts, accounts: Any) -> list[ControllerRouterHandler]:
    said = strings()["done"]

    @get("/projects/{serial:int}/people")
    async def shares(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        def read() -> dict[str, Any]:
            project = parts.server(request).get(Project, serial)
            members = accounts(request).members(serial)
            own = signed_in(request)
            owns = own.is_admin or any(
                member.role is MemberRole.OWNER and member.account_serial == own.account_serial for member, _ in members
            )
            return {"project": project, "members": members, "owns": owns}

        return parts.templates.answer(request, "shares.html", **await in_thread(read))

    @post("/projects/{serial:int}/people", status_code=200)
    async def share(request: AnyRequest, serial: FromPath[int]) -> Response[Any]:
        name = await form_value(request, "name")
        await in_thread(lambda: accounts(request).share(serial, name))
        return done(request, said["shared"], page=f"/projects/{serial}/people")

    @post("/projects/{serial:int}/people/{account:int}/remove", status_code=200)
    async def unshare(request: AnyRequest, serial: FromPath[int], account: FromPath[int]) -> Response[Any]:
        await in_thread(lambda: accounts(request).unshare(serial, account))
        return done(request, said["unshared"], page=f"/projects/{serial}/people")

    return [shares, share, unshare]
