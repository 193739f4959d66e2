"""
The wire protocol as an OpenAPI 3.1 document, made from the record classes.

``python -m xfworker.adapters.web.openapi > docs/openapi.json`` writes the document that is checked in.
"""

import json
import sys
from datetime import datetime
from functools import cache
from typing import Any

from xfworker.adapters.web.openapi_accounts import account_paths
from xfworker.adapters.web.openapi_files import FILE_TOKEN, file_paths, measurement_paths
from xfworker.adapters.web.openapi_images import image_paths
from xfworker.adapters.web.xf_routes.search import PAGE, searchable_fields
from xfworker.adapters.wire.boards import BoardBody
from xfworker.adapters.wire.disk_space import FileDeletionRequest
from xfworker.adapters.wire.field_types import Serial
from xfworker.adapters.wire.health import Health
from xfworker.adapters.wire.problem import Problem
from xfworker.adapters.wire.queries import CombinedQueryBody, FileToken, FileTokenRequest, SequenceValue
from xfworker.adapters.wire.queue import Claim, Claimed, End, Heartbeat, LeaseStatuses
from xfworker.adapters.wire.records import Items, Page, RecordChange
from xfworker.adapters.wire.runs import AppendedTask, RunCopy, RunStart
from xfworker.adapters.wire.schema import (
    COMPONENTS,
    Schema,
    first_line,
    message_schema,
    new_record_schema,
    record_schema,
    reference,
    schema,
)
from xfworker.domain.disk_space import DiskUse, FreedFiles
from xfworker.domain.queries import QUERY_PARTS
from xfworker.domain.records import RECORD_KINDS, Job, Record, Run, Task, Worker

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
    """Give the document as JSON."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def areas() -> frozenset[str]:
    """Give what stands before the first parameter in each path, by at most three segments: ``xf/v1/jobs``."""
    literal = (path.partition("{")[0].strip("/").split("/")[:3] for path in _paths())
    return frozenset("/".join(parts) for parts in literal)


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for kind in RECORD_KINDS.values():
        paths |= _record_paths(kind)
    paths |= _question_paths() | _queue_paths() | _control_paths() | _overview_paths() | account_paths() | _open_paths()
    return paths | file_paths() | measurement_paths() | image_paths([{"bearer": []}, {FILE_TOKEN: []}])


def document() -> dict[str, Any]:
    paths = _paths()
    schemas = {kind.__name__: record_schema(kind) for kind in RECORD_KINDS.values()}
    schemas |= {f"New{kind.__name__}": new_record_schema(kind) for kind in RECORD_KINDS.values()}
    schemas |= {
        name: message_schema(kind, description=first_line(kind))
        for name, kind in {"Change": RecordChange, "Problem": Problem}.items()
    }
    schemas |= {kind.__name__: message_schema(kind) for kind in COMPONENTS}
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


def _body(content: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": content}}}


def _answers(answer: Schema, *problems: str, status: str = "200", what: str = "Done.") -> Schema:
    answers: Schema = {status: {"description": what, "content": {"application/json": {"schema": answer}}}}
    for problem in sorted({"400", "401", "403", "429", "503", *problems}):
        answers[problem] = {
            "description": _PROBLEMS[problem],
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        }
    return answers


def _path_serial() -> Schema:
    return {"name": "serial", "in": "path", "required": True, "schema": schema(Serial)}


def _idempotency_key() -> Schema:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9._-]+$"},
        "description": "The same request sent again with the same key is carried out once.",
    }


def _query(name: str, kind: Schema, description: str = "") -> Schema:
    parameter: Schema = {"name": name, "in": "query", "schema": kind}
    return parameter | ({"description": description} if description else {})


def _record_paths(kind: type[Record]) -> Schema:
    name, noun = kind.__name__, kind.noun
    fields = searchable_fields(kind)
    searches = [
        _query(field, {"type": "array", "items": schema(form)}, "Any of these values.")
        for field, form in fields.items()
    ]
    paging = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": PAGE}, "How many records the page holds."),
        _query("cursor", schema(str), "The `next` of the page before."),
        _query("null", {"type": "array", "items": {"type": "string", "enum": sorted(fields)}}, "May be null as well."),
    ]
    listing = {
        "operationId": f"list_{kind.collection}",
        "summary": f"List {noun} records, a page at a time.",
        "parameters": [*searches, *paging],
        "responses": _answers(schema(Page[kind], answered=True)),  # type: ignore[valid-type]  # a class of records
    }
    creation = {
        "operationId": f"create_{kind.collection}",
        "summary": f"Create a record: {noun}.",
        "parameters": [_idempotency_key()],
        "requestBody": _body(reference(f"New{name}")),
        "responses": _answers(
            reference(name), "404", "409", "422", "423", status="201", what="The record as it was made."
        ),
    }
    reading = {
        "operationId": f"get_{kind.collection}",
        "summary": f"Get one record: {noun}.",
        "parameters": [_path_serial()],
        "responses": _answers(reference(name), "404"),
    }
    change = {
        "operationId": f"change_{kind.collection}",
        "summary": f"Change a record by compare-and-set: {noun}.",
        "parameters": [_path_serial(), _idempotency_key()],
        "requestBody": _body(reference("Change")),
        "responses": _answers(reference(name), "404", "409", "422", "423"),
    }
    base = f"/xf/v1/{kind.collection}"
    return {base: {"get": listing, "post": creation}, f"{base}/{{serial}}": {"get": reading, "patch": change}}


def _question_paths() -> Schema:
    result = {
        "type": "object",
        "properties": {part: schema(list[kind]) for part, kind in QUERY_PARTS.items()},  # type: ignore[valid-type]  # as above
    }
    return {
        "/xf/v1/output-values": {
            "get": {
                "operationId": "get_output_values",
                "summary": "The values of a sequence, in sort order.",
                "parameters": [
                    {**_query("task_serial", {**schema(Serial), "maximum": 10**18 - 1}), "required": True},
                    {**_query("key", schema(str)), "required": True},
                ],
                "responses": _answers(schema(Items[SequenceValue], answered=True), "404", "422"),
            }
        },
        "/xf/v1/combined-query": {
            "post": {
                "operationId": "ask_combined_query",
                "summary": "Several questions at once.",
                "requestBody": _body(schema(CombinedQueryBody)),
                "responses": _answers(result, "404", "422"),
            }
        },
        "/xf/v1/fss-tokens": {
            "post": {
                "operationId": "get_file_token",
                "summary": "Ask for the right to touch files.",
                "requestBody": _body(schema(FileTokenRequest)),
                "responses": _answers(schema(FileToken, answered=True), "422", status="201", what="The token."),
            }
        },
        "/xf/v1/config": {
            "get": {
                "operationId": "get_config",
                "summary": "The server's configuration as far as scripts may see it.",
                "responses": _answers(schema(dict)),
            }
        },
    }


def _queue_paths() -> Schema:
    return {
        "/xf/v1/queue/workers": {
            "post": _operation("register_worker", "Register a worker.", reference("NewWorker"), Worker)
        },
        "/xf/v1/queue/claims": {
            "post": _operation("claim_job", "Take the next job, or a certain one.", schema(Claim), Claimed)
            | {"parameters": [_idempotency_key()]}
        },
        "/xf/v1/queue/heartbeats": {
            "post": _operation("renew_leases", "Renew all leases of a worker.", schema(Heartbeat), LeaseStatuses)
        },
        "/xf/v1/queue/ends": {"post": _operation("end_job", "Report how a script ended.", schema(End), Job)},
    }


def _control_paths() -> Schema:
    runs = _operation("start_run", "Start a run of a workflow.", schema(RunStart), Run, status="201")
    runs["parameters"] = [_path_serial(), _idempotency_key()]
    copies = _operation("copy_run", "Start a run with the inputs of another one.", schema(RunCopy), Run, status="201")
    copies["parameters"] = [_path_serial(), _idempotency_key()]
    tasks = _operation("append_task", "Let a new task follow a job.", schema(AppendedTask), Task, status="201")
    tasks["parameters"] = [_path_serial(), _idempotency_key()]
    restart = _operation("restart_job", "Let a job that has ended run again.", None, Job)
    abort = _operation("abort_job", "Abort a job.", None, Job)
    restart["parameters"] = [_path_serial(), _idempotency_key()]
    abort["parameters"] = [_path_serial(), _idempotency_key()]
    return {
        "/xf/v1/workflows/{serial}/runs": {"post": runs},
        "/xf/v1/runs/{serial}/copies": {"post": copies},
        "/xf/v1/jobs/{serial}/tasks": {"post": tasks},
        "/xf/v1/jobs/{serial}/restart": {"post": restart},
        "/xf/v1/jobs/{serial}/abort": {"post": abort},
    }


def _overview_paths() -> Schema:
    board = _operation("get_board", "A workflow's runs, tasks and jobs at a glance.", None, BoardBody)
    since = _query("since", schema(datetime), "Only what was changed since then; the `read_at` of the answer before.")
    board["parameters"] = [_path_serial(), since]
    disk = _operation("get_disk_space", "What files take, for administrators; it may take minutes.", None, DiskUse)
    deletion = _operation(
        "delete_files", "Delete the files of obsolete runs for good.", schema(FileDeletionRequest), Items[FreedFiles]
    )
    return {
        "/xf/v1/workflows/{serial}/board": {"get": board},
        "/xf/v1/disk-space": {"get": disk},
        "/xf/v1/file-deletions": {"post": deletion},
    }


def _operation(name: str, summary: str, body: Schema | None, answer: type, *, status: str = "200") -> Schema:
    operation: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": _answers(schema(answer, answered=True), "404", "409", "422", "423", status=status),
    }
    return operation if body is None else operation | {"requestBody": _body(body)}


def _open_paths() -> Schema:
    def path(name: str, summary: str, media_type: str, kind: type) -> Schema:
        answer = {"description": summary, "content": {media_type: {"schema": schema(kind, answered=True)}}}
        return {"get": {"operationId": name, "summary": summary, "security": [], "responses": {"200": answer}}}

    return {
        "/health": path("get_health", "Whether the server works.", "application/json", Health),
        "/metrics": path("get_metrics", "Figures for Prometheus.", "text/plain", str),
        "/xf/v1/openapi.json": path("get_openapi", "This document.", "application/json", dict),
    }


if __name__ == "__main__":
    sys.stdout.write(document_text())
