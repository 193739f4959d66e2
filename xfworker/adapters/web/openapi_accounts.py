"""The part of the OpenAPI document that is about accounts, tokens and who shares which project."""

from xfworker.adapters.wire.accounts import (
    AccountChange,
    AccountEntry,
    FirstCode,
    Login,
    Member,
    NewAccount,
    NewAuthenticator,
    NewMember,
    NewPageLink,
    NewToken,
    NewTokenRequest,
    NewWorkerTokenRequest,
    OwnProof,
    RecoveryCodes,
    SecondFactorEntry,
    SignInEntry,
    TokenEntry,
)
from xfworker.adapters.wire.field_types import Serial
from xfworker.adapters.wire.records import Items
from xfworker.adapters.wire.schema import Schema, reference, schema

_PROBLEM: Schema = {"application/problem+json": {"schema": reference("Problem")}}


def account_paths() -> Schema:
    account, token, member = _path("serial"), _path("serial"), [*_path("serial"), *_path("account")]
    login = _operation(
        "log_in", "A token for a name, its password and, where it has one, its second factor.", NewToken, body=Login
    )
    login["security"] = []
    return {
        "/xf/v1/login": {"post": login},
        "/xf/v1/accounts": {
            "get": _operation("list_accounts", "List accounts.", Items[AccountEntry]),
            "post": _operation("add_account", "Make an account.", AccountEntry, status="201", body=NewAccount),
        },
        "/xf/v1/accounts/{serial}": {
            "patch": _operation("change_account", "Change an account.", AccountEntry, account, body=AccountChange)
        },
        "/xf/v1/accounts/{serial}/sign-ins": {
            "get": _operation(
                "list_sign_ins",
                "List the tries to sign in to an account, the newest first.",
                Items[SignInEntry],
                account,
            )
        },
        "/xf/v1/accounts/{serial}/sessions": {
            "delete": _operation(
                "end_sessions", "End all sessions of an account but the caller's own.", None, account, status="204"
            )
        },
        **_second_factor_paths(account),
        "/xf/v1/accounts/{serial}/tokens": {
            "post": _operation(
                "add_token", "Make a token for a program.", NewToken, account, status="201", body=NewTokenRequest
            )
        },
        "/xf/v1/worker-tokens": {
            "post": _operation(
                "add_worker_token", "Make a token for a worker.", NewToken, status="201", body=NewWorkerTokenRequest
            )
        },
        "/xf/v1/tokens": {"get": _operation("list_tokens", "List tokens, without their values.", Items[TokenEntry])},
        "/xf/v1/tokens/{serial}": {
            "delete": _operation("revoke_token", "Make a token useless.", None, token, status="204")
        },
        "/xf/v1/page-links": {
            "post": _operation(
                "add_page_link", "Make a link that signs the caller in on the page, once.", NewPageLink, status="201"
            )
        },
        "/xf/v1/projects/{serial}/members": {
            "get": _operation("list_members", "List who sees a project.", Items[Member], _path("serial")),
            "post": _operation(
                "share_project_by_name",
                "Let the account of a name see a project.",
                Member,
                _path("serial"),
                status="201",
                body=NewMember,
            ),
        },
        "/xf/v1/projects/{serial}/members/{account}": {
            "put": _operation("share_project", "Let an account see a project.", Member, member),
            "delete": _operation(
                "unshare_project", "Let an account see a project no longer.", None, member, status="204"
            ),
        },
    }


def _second_factor_paths(account: list[Schema]) -> Schema:
    base = "/xf/v1/accounts/{serial}/second-factor"
    return {
        base: {
            "get": _operation(
                "get_second_factor", "Give what is known of an account's second factor.", SecondFactorEntry, account
            ),
            "post": _operation(
                "begin_second_factor",
                "Begin to set up the caller's second factor; it counts once it was confirmed.",
                NewAuthenticator,
                account,
                status="201",
                body=OwnProof,
            ),
        },
        f"{base}/confirmation": {
            "post": _operation(
                "confirm_second_factor",
                "Let the second factor count that was begun; all other sessions of the account end.",
                RecoveryCodes,
                account,
                body=FirstCode,
            )
        },
        f"{base}/removal": {
            "post": _operation(
                "remove_second_factor",
                "Remove a second factor: one's own, or as an administrator one that was lost; sessions end.",
                None,
                account,
                status="204",
                body=OwnProof,
            )
        },
    }


def _path(name: str) -> list[Schema]:
    return [{"name": name, "in": "path", "required": True, "schema": schema(Serial)}]


def _operation(
    name: str,
    summary: str,
    answer: type | None,
    parameters: list[Schema] | None = None,
    *,
    status: str = "200",
    body: type | None = None,
) -> Schema:
    done: Schema = {"description": "Done."}
    if answer is not None:
        done["content"] = {"application/json": {"schema": schema(answer, answered=True)}}
    problems = {code: {"description": "Refused.", "content": _PROBLEM} for code in _REFUSALS}
    operation: Schema = {"operationId": name, "summary": summary, "responses": {status: done, **problems}}
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema(body)}}}
    return operation


_REFUSALS = ("400", "401", "403", "404", "409", "422", "429", "503")
