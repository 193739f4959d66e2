"""The event about a request: written once, and before its answer is whole."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
import structlog
from litestar import get
from litestar.testing import TestClient

from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.exchange import idempotency_key
from xfworker.adapters.web.metrics import RequestMetrics
from xfworker.adapters.web.openapi import areas
from xfworker.adapters.web.request_log import RequestLog
from xfworker.domain.errors import UsageError
from xfworker.services.platform.platform import Platform

SCOPE = {"type": "http", "method": "GET", "path": "/xf/v1/jobs", "headers": [(b"x-request-id", b"chosen")]}


def answered(*messages, failure=None):
    """What was written when each message was sent, and in the end; with the figures."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        if failure is not None:
            raise failure

    async def send(message):
        written.append(len(events))

    written, metrics = [], RequestMetrics(areas())
    expected = contextlib.nullcontext() if failure is None else pytest.raises(OSError, match=str(failure))
    with structlog.testing.capture_logs() as events, expected:
        asyncio.run(RequestLog(app, metrics)(SCOPE, None, send))
    return written, events, metrics.render({})


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"a", "more_body": True}


@pytest.mark.parametrize(
    ("messages", "written"),
    [
        ((START, {"type": "http.response.body", "body": b"whole"}), [0, 1]),
        ((START, PART, {"type": "http.response.body"}), [0, 0, 1]),
        ((START, {"type": "http.response.pathsend", "path": "a file"}), [0, 0]),
    ],
)
def test_an_event_is_written_and_counted_once_and_before_the_last_bytes(messages, written):
    before, [event], figures = answered(*messages)
    assert before == written
    assert (event["status"], event["request_id"], event["path"]) == (200, "chosen", "/xf/v1/jobs")
    assert 'xfworker_requests_total{method="GET",area="xf/v1/jobs",status="200"} 1' in figures


def test_an_answer_that_never_became_whole_is_written_as_well():
    _, [event], _ = answered(START, PART, failure=OSError("gone"))
    assert event["status"] == 200
    _, [event], _ = answered(failure=OSError("never began"))
    assert event["status"] == 500


@get("/broken")
async def broken() -> None:
    raise RuntimeError("what is inside: /srv/secret")


def test_an_error_that_nobody_expected_is_logged_in_full_and_answered_without_what_is_inside():
    platform = Platform(MemoryRecordStore(), ManualClock(), MemoryTokenSigner(ManualClock()))
    with (
        structlog.testing.capture_logs() as events,
        TestClient(create_app(platform, routes=[broken]), raise_server_exceptions=False) as client,
    ):
        answer = client.get("/broken", headers={"Authorization": f"Bearer {platform.admin_token()}"})
    assert answer.status_code == 500
    for inside in ("/srv/secret", "RuntimeError", "Traceback", ".py"):
        assert inside not in answer.text
    assert [event for event in events if event["log_level"] == "error" and "/srv/secret" in str(event)]


def test_a_client_that_went_before_its_answer_is_not_an_error_of_the_server():
    _, [event], figures = answered()
    assert event["status"] == 499
    assert 'status="500"' not in figures


@pytest.mark.parametrize(
    ("path", "area"),
    [
        ("/xf/v1/jobs/17/restart", "xf/v1/jobs"),
        ("/xf/v1//jobs", "xf/v1/jobs"),
        ("/fss/v1/files/job_result/1/a.raw", "fss/v1/files"),
        ("/images/v1/link/secret/a.raw", "images/v1"),
        ("/health", "health"),
        ("/xf/v1/invented", "other"),
        ("/fss/v1/invented/jobs", "other"),
        ("/people/7", "other"),
    ],
)
def test_requests_are_counted_by_the_areas_that_there_are(path, area):
    metrics = RequestMetrics(areas())
    metrics.count("GET", path, 200, 0.1)
    assert f'{{method="GET",area="{area}",status="200"}} 1' in metrics.render({})


def test_what_anybody_may_invent_makes_no_figures_of_its_own():
    metrics = RequestMetrics(areas())
    before = None
    for number in range(3):
        metrics.count(f"INVENTED{number}", f"/xf/v1/invented{number}", 404, 0.1)
        size = len(metrics.render({}).splitlines())
        assert before in {None, size}
        before = size


@pytest.mark.parametrize("chosen", [b"", b"a b", b"a\nb", b"x" * 65, b"\xff"])
def test_an_id_that_could_break_a_log_is_not_taken(chosen):
    scope, sent = {**SCOPE, "headers": [(b"x-request-id", chosen)]}, []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.extend(value for name, value in message["headers"] if name == b"x-request-id")

    asyncio.run(RequestLog(app, RequestMetrics())(scope, None, send))
    assert [len(each) for each in sent] == [16]


@pytest.mark.parametrize(("key", "is_taken"), [(None, True), ("k", True), ("k" * 200, True), ("", False)])
def test_an_idempotency_key_is_short_and_printable(key, is_taken):
    request = SimpleNamespace(headers={} if key is None else {"idempotency-key": key})
    if is_taken:
        assert idempotency_key(request) == key
        return
    for refused in (key, "k" * 201, "a\x7fb", "\xad"):
        with pytest.raises(UsageError):
            idempotency_key(SimpleNamespace(headers={"idempotency-key": refused}))
