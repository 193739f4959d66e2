"""Routes of accounts: logins, accounts, personal and worker tokens, who shares which project."""

from collections.abc import Callable
from typing import Any

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from xfworker.adapters.web.exchange import AnyRequest, answer, caller, in_thread, json_object, serial_in_range
from xfworker.domain.bookkeeping import Account, PersonalToken, ProjectMember
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import InvalidRecord
from xfworker.services.platform.accounts import Accounts, NewToken
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import Principal, PrincipalKind

_NOBODY = Principal(kind=PrincipalKind.USER, name="nobody")
_AccountsOf = Callable[[AnyRequest], Accounts]
_NO_STORE = {"Cache-Control": "no-store"}


def login_route(platform: Platform) -> Any:
    """Give the one route below /xf/v1 that needs no token."""

    @post("/xf/v1/login", status_code=200)
    async def log_in(request: AnyRequest) -> Response[bytes]:
        body = fields(await json_object(request), name=str, password=str)
        token = await in_thread(lambda: platform.accounts_for(_NOBODY).log_in(body["name"], body["password"]))
        return answer(new_token_json(token), headers=_NO_STORE)

    return log_in


def account_router(platform: Platform) -> Router:
    """Give the routes of accounts, tokens and members."""

    def accounts(request: AnyRequest) -> Accounts:
        return platform.accounts_for(caller(request))

    return Router(
        path="/", route_handlers=[*_account_routes(accounts), *_token_routes(accounts), *_member_routes(accounts)]
    )


def _account_routes(accounts: _AccountsOf) -> list[ControllerRouterHandler]:
    @get("/accounts")
    async def list_accounts(request: AnyRequest) -> Response[bytes]:
        found = await in_thread(lambda: accounts(request).all())
        return answer({"items": [account_json(account) for account in found]})

    @post("/accounts")
    async def add_account(request: AnyRequest) -> Response[bytes]:
        body = fields(await json_object(request), name=str, password=str, administrator=(bool, False))
        return answer(account_json(await in_thread(lambda: accounts(request).add(**body))), 201)

    @patch("/accounts/{serial:int}")
    async def change_account(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        wanted = fields(
            await json_object(request), password=(str, None), administrator=(bool, None), disabled=(bool, None)
        )
        changed = await in_thread(lambda: accounts(request).change(serial_in_range(serial), **wanted))
        return answer(account_json(changed))

    return [list_accounts, add_account, change_account]


def _token_routes(accounts: _AccountsOf) -> list[ControllerRouterHandler]:
    @get("/tokens")
    async def list_tokens(request: AnyRequest) -> Response[bytes]:
        found = await in_thread(lambda: accounts(request).tokens())
        return answer({"items": [token_json(token) for token in found]})

    @post("/accounts/{serial:int}/tokens")
    async def add_token(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        body = fields(await json_object(request), name=(str, ""), days=(float, None))
        token = await in_thread(lambda: accounts(request).add_token(serial_in_range(serial), **body))
        return answer(new_token_json(token), 201, _NO_STORE)

    @post("/worker-tokens")
    async def add_worker_token(request: AnyRequest) -> Response[bytes]:
        body = fields(await json_object(request), name=str)
        token = await in_thread(lambda: accounts(request).add_worker_token(body["name"]))
        return answer(new_token_json(token), 201, _NO_STORE)

    @delete("/tokens/{serial:int}")
    async def revoke_token(request: AnyRequest, serial: FromPath[int]) -> None:
        await in_thread(lambda: accounts(request).revoke(serial_in_range(serial)))

    return [list_tokens, add_token, add_worker_token, revoke_token]


def _member_routes(accounts: _AccountsOf) -> list[ControllerRouterHandler]:
    @get("/projects/{serial:int}/members")
    async def list_members(request: AnyRequest, serial: FromPath[int]) -> Response[bytes]:
        found = await in_thread(lambda: accounts(request).members(serial_in_range(serial)))
        return answer({"items": [member_json(member) for member in found]})

    @put("/projects/{serial:int}/members/{account:int}")
    async def share(request: AnyRequest, serial: FromPath[int], account: FromPath[int]) -> Response[bytes]:
        places = serial_in_range(serial), serial_in_range(account)
        return answer(member_json(await in_thread(lambda: accounts(request).share(*places))))

    @delete("/projects/{serial:int}/members/{account:int}")
    async def unshare(request: AnyRequest, serial: FromPath[int], account: FromPath[int]) -> None:
        places = serial_in_range(serial), serial_in_range(account)
        await in_thread(lambda: accounts(request).unshare(*places))

    return [list_members, share, unshare]


def account_json(account: Account) -> dict[str, Any]:
    """Write an account as it travels, without its password's hash."""
    return {
        "serial": account.serial,
        "name": account.name,
        "administrator": account.administrator,
        "disabled": account.disabled,
    }


def token_json(token: PersonalToken) -> dict[str, Any]:
    """Write a token as it is listed, without its text."""
    return {
        "serial": token.serial,
        "account_serial": token.account_serial,
        "name": token.name,
        "created_at": None if token.created_at is None else format_time(token.created_at),
        "expires_at": None if token.expires_at is None else format_time(token.expires_at),
    }


def new_token_json(token: NewToken) -> dict[str, Any]:
    """Write a new token with its text, this once."""
    return {**token_json(token.record), "token": token.text}


def member_json(member: ProjectMember) -> dict[str, Any]:
    """Write who sees a project."""
    return {
        "project_serial": member.project_serial,
        "account_serial": member.account_serial,
        "role": member.role.value,
    }


def fields(body: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    """
    Read the fields of a request's body.

    Args:
        body: The body.
        **wanted: By name the type of the field, or the type and its default.

    Raises:
        InvalidRecord: A field is missing, unknown or of another type.
    """
    names = {str: "string", bool: "bool", float: "number"}
    found: dict[str, Any] = {}
    faults = [f"{name}: is not known here" for name in sorted(set(body) - set(wanted))]
    for name, kind in wanted.items():
        expected, *default = kind if isinstance(kind, tuple) else (kind,)
        value = body.get(name)
        if value is None and default:
            found[name] = default[0]
        elif expected is float and isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
        elif type(value) is expected and "\x00" not in str(value):
            found[name] = value
        else:
            faults.append(f"{name}: expected {names[expected]}")
    if faults:
        raise InvalidRecord("the request is malformed: " + "; ".join(faults), faults)
    return found
