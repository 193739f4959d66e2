"""What is sent again when an answer was lost: what changes nothing twice, or carries the key of the first time."""

import re

import pytest

from tests.integration.test_hostile_server import Hostile, listening
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.sns_server import HttpSnsServer
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.change import Change
from xfworker.domain.errors import ServerError
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
