"""Bodies that are held open while their job goes on without them: what a done job's file holds stays what it was."""

import base64
import hashlib
import http.client
import time

import pytest

from tests.chaos.laboratory import Server
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Worker
from xfworker.testing.contracts.worlds import HttpWorld, Setting

_LATE = b"what the late body brings" * 4000
_GOOD = b"what the attempt stored that is done"


class Place:
    """A server with a job, and the wire as it is."""

    def __init__(self, server):
        self.server = server
        transport = HttpTransport(server.url, token=server.admin_token)
        queue, control = HttpJobQueue(transport), HttpWorkflowControl(transport)
        self.world = HttpWorld(HttpXFServer(transport), queue, url=server.url, control=control)
        self.setting = Setting.make(self.world)
        self.worker = queue.register(Worker(name="bench")).serial

    def claimed(self, job):
        return self.world.queue.claim(self.worker, job_serial=job.serial)

    def token(self, lease):
        resource = record_resource("job_result", lease.job.serial, "result.bin")
        scopes = [Scope(verb, resource) for verb in ("read", "write")]
        return resource, self.setting.script(lease).file_token(scopes).token

    def stored(self, lease, content):
        resource, token = self.token(lease)
        status, _, _ = self.asked("PUT", f"/fss/v1/files/{resource}", token, content)
        assert status in (200, 201, 204)

    def done(self, lease, content):
        self.stored(lease, content)
        serial = lease.job.serial
        named = {"type": "ForeignFile", "source": "job_result", "job_serial": serial, "filename": "result.bin"}
        change = Change(values={"/outputs": {"out": named}, "/state": JobState.DONE.value})
        self.setting.script(lease).update(Job, lease.job.serial, change)

    def ended(self, lease, ending=Ending.FINISHED):
        self.world.queue.end(lease, Outcome(ending=ending))

    def asked(self, method, path, token, body=b"", **headers):
        connection = self.begun(method, path, token, len(body), **headers)
        connection.send(body)
        return answered(connection)

    def begun(self, method, path, token, size, **headers):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        connection.putrequest(method, path)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Authorization": f"Bearer {token}", "Content-Length": str(size), **named}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def digest(self, job):
        resource = record_resource("job_result", job.serial, "result.bin")
        token = self.world.admin.file_token([Scope("read", resource)]).token
        status, _, content = self.asked("GET", f"/fss/v1/files/{resource}", token)
        return hashlib.sha256(content).hexdigest() if status == 200 else None


def answered(connection):
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    data = tmp_path_factory.mktemp("edge")
    with Server(data, f"sqlite:///{data / 'records.sqlite'}") as server:
        yield Place(server)


def slow_put(place, lease):
    resource, token = place.token(lease)
    return place.begun("PUT", f"/fss/v1/files/{resource}", token, len(_LATE))


def slow_tus(place, lease):
    resource, token = place.token(lease)
    named = base64.b64encode(str(resource).encode()).decode()
    tus = {"Tus_Resumable": "1.0.0", "Upload_Length": str(len(_LATE)), "Upload_Metadata": f"resource {named}"}
    status, headers, _ = place.asked("POST", "/fss/v1/uploads", token, **tus)
    assert status == 201
    kind = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    return place.begun("PATCH", f"/fss/v1/{headers['Location']}", token, len(_LATE), **kind)


def finishes(place, lease):
    """The same attempt stores the file another way and is done, while the body is on its way."""
    place.done(lease, _GOOD)


def finishes_and_ends(place, lease):
    place.done(lease, _GOOD)
    place.ended(lease)


def is_aborted(place, lease):
    place.stored(lease, _GOOD)
    place.world.control.abort_job(lease.job.serial)


def is_restarted_and_done_by_another(place, lease):
    place.ended(lease, Ending.CRASHED)
    place.world.control.restart_job(lease.job.serial)
    other = place.claimed(lease.job)
    assert other.attempt == lease.attempt + 1
    place.done(other, _GOOD)
    place.ended(other)


def is_claimed_by_another(place, lease):
    place.ended(lease, Ending.HANDED_BACK)
    other = place.claimed(lease.job)
    place.stored(other, _GOOD)


@pytest.mark.parametrize("held", [slow_put, slow_tus])
@pytest.mark.parametrize(
    "happens", [finishes, finishes_and_ends, is_aborted, is_restarted_and_done_by_another, is_claimed_by_another]
)
def test_a_body_that_comes_too_late_changes_nothing(place, held, happens):
    lease = place.claimed(place.setting.job())
    connection = held(place, lease)
    connection.send(_LATE[: len(_LATE) // 2])
    happens(place, lease)
    before = place.digest(lease.job)
    connection.send(_LATE[len(_LATE) // 2 :])
    status, _, _ = answered(connection)
    assert 400 <= status < 500
    assert place.digest(lease.job) == before == hashlib.sha256(_GOOD).hexdigest()


def test_a_body_outlives_its_lease(tmp_path):
    with Server(tmp_path, f"sqlite:///{tmp_path / 'records.sqlite'}", lease_seconds=2) as server:
        place = Place(server)
        held = []
        for begin in (slow_put, slow_tus):
            lease = place.claimed(place.setting.job())
            place.stored(lease, _GOOD)
            connection = begin(place, lease)
            connection.send(_LATE[: len(_LATE) // 2])
            held.append((lease, connection))
        while any(place.world.admin.get(Job, lease.job.serial).state is JobState.RUNNING for lease, _ in held):
            time.sleep(0.1)
        for lease, connection in held:
            connection.send(_LATE[len(_LATE) // 2 :])
            status, _, _ = answered(connection)
            assert 400 <= status < 500
            assert place.digest(lease.job) == hashlib.sha256(_GOOD).hexdigest()


@pytest.mark.parametrize("held", [slow_put, slow_tus])
def test_a_body_that_comes_in_time_is_stored_whatever_its_pace(place, held):
    lease = place.claimed(place.setting.job())
    connection = held(place, lease)
    connection.send(_LATE[:1])
    place.world.queue.heartbeat([lease])
    connection.send(_LATE[1:])
    status, _, _ = answered(connection)
    assert status in (200, 201, 204)
    assert place.digest(lease.job) == hashlib.sha256(_LATE).hexdigest()
