"""
The wire protocol as an OpenAPI 3.1 document, made from the record classes.

``python -m xfworker.adapters.web.openapi > docs/openapi.json`` writes the document that is checked in.
"""

import json
import sys
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

import attrs

from xfworker.adapters.web.openapi_accounts import account_paths
from xfworker.adapters.web.openapi_files import FILE_TOKEN, file_paths, measurement_paths
from xfworker.adapters.web.xf_routes.search import PAGE, searchable_fields
from xfworker.domain.job_outcome import Ending
from xfworker.domain.queries import QUERY_PARTS
from xfworker.domain.records import RECORD_KINDS, Job, Record, RunPriority

Schema = dict[str, Any]

_SERIAL: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_OBJECT: Schema = {"type": "object"}
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_SERVER_SET = ("serial", "occ_lock_version", "created_at", "modified_at")
_PROBLEMS = {
    "400": "The request cannot be understood.",
    "401": "The token is missing or not accepted.",
    "403": "The caller may not do this, or its attempt at a job is over.",
    "404": "There is no such record, or the caller may not see it.",
    "409": "The record moved on; `current` is what it is now.",
    "422": "A value, a reference or a change of state is not allowed; `faults` lists all.",
    "423": "The record is locked or obsolete.",
    "429": "Too many requests; try again later.",
    "503": "The server is busy; try again later.",
}


@cache
def document_text() -> str:
    """Give the document as JSON text."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """Give the document."""
    paths: dict[str, Any] = {}
    for kind in RECORD_KINDS.values():
        paths |= _record_paths(kind)
    paths |= _question_paths() | _queue_paths() | _control_paths() | account_paths() | _open_paths()
    paths |= file_paths() | measurement_paths()
    schemas = {kind.__name__: _record_schema(kind) for kind in RECORD_KINDS.values()}
    schemas |= {f"New{kind.__name__}": _new_record_schema(kind) for kind in RECORD_KINDS.values()}
    schemas |= {"Change": _CHANGE, "Problem": _PROBLEM, "Lease": _LEASE, "Outcome": _OUTCOME}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "xfworker",
            "version": "1",
            "description": "The wire protocol of the built-in XF server, version 1. See docs/protocol.md.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                FILE_TOKEN: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The `token` that `POST /xf/v1/fss-tokens` gives, for the scopes it was asked for.",
                },
            },
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _field_schema(annotation: Any) -> Schema:
    choices = get_args(annotation)
    if type(None) in choices:
        inner = next(choice for choice in choices if choice is not type(None))
        return {"anyOf": [_field_schema(inner), {"type": "null"}]}
    origin = get_origin(annotation) or annotation
    if origin is list:
        return {"type": "array", "items": dict(_OBJECT)}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"type": "string", "enum": [choice.value for choice in annotation]}
    known: dict[Any, Schema] = {dict: _OBJECT, datetime: _TIME, bool: {"type": "boolean"}, int: {"type": "integer"}}
    return dict(known.get(origin, _TEXT))


def _record_schema(kind: type[Record]) -> Schema:
    fields = {field.name: _field_schema(field.type) for field in attrs.fields(attrs.resolve_types(kind))}
    del fields["extra"]
    for name in _SERVER_SET:
        fields[name] = {**fields[name], "readOnly": True}
    return {
        "type": "object",
        "description": (kind.__doc__ or "").strip().split("\n")[0],
        "properties": fields,
        "required": sorted(fields),
    }


def _new_record_schema(kind: type[Record]) -> Schema:
    own = {
        field.name: field
        for field in attrs.fields(attrs.resolve_types(kind))
        if field.name not in {"extra", *_SERVER_SET}
    }
    return {
        "type": "object",
        "properties": {name: _field_schema(field.type) for name, field in own.items()},
        "required": sorted(name for name, field in own.items() if field.default is attrs.NOTHING),
    }


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answers(schema: Schema | None, *problems: str, status: str = "200", what: str = "Done.") -> Schema:
    found: Schema = {status: {"description": what}}
    if schema is not None:
        found[status]["content"] = {"application/json": {"schema": schema}}
    for problem in sorted({"400", "401", "403", *problems}):
        found[problem] = {
            "description": _PROBLEMS[problem],
            "content": {"application/problem+json": {"schema": _ref("Problem")}},
        }
    return found


def _path_serial() -> Schema:
    return {"name": "serial", "in": "path", "required": True, "schema": dict(_SERIAL)}


def _idempotency_key() -> Schema:
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9._-]+$"}
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": schema,
        "description": "The same request sent again with the same key is granted once.",
    }


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    found: Schema = {"name": name, "in": "query", "schema": schema}
    return found | ({"description": description} if description else {})


def _record_paths(kind: type[Record]) -> Schema:
    name, noun = kind.__name__, kind.noun
    fields = searchable_fields(kind)
    searches = [
        _query(field, {"type": "array", "items": _field_schema(form)}, "Any of these values.")
        for field, form in fields.items()
    ]
    paging = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": PAGE}, "How many records the page holds."),
        _query("cursor", dict(_TEXT), "The `next` of the page before."),
        _query("null", {"type": "array", "items": {"type": "string", "enum": sorted(fields)}}, "May be null as well."),
    ]
    page = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": _ref(name)},
            "next": {"anyOf": [dict(_TEXT), {"type": "null"}]},
        },
        "required": ["items", "next"],
    }
    listing = {
        "operationId": f"list_{kind.collection}",
        "summary": f"List {noun} records, a page at a time.",
        "parameters": [*searches, *paging],
        "responses": _answers(page),
    }
    creation = {
        "operationId": f"create_{kind.collection}",
        "summary": f"Create a record: {noun}.",
        "parameters": [_idempotency_key()],
        "requestBody": _body(_ref(f"New{name}")),
        "responses": _answers(_ref(name), "404", "409", "422", "423", status="201", what="The record as it was made."),
    }
    reading = {
        "operationId": f"get_{kind.collection}",
        "summary": f"Get one record: {noun}.",
        "parameters": [_path_serial()],
        "responses": _answers(_ref(name), "404"),
    }
    change = {
        "operationId": f"change_{kind.collection}",
        "summary": f"Change a record by compare-and-set: {noun}.",
        "parameters": [_path_serial(), _idempotency_key()],
        "requestBody": _body(_ref("Change")),
        "responses": _answers(_ref(name), "404", "409", "422", "423"),
    }
    base = f"/xf/v1/{kind.collection}"
    return {base: {"get": listing, "post": creation}, f"{base}/{{serial}}": {"get": reading, "patch": change}}


def _question_paths() -> Schema:
    value = {
        "type": "object",
        "properties": {
            "job_serial": dict(_SERIAL),
            "run_serial": {"anyOf": [dict(_SERIAL), {"type": "null"}]},
            "value": {},
        },
        "required": ["job_serial", "run_serial", "value"],
    }
    values = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": value}},
        "required": ["items"],
    }
    serials = {
        name: {"anyOf": [dict(_SERIAL), {"type": "null"}]}
        for name in ("project_serial", "job_serial", "task_type_serial", "dependency_package_serial")
    }
    parts = {
        "type": "object",
        "properties": {
            part: {"type": "string", "pattern": "^(all|narrowed|[0-9]{1,18}(,[0-9]{1,18})*)$"} for part in QUERY_PARTS
        },
        "additionalProperties": False,
    }
    query = {"type": "object", "properties": {"parts": parts, **serials}, "additionalProperties": False}
    found = {
        "type": "object",
        "properties": {part: {"type": "array", "items": _ref(kind.__name__)} for part, kind in QUERY_PARTS.items()},
    }
    scope = {
        "type": "array",
        "prefixItems": [{"type": "string", "enum": ["read", "write", "list", "delete"]}, dict(_TEXT)],
        "minItems": 2,
        "maxItems": 2,
    }
    wanted = {
        "type": "object",
        "properties": {"scopes": {"type": "array", "items": scope, "minItems": 1}},
        "required": ["scopes"],
    }
    token = {
        "type": "object",
        "properties": {
            "url": dict(_TEXT),
            "token": dict(_TEXT),
            "expires_at": {"anyOf": [dict(_TIME), {"type": "null"}]},
            "scopes": {"type": "array", "items": scope},
        },
        "required": ["url", "token", "expires_at", "scopes"],
    }
    return {
        "/xf/v1/output-values": {
            "get": {
                "operationId": "get_output_values",
                "summary": "The values of a sequence, in sort order.",
                "parameters": [
                    {**_query("task_serial", {**_SERIAL, "maximum": 10**18 - 1}), "required": True},
                    {**_query("key", dict(_TEXT)), "required": True},
                ],
                "responses": _answers(values, "404", "422"),
            }
        },
        "/xf/v1/combined-query": {
            "post": {
                "operationId": "ask_combined_query",
                "summary": "Several questions at once.",
                "requestBody": _body(query),
                "responses": _answers(found, "404", "422"),
            }
        },
        "/xf/v1/fss-tokens": {
            "post": {
                "operationId": "get_file_token",
                "summary": "Ask for the right to touch files.",
                "requestBody": _body(wanted),
                "responses": _answers(token, "422", status="201", what="The token."),
            }
        },
        "/xf/v1/config": {
            "get": {
                "operationId": "get_config",
                "summary": "The server's configuration as far as scripts may see it.",
                "responses": _answers(dict(_OBJECT)),
            }
        },
    }


def _queue_paths() -> Schema:
    attempt = {"job_serial": dict(_SERIAL), "attempt": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}}
    lease = {
        "type": "object",
        "properties": {"lease": {"anyOf": [_ref("Lease"), {"type": "null"}]}},
        "required": ["lease"],
    }
    status = {
        "type": "object",
        "properties": {"expires_at": dict(_TIME), "abort_requested": {"type": "boolean"}},
        "required": ["expires_at", "abort_requested"],
    }
    claim = {
        "type": "object",
        "properties": {
            "worker_serial": dict(_SERIAL),
            "job_serial": {"anyOf": [dict(_SERIAL), {"type": "null"}]},
        },
        "required": ["worker_serial"],
    }
    beat = {"type": "object", "properties": attempt, "required": sorted(attempt)}
    end = {
        "type": "object",
        "properties": {**attempt, "outcome": _ref("Outcome")},
        "required": ["attempt", "job_serial", "outcome"],
    }
    return {
        "/xf/v1/queue/workers": {
            "post": _operation("register_worker", "Make a worker known.", _ref("NewWorker"), _ref("Worker"))
        },
        "/xf/v1/queue/claims": {
            "post": _operation("claim_job", "Take the next job, or a given one.", claim, lease)
            | {"parameters": [_idempotency_key()]}
        },
        "/xf/v1/queue/heartbeats": {"post": _operation("renew_lease", "Renew a lease.", beat, status)},
        "/xf/v1/queue/ends": {"post": _operation("end_job", "Report how a script ended.", end, _ref(Job.__name__))},
    }


def _control_paths() -> Schema:
    start = {
        "type": "object",
        "properties": {
            "inputs": {"anyOf": [dict(_OBJECT), {"type": "null"}]},
            "outputs": {"anyOf": [dict(_OBJECT), {"type": "null"}]},
            "entity": {"anyOf": [dict(_OBJECT), {"type": "null"}]},
            "task_serial": {"anyOf": [dict(_SERIAL), {"type": "null"}]},
            "name": dict(_TEXT),
            "priority": {"type": "string", "enum": [choice.value for choice in RunPriority]},
        },
        "additionalProperties": False,
    }
    runs = _operation("start_run", "Start a run of a workflow.", start, _ref("Run"), status="201")
    runs["parameters"] = [_path_serial(), _idempotency_key()]
    restart = _operation("restart_job", "Let a job that has ended run again.", None, _ref("Job"))
    abort = _operation("abort_job", "Abort a job.", None, _ref("Job"))
    restart["parameters"] = [_path_serial()]
    abort["parameters"] = [_path_serial()]
    return {
        "/xf/v1/workflows/{serial}/runs": {"post": runs},
        "/xf/v1/jobs/{serial}/restart": {"post": restart},
        "/xf/v1/jobs/{serial}/abort": {"post": abort},
    }


def _operation(name: str, summary: str, body: Schema | None, answer: Schema, *, status: str = "200") -> Schema:
    found: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": _answers(answer, "404", "409", "422", "423", status=status),
    }
    return found if body is None else found | {"requestBody": _body(body)}


def _open_paths() -> Schema:
    health = {
        "type": "object",
        "properties": {"status": dict(_TEXT), "version": dict(_TEXT), "running_jobs": {"type": "integer"}},
        "required": ["running_jobs", "status", "version"],
    }

    def path(name: str, summary: str, media_type: str, schema: Schema) -> Schema:
        answer = {"description": summary, "content": {media_type: {"schema": schema}}}
        return {"get": {"operationId": name, "summary": summary, "security": [], "responses": {"200": answer}}}

    return {
        "/health": path("get_health", "Whether the server works.", "application/json", health),
        "/metrics": path("get_metrics", "Figures for Prometheus.", "text/plain", dict(_TEXT)),
        "/xf/v1/openapi.json": path("get_openapi", "This document.", "application/json", dict(_OBJECT)),
    }


_CHANGE: Schema = {
    "type": "object",
    "description": "What is to be different, by JSON pointers of one or two keys.",
    "properties": {
        "expected_occ_lock_version": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "bump_occ_lock_version": {"type": "boolean", "default": True},
        "values": dict(_OBJECT),
        "removals": {"type": "array", "items": dict(_TEXT)},
    },
    "additionalProperties": False,
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": dict(_TEXT),
        "title": dict(_TEXT),
        "status": {"type": "integer"},
        "detail": dict(_TEXT),
        "faults": {"type": "array", "items": dict(_TEXT)},
        "current": dict(_OBJECT),
    },
    "required": ["detail", "status", "title", "type"],
}
_LEASE: Schema = {
    "type": "object",
    "properties": {
        "job": _ref("Job"),
        "task": _ref("Task"),
        "task_type": _ref("TaskType"),
        "server_auth": dict(_TEXT),
        "expires_at": dict(_TIME),
    },
    "required": ["expires_at", "job", "server_auth", "task", "task_type"],
}
_OUTCOME: Schema = {
    "type": "object",
    "properties": {
        "ending": {"type": "string", "enum": [ending.value for ending in Ending]},
        "message": dict(_TEXT),
        "exit_code": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "signal": {"anyOf": [dict(_TEXT), {"type": "null"}]},
    },
    "required": ["ending"],
}


if __name__ == "__main__":
    sys.stdout.write(document_text())
