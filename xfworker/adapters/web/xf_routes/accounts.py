"""Routes of accounts: logins, accounts, personal and worker tokens, who shares which project."""

from collections.abc import Callable
from typing import Any

from attrs import asdict
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.web.exchange import AnyRequest, answer_message, caller, in_thread, message, serial_in_range
from xfworker.adapters.web.password_work import PasswordWork
from xfworker.adapters.web.xf_routes.second_factors import second_factor_routes
from xfworker.adapters.wire.accounts import (
    AccountChange,
    AccountEntry,
    Login,
    Member,
    NewAccount,
    NewMember,
    NewPageLink,
    NewToken,
    NewTokenRequest,
    NewWorkerTokenRequest,
    SignInEntry,
    TokenEntry,
)
from xfworker.adapters.wire.records import Items
from xfworker.services.platform.accounts import Accounts
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import Principal, PrincipalKind

_NOBODY = Principal(kind=PrincipalKind.USER, name="nobody")
_AccountsOf = Callable[[AnyRequest], Accounts]
_LOGIN_BYTES = 64 << 10
_NO_STORE = {"Cache-Control": "no-store"}


def login_route(platform: Platform, passwords: PasswordWork) -> Any:
    """Give the one route below /xf/v1 that needs no token."""

    @post("/xf/v1/login", status_code=200, request_max_body_size=_LOGIN_BYTES)
    async def log_in(request: AnyRequest) -> Response[bytes]:
        body = await message(request, Login, "the request")
        address = request.client.host if request.client else ""
        accounts = platform.accounts_for(_NOBODY)
        token = await passwords.run(lambda: accounts.log_in(body.name, body.password, body.code, address=address))
        return answer_message(NewToken.of(token.record, token=token.text), headers=_NO_STORE)

    return log_in


def account_router(platform: Platform, passwords: PasswordWork) -> Router:
    """Give the routes of accounts, tokens and members."""

    def accounts(request: AnyRequest) -> Accounts:
        return platform.accounts_for(caller(request))

    return Router(
        path="/",
        route_handlers=[
            *_account_routes(accounts, passwords),
            *second_factor_routes(platform, passwords),
            *_token_routes(accounts),
            *_member_routes(accounts),
            _link_route(platform),
        ],
    )


def _account_routes(accounts: _AccountsOf, passwords: PasswordWork) -> list[ControllerRouterHandler]:
    @get("/accounts")
    async def list_accounts(request: AnyRequest) -> Response[bytes]:
        records = await in_thread(lambda: accounts(request).all())
        return answer_message(Items(items=[AccountEntry.of(account) for account in records]))

    @post("/accounts")
    async def add_account(request: AnyRequest) -> Response[bytes]:
        body = await message(request, NewAccount, "the request")
        added = await passwords.run(lambda: accounts(request).add(**asdict(body)))
        return answer_message(AccountEntry.of(added), 201)

    @patch("/accounts/{serial:int}")
    async def change_account(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, AccountChange, "the request")
        changed = await passwords.run(lambda: accounts(request).change(serial_in_range(serial), **asdict(body)))
        return answer_message(AccountEntry.of(changed))

    @get("/accounts/{serial:int}/sign-ins")
    async def list_sign_ins(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        sign_ins = await in_thread(lambda: accounts(request).sign_ins(serial_in_range(serial)))
        return answer_message(Items(items=[SignInEntry.of(sign_in) for sign_in in sign_ins]))

    @delete("/accounts/{serial:int}/sessions")
    async def end_sessions(request: AnyRequest, serial: FromPath[int]) -> None:
        await in_thread(lambda: accounts(request).end_sessions(serial_in_range(serial)))

    return [list_accounts, add_account, change_account, list_sign_ins, end_sessions]


def _token_routes(accounts: _AccountsOf) -> list[ControllerRouterHandler]:
    @get("/tokens")
    async def list_tokens(request: AnyRequest) -> Response[bytes]:
        records = await in_thread(lambda: accounts(request).tokens())
        return answer_message(Items(items=[TokenEntry.of(token) for token in records]))

    @post("/accounts/{serial:int}/tokens")
    async def add_token(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, NewTokenRequest, "the request")
        token = await in_thread(lambda: accounts(request).add_token(serial_in_range(serial), **asdict(body)))
        return answer_message(NewToken.of(token.record, token=token.text), 201, _NO_STORE)

    @post("/worker-tokens")
    async def add_worker_token(request: AnyRequest) -> Response[bytes]:
        body = await message(request, NewWorkerTokenRequest, "the request")
        token = await in_thread(lambda: accounts(request).add_worker_token(body.name))
        return answer_message(NewToken.of(token.record, token=token.text), 201, _NO_STORE)

    @delete("/tokens/{serial:int}")
    async def revoke_token(request: AnyRequest, serial: FromPath[int]) -> None:
        await in_thread(lambda: accounts(request).revoke(serial_in_range(serial)))

    return [list_tokens, add_token, add_worker_token, revoke_token]


def _link_route(platform: Platform) -> ControllerRouterHandler:
    @post("/page-links")
    async def add_page_link(request: AnyRequest) -> Response[bytes]:
        link = await in_thread(lambda: platform.page_sessions().link(caller(request)))
        return answer_message(NewPageLink(path=link.path, expires_at=link.expires_at), 201, _NO_STORE)

    return add_page_link


def _member_routes(accounts: _AccountsOf) -> list[ControllerRouterHandler]:
    @get("/projects/{serial:int}/members")
    async def list_members(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        members = await in_thread(lambda: accounts(request).members(serial_in_range(serial)))
        return answer_message(Items(items=[Member.of(member, name=name) for member, name in members]))

    @post("/projects/{serial:int}/members")
    async def share_by_name(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = await message(request, NewMember, "the request")
        member, name = await in_thread(lambda: accounts(request).share(serial_in_range(serial), body.name))
        return answer_message(Member.of(member, name=name), 201)

    @put("/projects/{serial:int}/members/{account:int}")
    async def share(request: AnyRequest, serial: FromPath[int], account: FromPath[int]) -> Response[bytes]:
        serials = serial_in_range(serial), serial_in_range(account)
        member, name = await in_thread(lambda: accounts(request).share(*serials))
        return answer_message(Member.of(member, name=name))

    @delete("/projects/{serial:int}/members/{account:int}")
    async def unshare(request: AnyRequest, serial: FromPath[int], account: FromPath[int]) -> None:
        serials = serial_in_range(serial), serial_in_range(account)
        await in_thread(lambda: accounts(request).unshare(*serials))

    return [list_members, share_by_name, share, unshare]
