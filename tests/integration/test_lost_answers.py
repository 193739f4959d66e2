"""What is sent again when an answer was lost: what changes nothing twice, or carries the key of the first time."""

import re

import pytest
from attrs import evolve

from tests.integration.test_hostile_server import Hostile, answer, listening
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.sns_server import HttpSnsServer
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.change import Change
from xfworker.domain.errors import ProtocolViolation, ServerError
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.queries import CombinedQuery
from xfworker.domain.records import Job, Project, Task, TaskType, Worker
from xfworker.ports.job_queue import Lease

TRIES = 3
LIMITS = HttpLimits(attempts=TRIES, backoff_seconds=0.001)
FILE = parse_resource("job_result/1/a.bin")
LEASE = Lease(
    job=Job(serial=3, task_serial=2, worker_serial=1, attempt=1),
    task=Task(serial=2, workflow_serial=1, task_type_serial=1),
    task_type=TaskType(serial=1, name="Lab.Some"),
    server_auth="",
    expires_at=ManualClock().now(),
)
STARTED = evolve(LEASE, job=evolve(LEASE.job, started_at=ManualClock().now()))
CRASHED = Outcome(ending=Ending.CRASHED)


@pytest.fixture
def mute():
    """A server that reads each request and hangs up."""
    with listening(Hostile()) as server:
        yield server


@pytest.fixture
def transport(mute):
    made = HttpTransport(mute.url, token="t", limits=LIMITS, clock=ManualClock())
    yield made
    made.close()


def sent(mute, ask):
    """Give how often a request was sent, and the keys that it carried."""
    with pytest.raises(ServerError):
        ask()
    assert len({head.partition(b"\r\n")[0] for head in mute.heads}) == 1
    keys = [re.search(rb"(?mi)^idempotency-key: (\S+)", head) for head in mute.heads]
    return len(mute.heads), {key and key[1] for key in keys}


def test_a_file_is_deleted_once(mute):
    token = AuthorizationToken(url=f"{mute.url}/fss/v1", token="t", scopes=(Scope("delete", FILE),))
    store = HttpFileStore(limits=LIMITS, clock=ManualClock())
    assert sent(mute, lambda: store.delete(token, FILE)) == (1, {None})
    store.close()


@pytest.mark.parametrize("repeat", [None, False])
def test_a_request_of_which_nothing_is_said_is_sent_once(mute, transport, repeat):
    assert sent(mute, lambda: transport.request("POST", "/x", doing="ask", repeat=repeat)) == (1, {None})


@pytest.mark.parametrize(
    "ask",
    [
        lambda transport: HttpWorkflowControl(transport).start_run(1),
        lambda transport: HttpWorkflowControl(transport).copy_run(1),
        lambda transport: HttpWorkflowControl(transport).append_task(1, 2, inputs=[]),
        lambda transport: HttpWorkflowControl(transport).restart_job(3),
        lambda transport: HttpWorkflowControl(transport).abort_job(3),
        lambda transport: HttpXFServer(transport).create(Project(name="bones")),
        lambda transport: HttpXFServer(transport).update(Job, 1, Change(values={"/state": "Aborted"})),
        lambda transport: HttpXFServer(transport).update(Job, 1, Change(values={"/name": "x"}, expected_version=1)),
        lambda transport: HttpJobQueue(transport).claim(1),
        lambda transport: HttpJobQueue(transport).claim(1, job_serial=3),
    ],
)
def test_what_makes_something_is_sent_again_under_the_key_of_the_first_time(mute, transport, ask):
    count, keys = sent(mute, lambda: ask(transport))
    assert (count, len(keys)) == (TRIES, 1)
    assert keys != {None}


@pytest.mark.parametrize(
    "ask",
    [
        lambda transport: HttpXFServer(transport).get(Project, 1),
        lambda transport: HttpXFServer(transport).find(Project),
        lambda transport: HttpXFServer(transport).combined_query(CombinedQuery(parts={"projects": "all"})),
        lambda transport: HttpXFServer(transport).file_token([Scope("read", FILE)]),
        lambda transport: HttpJobQueue(transport).register(Worker(name="bench")),
        lambda transport: HttpJobQueue(transport).heartbeat([LEASE]),
        lambda transport: HttpJobQueue(transport).end(LEASE, Outcome(ending=Ending.CRASHED)),
        lambda transport: HttpXFServer(transport).update(Project, 1, Change(values={"/name": "x"})),
        lambda transport: HttpSnsServer(transport, ManualClock()).measurements(),
    ],
)
def test_what_says_the_same_again_is_sent_again(mute, transport, ask):
    assert sent(mute, lambda: ask(transport)) == (TRIES, {None})


@pytest.mark.parametrize(
    "ask",
    [
        lambda transport: HttpWorkflowControl(transport).start_run(1, idempotency_key="own"),
        lambda transport: HttpWorkflowControl(transport).copy_run(1, idempotency_key="own"),
        lambda transport: HttpWorkflowControl(transport).append_task(1, 2, inputs=[], idempotency_key="own"),
        lambda transport: HttpWorkflowControl(transport).restart_job(3, idempotency_key="own"),
        lambda transport: HttpWorkflowControl(transport).abort_job(3, idempotency_key="own"),
        lambda transport: HttpXFServer(transport).create(Project(name="bones"), idempotency_key="own"),
    ],
)
def test_a_key_of_the_callers_own_is_the_one_that_is_sent(mute, transport, ask):
    assert sent(mute, lambda: ask(transport)) == (TRIES, {b"own"})


def test_each_claim_has_a_key_of_its_own(mute, transport):
    queue = HttpJobQueue(transport)
    _, first = sent(mute, lambda: queue.claim(1))
    mute.heads.clear()
    _, second = sent(mute, lambda: queue.claim(1))
    assert first != second


@pytest.mark.parametrize(
    ("status", "headers", "is_again"),
    [
        ("503 Busy", {}, False),
        ("500 Failed", {}, False),
        ("503 Busy", {"Idempotency-Key": "k"}, True),
        ("500 Failed", {"Idempotency-Key": "k"}, True),
        ("501 No", {"Idempotency-Key": "k"}, False),
    ],
)
def test_an_error_that_may_pass_is_tried_again_where_that_does_nothing_twice(
    mute, transport, status, headers, is_again
):
    mute.pieces = [answer(status, "Connection: close")]
    with pytest.raises(ServerError):
        transport.request("POST", "/x", doing="ask", headers=headers)
    assert (len(mute.heads) > 1) == is_again


def test_a_server_that_names_a_time_is_left_alone_for_so_long(mute):
    clock = ManualClock()
    limits = HttpLimits(attempts=TRIES, backoff_seconds=0.001, patience_seconds=20.0)
    transport, begun = HttpTransport(mute.url, limits=limits, clock=clock), clock.monotonic()
    mute.pieces = [answer("429 Slow", "Retry-After: 7", "Connection: close")]
    with pytest.raises(ServerError):
        transport.request("GET", "/x", doing="ask")
    assert clock.monotonic() - begun >= 14
    assert 2 <= len(mute.heads) <= 4
    transport.close()


def test_the_end_of_a_job_is_reported_whatever_its_message_holds(mute, transport):
    outcome = Outcome(ending=Ending.CRASHED, message="half a pair: \ud800, and \x00")
    assert sent(mute, lambda: HttpJobQueue(transport).end(LEASE, outcome)) == (TRIES, {None})


class Recording:
    """A transport that keeps what is sent."""

    url = "http://127.0.0.1"

    def request(self, *_, json_body, **__):
        self.sent = json_body
        raise ServerError("nobody answers")


@pytest.mark.parametrize("ask", [lambda queue: queue.heartbeat([STARTED]), lambda queue: queue.end(STARTED, CRASHED)])
def test_an_attempt_is_named_by_its_beginning_as_well(ask):
    transport = Recording()
    with pytest.raises(ServerError):
        ask(HttpJobQueue(transport))
    [named] = transport.sent.get("leases", [transport.sent])
    assert (named["job_serial"], named["attempt"]) == (3, 1)
    assert named["started_at"].startswith(f"{STARTED.job.started_at:%Y-%m-%dT%H:%M:%S}")


def test_pages_that_lead_back_to_themselves_end(mute, transport):
    mute.pieces = [answer("200 OK", "Content-Type: application/json", body=b'{"items": [], "next": "the-same"}')]
    with pytest.raises(ProtocolViolation, match="the same page"):
        HttpXFServer(transport).find(Project)


def test_a_token_is_not_shown_by_mistake(mute, transport):
    for shown in (transport, HttpXFServer(transport), HttpJobQueue(transport), HttpWorkflowControl(transport)):
        assert repr(shown) == f"{type(shown).__name__}({mute.url!r})"
