"""Questions that are more than one record: sequences, combined queries, file tokens, configuration."""

from typing import Any

from litestar import Response, Router, get, post

from xfworker.adapters.web.exchange import AnyRequest, answer, caller, in_thread, json_object, whole
from xfworker.domain.conversion import format_time, to_json
from xfworker.domain.errors import InvalidParameter, InvalidRecord
from xfworker.domain.files import AuthorizationToken, scopes_from_json, scopes_to_json
from xfworker.domain.queries import QUERY_PARTS, CombinedQuery, Sequence
from xfworker.services.platform.platform import Platform

_NARROWING = ("project_serial", "job_serial", "task_type_serial", "dependency_package_serial")


def question_router(platform: Platform) -> Router:
    """Give the routes of all questions."""

    @get("/output-values")
    async def output_values(request: AnyRequest) -> Response[bytes]:
        sequence = _sequence(request.query_params.get("task_serial"), request.query_params.get("key"))

        def read() -> list[dict[str, Any]]:
            found = platform.server_for(caller(request)).output_values(sequence)
            return [
                {"job_serial": item.job_serial, "run_serial": item.run_serial, "value": item.value} for item in found
            ]

        return answer({"items": await in_thread(read)})

    @post("/combined-query", status_code=200)
    async def combined_query(request: AnyRequest) -> Response[bytes]:
        query = read_query(await json_object(request))

        def ask() -> dict[str, Any]:
            found = platform.server_for(caller(request)).combined_query(query)
            return {part: [to_json(record) for record in records] for part, records in found.items()}

        return answer(await in_thread(ask))

    @post("/fss-tokens")
    async def file_token(request: AnyRequest) -> Response[bytes]:
        body = await json_object(request)
        scopes = body.get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(item, list) for item in scopes):
            fault = "scopes: expected an array of pairs [verb, resource]"
            raise InvalidRecord(fault, (fault,))
        wanted = scopes_from_json(scopes)
        token = await in_thread(lambda: platform.server_for(caller(request)).file_token(wanted))
        return answer(token_json(token), 201, {"Cache-Control": "no-store"})

    @get("/config")
    async def global_config(request: AnyRequest) -> Response[bytes]:
        return answer(await in_thread(lambda: platform.server_for(caller(request)).global_config()))

    return Router(path="/", route_handlers=[output_values, combined_query, file_token, global_config])


def token_json(token: AuthorizationToken) -> dict[str, Any]:
    """Write a file token as it travels."""
    return {
        "url": token.url,
        "token": token.token,
        "expires_at": None if token.expires_at is None else format_time(token.expires_at),
        "scopes": scopes_to_json(token.scopes),
    }


def read_query(body: dict[str, Any]) -> CombinedQuery:
    """
    Read the body of a combined query.

    Raises:
        InvalidRecord: A key is unknown or of the wrong type.
    """
    faults = [f"{key}: is no part of a combined query" for key in sorted(set(body) - {"parts", *_NARROWING})]
    parts = body.get("parts", {})
    if not isinstance(parts, dict) or not all(isinstance(selector, str) for selector in parts.values()):
        faults.append(f"parts: expected an object of selectors by part ({', '.join(QUERY_PARTS)})")
    if faults:
        raise InvalidRecord("the combined query is malformed: " + "; ".join(faults), faults)
    serials = {name: whole(body[name], name) for name in _NARROWING if body.get(name) is not None}
    return CombinedQuery(parts=parts, **serials)


def _sequence(task_serial: str | None, key: str | None) -> Sequence:
    if task_serial is None or not (task_serial.isascii() and task_serial.isdigit() and len(task_serial) < 19):  # noqa: PLR2004  fits 64 bits
        raise InvalidParameter("task_serial: expected the serial of a task")
    if key is None or "\x00" in key:
        raise InvalidParameter("key: expected the key of an output")
    return Sequence(task_serial=int(task_serial), key=key)
