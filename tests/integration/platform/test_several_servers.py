"""Several servers over one PostgreSQL database: whatever one began, another goes on with."""

import base64
import hashlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import urllib3
from sqlalchemy import text

from benchmarks.queue_history import record_history
from tests.contract.suites.postgresql import make_databases, postgresql_server
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.records import Project, Worker


@pytest.fixture(scope="module")
def databases():
    with postgresql_server() as server:
        yield make_databases(server, "served", "joined", "killed", "new")


@pytest.fixture(scope="module")
def two(databases, tmp_path_factory):
    """Two servers with one data folder, each on a port of its own, as two computers behind a balancer are."""
    data, address = tmp_path_factory.mktemp("data"), databases["served"]
    with EmbeddedServer(data, database=address) as first, EmbeddedServer(data, database=address) as second:
        yield first, second


def server(embedded, token=None):
    return HttpXFServer(HttpTransport(embedded.url, token=token or embedded.admin_token))


def test_a_token_of_one_server_is_good_at_the_other_and_revoked_at_both_at_once(two):
    first, second = two
    http = urllib3.PoolManager()
    admin = {"Authorization": f"Bearer {first.admin_token}"}
    account = {"name": "anna", "password": "correct horse battery"}
    made = http.request("POST", f"{first.url}/xf/v1/accounts", json=account, headers=admin)
    assert made.status == 201
    logged_in = http.request("POST", f"{first.url}/xf/v1/login", json=account).json()
    token = logged_in["token"]
    assert server(second, token).find(Project) == []
    url = f"{first.url}/xf/v1/accounts/{made.json()['serial']}"
    assert http.request("PATCH", url, json={"disabled": True}, headers=admin).status == 200
    for one in two:
        with pytest.raises(AuthenticationFailed):
            server(one, token).find(Project)


def test_one_idempotency_key_makes_one_record_however_many_servers_get_it(two):
    with ThreadPoolExecutor() as threads:
        made = [
            threads.submit(server(two[number % 2]).create, Project(name="once"), idempotency_key="one key")
            for number in range(6)
        ]
    assert len({future.result().serial for future in made}) == 1


def test_a_lease_of_one_server_is_renewed_at_the_other(two):
    queues = [HttpJobQueue(HttpTransport(one.url, token=one.admin_token)) for one in two]
    worker = queues[0].register(Worker(name="bench"))
    assert queues[1].register(Worker(name="bench")).serial == worker.serial


def test_an_upload_goes_on_at_another_server_and_the_one_before_writes_no_more(two):
    first, second = two
    content = os.urandom(300_000)
    resource = parse_resource("userdata/moved.bin")
    token = server(first).file_token([Scope(verb, resource) for verb in ("read", "write")]).token
    http = urllib3.PoolManager()
    tus = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
    named = base64.b64encode(str(resource).encode()).decode()
    created = http.request(
        "POST",
        f"{first.url}/fss/v1/uploads",
        headers={**tus, "Upload-Length": str(len(content)), "Upload-Metadata": f"resource {named}"},
    )
    assert created.status == 201
    path = f"/fss/v1/{created.headers['Location']}"
    at = 0
    for number, part in enumerate((content[:100_000], content[100_000:200_000], content[200_000:])):
        url = two[number % 2].url + path
        assert http.request("HEAD", url, headers=tus).headers["Upload-Offset"] == str(at)
        headers = {**tus, "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
        assert http.request("PATCH", url, body=part, headers=headers).status == 204
        at += len(part)
    for one in two:
        answer = http.request("GET", f"{one.url}/fss/v1/files/{resource}", headers={"Authorization": f"Bearer {token}"})
        assert answer.data == content
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    asked = http.request(
        "GET",
        f"{second.url}/fss/v1/files/{resource}",
        headers={"Authorization": f"Bearer {token}", "Want-Repr-Digest": "sha-256=9"},
    )
    assert digest in asked.headers.get("Repr-Digest", "")


def test_servers_that_start_at_once_make_one_schema(databases, tmp_path):
    storage = PlatformStorage(data=tmp_path, database=databases["new"])
    with ThreadPoolExecutor() as threads:
        opened = [threads.submit(opened_records, storage) for _ in range(3)]
    for records in (future.result() for future in opened):
        with records.transaction(write=False) as transaction:
            assert transaction.find(Project) == []
        records.close()


def test_servers_whose_settings_differ_are_refused_and_one_has_its_turn_at_maintenance(databases, tmp_path):
    storage = PlatformStorage(data=tmp_path, database=databases["joined"])
    first, second, third = (opened_records(storage) for _ in range(3))
    try:
        assert first.join({"lease_seconds": "60"})
        assert not second.join({"lease_seconds": "60"})
        with pytest.raises(ConfigurationError, match="lease_seconds is 60 there and 30 here"):
            third.join({"lease_seconds": "30"})
        with first.maintenance_turn() as has_turn, second.maintenance_turn() as has_turn_as_well:
            assert (has_turn, has_turn_as_well) == (True, False)
        with second.maintenance_turn() as has_turn:
            assert has_turn
        first.close()
        with pytest.raises(ConfigurationError):
            third.join({"lease_seconds": "30"})
        second.close()
        assert third.join({"lease_seconds": "30"})
    finally:
        for records in (first, second, third):
            records.close()


def test_a_session_that_was_cut_joins_again(databases, tmp_path):
    storage = PlatformStorage(data=tmp_path, database=databases["joined"])
    records, other = opened_records(storage), opened_records(storage)
    try:
        assert records.join({"a": "1"})
        with other.engine.connect() as connection:
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        with pytest.raises(Exception, match="cannot be reached"), records.maintenance_turn():
            pass
        with records.maintenance_turn() as has_turn:
            assert has_turn
        with pytest.raises(ConfigurationError, match="a is 1 there"):
            other.join({"a": "2"})
    finally:
        records.close()
        other.close()


def test_many_clients_at_two_servers_see_one_queue_while_one_server_is_killed(databases, tmp_path):
    address = databases["killed"]
    with EmbeddedServer(tmp_path, database=address) as first, EmbeddedServer(tmp_path, database=address) as second:
        history, violations = record_history([first, second], clients=6, runs=10, seed=1, disturb=second.kill)
    assert violations == []
    assert len(history.held) >= 20


def test_a_process_of_several_that_dies_is_started_again(databases, tmp_path):
    address = databases["joined"]
    with EmbeddedServer(tmp_path, database=address, processes=2) as embedded:
        parent = psutil.Process(embedded.pid)
        processes = {child.pid for child in parent.children()}
        assert len(processes) == 2
        project = server(embedded).create(Project(name="p"))
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        while len({child.pid for child in parent.children()} - processes) < 2:
            time.sleep(0.05)
        assert server(embedded).get(Project, project.serial) == project
        log = (tmp_path / "server.log").read_text()
    assert "was killed by signal 9; it is started again" in log
    assert not [pid for pid in psutil.pids() if pid in processes]
