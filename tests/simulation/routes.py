"""A server's routes without its web framework: messages in, messages or problem documents out."""

import json
from urllib.parse import parse_qsl, urlsplit

from attrs import asdict

from tests.simulation.versions import Version, answered_by, received_by
from xfworker.adapters.web.xf_routes.search import conditions, cursor_after, page_limit, read_cursor
from xfworker.adapters.wire.codec import read, write
from xfworker.adapters.wire.problem import PROBLEM_TYPE, http_problem_body, problem_body
from xfworker.adapters.wire.queries import FileToken, FileTokenRequest
from xfworker.adapters.wire.queue import Claim, Claimed, End, Heartbeat, LeaseStatuses
from xfworker.adapters.wire.records import Items, RecordChange
from xfworker.adapters.wire.runs import RunStart
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import XFWorkerError
from xfworker.domain.files import scopes_from_json
from xfworker.domain.queries import OutputValue, Sequence
from xfworker.domain.records import RECORD_KINDS, Worker

_BASE = "/xf/v1/"


def answered(platform, version, bearer, request):
    """
    Answer a request.

    Args:
        platform: The server's platform.
        version: Which version the server has.
        bearer: The token of whoever asks.
        request: Method, path with query, body as JSON or ``None``, idempotency key or ``None``.

    Returns:
        Status, media type and body.
    """
    method, path, body, key = request
    if version is Version.OTHER:
        return 404, PROBLEM_TYPE, http_problem_body(404, f"no route {path}")
    try:
        body = received_by(version, path, None if body is None else json.loads(body))
        answer = _routed(platform, platform.authenticate(bearer), method, path, body, key)
    except XFWorkerError as error:
        return error.status, PROBLEM_TYPE, problem_body(error)
    return 200, "application/json", json.dumps(answered_by(version, answer)).encode()


def _routed(platform, principal, method, path, body, key):
    parts = urlsplit(path)
    match method, *parts.path.removeprefix(_BASE).split("/"):
        case "POST", "queue", what:
            return _queued(platform.queue_for(principal), what, body, key)
        case "POST", "workflows" | "jobs", serial, what:
            return to_json(_controlled(platform.control_for(principal), what, int(serial), body, key))
        case "POST", "fss-tokens":
            scopes = scopes_from_json(read(FileTokenRequest, body, "the request").scopes)
            return write(FileToken.of_token(platform.server_for(principal).file_token(scopes)))
        case "GET", "output-values":
            asked = dict(parse_qsl(parts.query))
            sequence = Sequence(task_serial=int(asked["task_serial"]), key=asked["key"])
            return write(Items[OutputValue](items=platform.server_for(principal).output_values(sequence)))
        case _, collection, *serial:
            server, kind = platform.server_for(principal), RECORD_KINDS[collection]
            return _record(server, kind, method, int(serial[0]) if serial else None, parts.query, body, key)


def _controlled(control, what, serial, body, key):
    match what:
        case "runs":
            start = asdict(read(RunStart, body, "the run's start"), recurse=False)
            return control.start_run(serial, **start, idempotency_key=key)
        case "restart":
            return control.restart_job(serial, idempotency_key=key)
        case "abort":
            return control.abort_job(serial, idempotency_key=key)


def _queued(queue, what, body, key):
    match what:
        case "workers":
            return to_json(queue.register(from_json(Worker, body)))
        case "claims":
            claim = read(Claim, body, "the claim")
            lease = queue.claim(claim.worker_serial, job_serial=claim.job_serial, offer=claim.offer, claim_key=key)
            return write(Claimed(lease=lease))
        case "heartbeats":
            beat = read(Heartbeat, body, "the heartbeat")
            attempts = [lease.held() for lease in beat.leases]
            return write(LeaseStatuses(leases=queue.renew(beat.worker_serial, attempts)))
        case "ends":
            end = read(End, body, "the end")
            return to_json(queue.end_attempt(end.held(), end.outcome))


def _record(server, kind, method, serial, query, body, key):
    match method:
        case "GET" if serial is not None:
            return to_json(server.get(kind, serial))
        case "GET":
            return _page(server, kind, parse_qsl(query, keep_blank_values=True))
        case "POST":
            return to_json(server.create(from_json(kind, body), idempotency_key=key))
        case "PATCH":
            change = read(RecordChange, body, "the change").change()
            return to_json(server.update(kind, serial, change, idempotency_key=key))


def _page(server, kind, parameters):
    asked = dict(parameters)
    limit, after = page_limit(asked.get("limit")), read_cursor(asked.get("cursor"))
    where = conditions(kind, parameters)
    found = server.encoded_page(kind, where, after=after, limit=limit + 1, most_bytes=1 << 30)
    cursor = cursor_after(found[limit - 1].position) if len(found) > limit else None
    return {"items": [json.loads(record.body) for record in found[:limit]], "next": cursor}
