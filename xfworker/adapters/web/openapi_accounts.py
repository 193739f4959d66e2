"""The part of the OpenAPI document that is about accounts, tokens and who shares which project."""

from typing import Any

Schema = dict[str, Any]

_PROBLEM: Schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_SERIAL: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER_OR_NULL: Schema = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 36500}, {"type": "null"}]}
_TIME_OR_NULL: Schema = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
_PASSWORD: Schema = {"type": "string", "minLength": 8, "maxLength": 1024}

_ACCOUNT: Schema = {"serial": _SERIAL, "name": _TEXT, "administrator": _FLAG, "disabled": _FLAG}
_TOKEN: Schema = {
    "serial": _SERIAL,
    "account_serial": {"type": "integer"},
    "name": _TEXT,
    "created_at": _TIME_OR_NULL,
    "expires_at": _TIME_OR_NULL,
}
_NEW_TOKEN: Schema = {**_TOKEN, "token": _TEXT}
_MEMBER: Schema = {
    "project_serial": _SERIAL,
    "account_serial": _SERIAL,
    "role": {"type": "string", "enum": ["Owner", "Member"]},
}


def account_paths() -> Schema:
    """Give the paths."""
    account, token, member = _path("serial"), _path("serial"), [*_path("serial"), *_path("account")]
    login = _operation("log_in", "A token for a name and its password.", _NEW_TOKEN, body=_LOGIN)
    login["security"] = []
    return {
        "/xf/v1/login": {"post": login},
        "/xf/v1/accounts": {
            "get": _operation("list_accounts", "List accounts.", _items(_ACCOUNT)),
            "post": _operation("add_account", "Make an account.", _ACCOUNT, status="201", body=_NEW_ACCOUNT),
        },
        "/xf/v1/accounts/{serial}": {
            "patch": _operation("change_account", "Change an account.", _ACCOUNT, account, body=_ACCOUNT_CHANGE)
        },
        "/xf/v1/accounts/{serial}/tokens": {
            "post": _operation(
                "add_token", "Make a token for a program.", _NEW_TOKEN, account, status="201", body=_WANTED_TOKEN
            )
        },
        "/xf/v1/worker-tokens": {
            "post": _operation(
                "add_worker_token", "Make a token for a worker.", _NEW_TOKEN, status="201", body=_WORKER_TOKEN
            )
        },
        "/xf/v1/tokens": {"get": _operation("list_tokens", "List tokens, without their texts.", _items(_TOKEN))},
        "/xf/v1/tokens/{serial}": {
            "delete": _operation("revoke_token", "Make a token useless.", None, token, status="204")
        },
        "/xf/v1/projects/{serial}/members": {
            "get": _operation("list_members", "List who sees a project.", _items(_MEMBER), _path("serial"))
        },
        "/xf/v1/projects/{serial}/members/{account}": {
            "put": _operation("share_project", "Let an account see a project.", _MEMBER, member),
            "delete": _operation(
                "unshare_project", "Let an account see a project no longer.", None, member, status="204"
            ),
        },
    }


def _path(name: str) -> list[Schema]:
    return [{"name": name, "in": "path", "required": True, "schema": dict(_SERIAL)}]


def _object(properties: Schema, *, closed: bool = False, optional: tuple[str, ...] = ()) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "required": sorted(set(properties) - set(optional)),
    }
    return found | ({"additionalProperties": False} if closed else {})


def _items(properties: Schema) -> Schema:
    return {"items": {"type": "array", "items": _object(properties)}}


def _operation(
    name: str,
    summary: str,
    answer: Schema | None,
    parameters: list[Schema] | None = None,
    *,
    status: str = "200",
    body: Schema | None = None,
) -> Schema:
    done: Schema = {"description": "Done."}
    if answer is not None:
        done["content"] = {"application/json": {"schema": _object(answer)}}
    problems = {code: {"description": "Refused.", "content": _PROBLEM} for code in _REFUSALS}
    found: Schema = {"operationId": name, "summary": summary, "responses": {status: done, **problems}}
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


_REFUSALS = ("400", "401", "403", "404", "409", "422")
_LOGIN = _object({"name": _TEXT, "password": _TEXT}, closed=True)
_NEW_ACCOUNT = _object(
    {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"},
        "password": _PASSWORD,
        "administrator": _FLAG,
    },
    closed=True,
    optional=("administrator",),
)
_ACCOUNT_CHANGE = _object(
    {"password": _PASSWORD, "administrator": _FLAG, "disabled": _FLAG},
    closed=True,
    optional=("password", "administrator", "disabled"),
)
_WANTED_TOKEN = _object({"name": _TEXT, "days": _NUMBER_OR_NULL}, closed=True, optional=("name", "days"))
_WORKER_TOKEN = _object({"name": _TEXT}, closed=True)
