"""Who may touch files: asked on every request, and again in the step that publishes what a request brought."""

import asyncio
import base64
import hashlib
import json

import pytest
from attrs import define

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.adapters.web.fss.service import MOUNT, FileStorageService
from xfworker.domain.change import Change
from xfworker.domain.errors import (
    AuthenticationFailed,
    InvalidFilename,
    JobAborted,
    LeaseLost,
    PermissionDenied,
    RecordNotFound,
)
from xfworker.domain.files import Scope, parse_resource, record_resource, userdata_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import DependencyPackage, Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.services.platform.file_rights import workflow_of_files
from xfworker.services.platform.platform import Platform

TUS = {"tus-resumable": "1.0.0"}
PATCH = {**TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0"}


@define
class Answer:
    status: int
    headers: dict
    body: bytes = b""


@define
class Lab:
    platform: Platform
    clock: ManualClock
    store: FolderFileStore
    service: FileStorageService

    @classmethod
    def at(cls, folder):
        clock = ManualClock()
        hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
        platform = Platform(MemoryRecordStore(), clock, MemoryTokenSigner(clock), hasher=hasher)
        store = FolderFileStore(folder)
        return cls(platform, clock, store, FileStorageService(store, PartialUploads(store), platform))

    @property
    def admin(self):
        return self.platform.authenticate(self.platform.admin_token())

    def server(self, bearer=None):
        return self.platform.server_for(self.platform.authenticate(bearer) if bearer else self.admin)

    def person(self, name):
        """Make an account and give its serial and the token of its login."""
        accounts = self.platform.accounts_for(self.admin)
        account = accounts.add(name, f"{name}-password")
        return account.serial, accounts.log_in(name, f"{name}-password").text

    def job(self, bearer=None):
        server = self.server(bearer)
        project = server.create(Project(name="bones"))
        workflow = server.create(Workflow(project_serial=project.serial, name="mice", state=WorkflowState.ACTIVE))
        task_type = server.create(TaskType(name=f"T.{project.serial}", version="1.0.0.0"))
        task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name="look"))
        return server.create(Job(task_serial=task.serial, state=JobState.READY))

    def leased(self, job):
        queue = self.platform.queue_for(self.admin)
        return queue.claim(queue.register(Worker(name="bench")).serial, job_serial=job.serial)

    def lose(self):
        """Let every lease run out."""
        self.clock.advance(self.platform.options.lease_seconds + 1)
        self.platform.maintain()

    async def ask(self, method, path, token, *pieces, headers=None, before_last=None):
        """
        Send a request whose body comes in pieces; something may happen before the last one.

        Where a piece is ``None``, the client is gone.
        """
        pending = list(pieces) or [b""]
        answer = Answer(0, {})
        fields = {"authorization": f"Bearer {token.token}", **(headers or {})}

        async def receive():
            piece = pending.pop(0)
            if piece is None:
                return {"type": "http.disconnect"}
            if not pending and before_last is not None:
                await asyncio.to_thread(before_last)
            return {"type": "http.request", "body": piece, "more_body": bool(pending)}

        async def send(message):
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answer.body += message.get("body", b"")

        scope = {
            "type": "http",
            "method": method,
            "path": f"{MOUNT}/{path}",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
        await self.service(scope, receive, send)
        return answer


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


async def put(lab, token, place, old, between):
    return await lab.ask("PUT", f"files/{place}", token, old[:4], old[4:], before_last=between)


async def tus(lab, token, place, old, between):
    name = base64.b64encode(str(place).encode()).decode()
    creation = {**TUS, "upload-length": str(len(old)), "upload-metadata": f"resource {name}"}
    created = await lab.ask("POST", "uploads", token, headers=creation)
    assert created.status == 201
    location = f"uploads/{created.headers['location'].rpartition('/')[2]}"
    return await lab.ask("PATCH", location, token, old[:4], old[4:], headers=PATCH, before_last=between)


@pytest.mark.parametrize("way", [put, tus])
def test_what_an_older_attempt_began_to_store_is_not_published_after_a_newer_one(lab, tmp_path, way):
    job = lab.job()
    first = lab.leased(job)
    place = record_resource("job_result", job.serial, "out.bin")
    old = lab.server(first.server_auth).file_token([Scope("write", place)])

    def overtaken():
        lab.lose()
        second = lab.leased(job)
        assert second.attempt == 2
        new = lab.server(second.server_auth).file_token([Scope("write", place)])
        assert asyncio.run(Lab.ask(lab, "PUT", f"files/{place}", new, b"NEW")).status == 201
        lab.server(second.server_auth).update(Job, job.serial, Change(values={"/state": "Done"}))

    answer = asyncio.run(way(lab, old, place, b"OLD-attempt-1", overtaken))
    assert answer.status == LeaseLost.status
    assert (tmp_path / str(place)).read_bytes() == b"NEW"
    assert not list((tmp_path / ".xfstore").rglob("data"))


@pytest.mark.parametrize("way", [put, tus])
def test_what_arrives_after_its_job_has_ended_is_not_published(lab, tmp_path, way):
    job = lab.job()
    lease = lab.leased(job)
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(lease.server_auth).file_token([Scope("write", place)])

    def ended():
        lab.platform.queue_for(lab.admin).end(lease, Outcome(ending=Ending.CRASHED))

    assert asyncio.run(way(lab, token, place, b"too late", ended)).status == LeaseLost.status
    assert not (tmp_path / str(place)).exists()


@pytest.mark.parametrize("way", [put, tus])
def test_what_arrives_after_an_abort_was_asked_for_is_not_published(lab, tmp_path, way):
    job = lab.job()
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(lab.leased(job).server_auth).file_token([Scope("write", place)])

    def aborted():
        lab.platform.control_for(lab.admin).abort_job(job.serial)

    assert 400 <= asyncio.run(way(lab, token, place, b"too late", aborted)).status < 500
    assert not (tmp_path / str(place)).exists()


async def empty(lab, token, place):
    name = base64.b64encode(str(place).encode()).decode()
    return await lab.ask(
        "POST", "uploads", token, headers={**TUS, "upload-length": "0", "upload-metadata": f"resource {name}"}
    )


async def register(lab, token, place):
    stated = {"resource": str(place), "size": 4, "sha256": hashlib.sha256(b"kept").hexdigest()}
    return await lab.ask("POST", "registrations", token, json.dumps(stated).encode())


async def delete(lab, token, place):
    return await lab.ask("DELETE", f"files/{place}", token)


@pytest.mark.parametrize("way", [empty, register, delete])
def test_a_script_that_is_to_stop_changes_no_file_by_any_other_way_and_reads_its_own(lab, tmp_path, way):
    job = lab.job()
    place = record_resource("job_result", job.serial, "out.bin")
    script = lab.server(lab.leased(job).server_auth)
    token = script.file_token([Scope(verb, place) for verb in ("read", "write", "delete")])
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"kept")).status == 201
    if way is not delete:
        assert asyncio.run(way(lab, token, place)).status < 300
        assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"kept")).status == 201
    before = lab.store.stat(token, place)
    lab.platform.control_for(lab.admin).abort_job(job.serial)
    assert asyncio.run(way(lab, token, place)).status == JobAborted.status
    assert (tmp_path / str(place)).read_bytes() == b"kept"
    assert lab.store.stat(token, place) == before
    assert asyncio.run(lab.ask("GET", f"files/{place}", token)).body == b"kept"


def disabled(lab, project, account):
    lab.platform.accounts_for(lab.admin).change(account, disabled=True)


def unshared(lab, project, account):
    lab.platform.accounts_for(lab.admin).unshare(project, account)


def revoked(lab, project, account):
    accounts = lab.platform.accounts_for(lab.admin)
    for token in accounts.tokens(account):
        accounts.revoke(token.serial)


def new_password(lab, project, account):
    lab.platform.accounts_for(lab.admin).change(account, password="something else")


@pytest.mark.parametrize("ends", [disabled, unshared, revoked, new_password])
def test_file_tokens_end_with_the_rights_of_whose_they_are(lab, ends, tmp_path):
    account, bearer = lab.person("anna")
    job = lab.job()
    lab.platform.accounts_for(lab.admin).share(job.project_serial, account)
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(bearer).file_token([Scope(verb, place) for verb in ("read", "write", "delete")])
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"mine")).status == 201
    assert asyncio.run(lab.ask("GET", f"files/{place}", token)).status == 200
    ends(lab, job.project_serial, account)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert asyncio.run(lab.ask(method, f"files/{place}", token, b"late")).status in {401, 403}
    assert (tmp_path / str(place)).read_bytes() == b"mine"


@pytest.mark.parametrize("ends", [disabled, unshared, revoked])
@pytest.mark.parametrize("way", [put, tus])
def test_rights_that_end_while_a_body_arrives_publish_nothing(lab, tmp_path, ends, way):
    account, bearer = lab.person("anna")
    job = lab.job()
    lab.platform.accounts_for(lab.admin).share(job.project_serial, account)
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(bearer).file_token([Scope("write", place)])
    answer = asyncio.run(way(lab, token, place, b"too late", lambda: ends(lab, job.project_serial, account)))
    assert answer.status in {401, 403}
    assert not (tmp_path / str(place)).exists()


def no_administrator(lab, project, account):
    lab.platform.accounts_for(lab.admin).change(account, administrator=False)


def person(lab, project, *, administrator=False):
    account, bearer = lab.person("anna")
    lab.platform.accounts_for(lab.admin).change(account, administrator=administrator)
    if not administrator:
        lab.platform.accounts_for(lab.admin).share(project, account)
    return account, bearer


def administrator(lab, project):
    return person(lab, project, administrator=True)


def computer(lab, project):
    token = lab.platform.accounts_for(lab.admin).add_worker_token("bench")
    return token.record.serial, token.text


def revoked_worker(lab, project, token):
    lab.platform.accounts_for(lab.admin).revoke(token)


@pytest.mark.parametrize(
    ("runs", "ends"),
    [(person, disabled), (person, unshared), (administrator, no_administrator), (computer, revoked_worker)],
)
def test_a_script_has_no_rights_any_more_once_whoever_runs_it_has_none(lab, tmp_path, runs, ends):
    of_others, job = lab.leased(lab.job()), lab.job()
    whose, bearer = runs(lab, job.project_serial)
    queue = lab.platform.queue_for(lab.platform.authenticate(bearer))
    lease = queue.claim(queue.register(Worker(name="theirs")).serial, job_serial=job.serial)
    place = record_resource("job_result", job.serial, "out.bin")
    token = lab.server(lease.server_auth).file_token([Scope(verb, place) for verb in ("read", "write")])
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"mine")).status == 201
    ends(lab, job.project_serial, whose)
    with pytest.raises(LeaseLost):
        lab.server(lease.server_auth).get(Job, job.serial)
    for method in ("GET", "PUT"):
        assert asyncio.run(lab.ask(method, f"files/{place}", token, b"late")).status == LeaseLost.status
    assert (tmp_path / str(place)).read_bytes() == b"mine"
    after = lab.server().get(Job, job.serial)
    assert (after.state, after.metadata["lost_attempts"]) == (
        JobState.READY,
        ["worker theirs lost its rights during attempt 1"],
    )
    assert lab.server(of_others.server_auth).get(Job, of_others.job.serial).state is JobState.RUNNING


def test_whoever_keeps_rights_keeps_the_jobs_that_they_run(lab):
    job = lab.job()
    account, bearer = person(lab, job.project_serial)
    accounts = lab.platform.accounts_for(lab.admin)
    queue = lab.platform.queue_for(lab.platform.authenticate(bearer))
    lease = queue.claim(queue.register(Worker(name="theirs")).serial, job_serial=job.serial)
    other = lab.job()
    accounts.share(other.project_serial, account)
    accounts.unshare(other.project_serial, account)
    accounts.change(account, administrator=False)
    for token in accounts.tokens(account):
        accounts.revoke(token.serial)
    assert lab.server(lease.server_auth).get(Job, job.serial).state is JobState.RUNNING


def test_a_revoked_workers_file_tokens_end(lab):
    accounts = lab.platform.accounts_for(lab.admin)
    made = accounts.add_worker_token("bench")
    queue = lab.platform.queue_for(lab.platform.authenticate(made.text))
    job = lab.job()
    queue.claim(queue.register(Worker(name="bench")).serial, job_serial=job.serial)
    place = record_resource("job_log", job.serial, "log.txt")
    token = lab.server(made.text).file_token([Scope("write", place)])
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"log")).status == 201
    accounts.revoke(made.record.serial)
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"forged")).status == AuthenticationFailed.status


def test_a_file_token_does_not_outlive_the_token_that_asked_for_it(lab):
    account, bearer = lab.person("anna")
    short = lab.platform.accounts_for(lab.platform.authenticate(bearer)).add_token(account, "short", days=0.01)
    job = lab.job(bearer)
    token = lab.server(short.text).file_token([Scope("read", record_resource("job_result", job.serial))])
    assert token.expires_at == short.record.expires_at
    lab.clock.advance(0.01 * 86_400 + 1)
    with pytest.raises(AuthenticationFailed):
        lab.platform.verify_file_token(token.token)


def test_a_repeated_request_shows_nothing_that_is_hidden_by_now(lab):
    account, bearer = lab.person("anna")
    job = lab.job()
    accounts = lab.platform.accounts_for(lab.admin)
    accounts.share(job.project_serial, account)
    change = Change(values={"/name": "mine"})
    lab.server(bearer).update(Job, job.serial, change, idempotency_key="k")
    accounts.unshare(job.project_serial, account)
    with pytest.raises(RecordNotFound):
        lab.server(bearer).update(Job, job.serial, change, idempotency_key="k")


def test_a_repeated_request_of_an_older_attempt_shows_nothing_of_the_newer_one(lab):
    job = lab.job()
    first = lab.leased(job)
    change = Change(values={"/metadata/note": "first"})
    lab.server(first.server_auth).update(Job, job.serial, change, idempotency_key="k")
    assert lab.server(first.server_auth).update(Job, job.serial, change, idempotency_key="k").serial == job.serial
    lab.lose()
    lab.leased(job)
    with pytest.raises(LeaseLost):
        lab.server(first.server_auth).update(Job, job.serial, change, idempotency_key="k")


def test_a_scripts_repeated_end_is_answered_although_its_attempt_is_over(lab):
    job = lab.job()
    lease = lab.leased(job)
    done = Change(values={"/state": "Done"})
    lab.server(lease.server_auth).update(Job, job.serial, done, idempotency_key="k")
    assert lab.server(lease.server_auth).update(Job, job.serial, done, idempotency_key="k").state.value == "Done"


def test_a_scripts_repeated_end_is_not_answered_once_a_newer_attempt_has_begun(lab):
    job = lab.job()
    lease = lab.leased(job)
    script, done = lab.server(lease.server_auth), Change(values={"/state": "Done"})
    script.update(Job, job.serial, done, idempotency_key="k")
    lab.platform.queue_for(lab.admin).end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))
    lab.platform.control_for(lab.admin).restart_job(job.serial)
    assert lab.leased(job).attempt == 2
    with pytest.raises(LeaseLost):
        script.update(Job, job.serial, done, idempotency_key="k")


def test_what_was_written_after_a_scripts_end_is_not_shown_to_it(lab):
    job = lab.job()
    lease = lab.leased(job)
    script = lab.server(lease.server_auth)
    note, done = Change(values={"/metadata/note": "first"}), Change(values={"/state": "Done"})
    script.update(Job, job.serial, note, idempotency_key="earlier")
    answered = script.update(Job, job.serial, done, idempotency_key="k")
    lab.server().update(Job, job.serial, Change(values={"/name": "secret", "/metadata/note": "secret"}))
    assert script.update(Job, job.serial, done, idempotency_key="k") == answered
    with pytest.raises(LeaseLost, match="is over"):
        script.update(Job, job.serial, note, idempotency_key="earlier")


def test_a_file_token_is_for_the_files_that_it_names_and_no_upload_of_others_is_gone_on_with(lab, tmp_path):
    _, bearer = lab.person("anna")
    places = [record_resource("job_result", lab.job(bearer).serial, "out.bin") for _ in range(2)]
    token, other = (lab.server(bearer).file_token([Scope("write", place)]) for place in places)
    name = base64.b64encode(str(places[0]).encode()).decode()
    creation = {**TUS, "upload-length": "4", "upload-metadata": f"resource {name}"}
    created = asyncio.run(lab.ask("POST", "uploads", token, headers=creation))
    upload = f"uploads/{created.headers['location'].rpartition('/')[2]}"
    for method, path, headers in (
        ("PUT", f"files/{places[0]}", {}),
        ("POST", "uploads", creation),
        ("HEAD", upload, TUS),
        ("PATCH", upload, PATCH),
        ("DELETE", upload, TUS),
    ):
        answer = asyncio.run(lab.ask(method, path, other, b"evil", headers=headers))
        assert (method, answer.status) == (method, PermissionDenied.status)
    assert not (tmp_path / str(places[0])).exists()
    assert asyncio.run(lab.ask("PATCH", upload, token, b"mine", headers=PATCH)).status == 204
    assert (tmp_path / str(places[0])).read_bytes() == b"mine"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_encoded_slash_parts_no_path(lab, tmp_path, method):
    _, bearer = lab.person("anna")
    place = record_resource("job_result", lab.job(bearer).serial, "out.bin")
    token = lab.server(bearer).file_token([Scope(verb, place) for verb in ("read", "write", "delete")])
    assert asyncio.run(lab.ask("PUT", f"files/{place}", token, b"mine")).status == 201
    encoded = f"files/job_result/{place.segments[1]}%2Fout.bin"
    assert asyncio.run(lab.ask(method, encoded, token, b"evil")).status == InvalidFilename.status
    assert (tmp_path / str(place)).read_bytes() == b"mine"


def test_a_file_token_allows_nothing_that_its_owner_may_not(lab):
    _, bearer = lab.person("anna")
    job = lab.job()
    with pytest.raises(PermissionDenied):
        lab.server(bearer).file_token([Scope("read", record_resource("job_result", job.serial))])


def test_the_rights_of_a_persons_file_token_depend_on_the_job_among_its_places_where_there_is_one(lab):
    job = lab.job()
    places = [Scope("read", userdata_resource("scans")), Scope("write", record_resource("job_result", job.serial))]
    for scopes, reach in ((places, (Job, job.serial)), (places[:1], None)):
        token = lab.server().file_token(scopes)
        assert workflow_of_files(lab.platform.signer.verify(token.token), token) == reach


def test_a_script_writes_its_own_results_and_those_of_jobs_that_it_spawned_and_of_no_others(lab):
    job = lab.job()
    beside = lab.server().create(Job(task_serial=job.task_serial, state=JobState.READY))
    script = lab.server(lab.leased(job).server_auth)
    spawned = script.create(Job(task_serial=job.task_serial, state=JobState.READY))
    for serial in (job.serial, spawned.serial):
        assert script.file_token([Scope("write", record_resource("job_result", serial))]).token
    refused = [Scope("write", record_resource("job_result", beside.serial))]
    with pytest.raises(PermissionDenied, match=rf"may not write job_result/{beside.serial}$"):
        script.file_token(refused)
    assert script.file_token([Scope("read", refused[0].resource)]).token


def test_the_rights_of_a_scripts_file_token_depend_on_its_own_job_and_those_of_a_source_on_none(lab):
    job = lab.job()
    script = lab.server(lab.leased(job).server_auth)
    spawned = script.create(Job(task_serial=job.task_serial, state=JobState.READY))
    everything = Scope("list", parse_resource("job_result"))
    written = Scope("write", record_resource("job_result", spawned.serial))
    for server, scope, reach in ((script, written, (Job, job.serial)), (lab.server(), everything, None)):
        token = server.file_token([scope])
        claims = lab.platform.signer.verify(token.token)
        assert workflow_of_files(claims, token) == reach
        assert (claims["sub"], claims["kind"]) == (server.principal.name, "file")


def test_whoever_may_use_a_dependency_package_reads_its_files(lab):
    _, bearer = lab.person("anna")
    package = lab.server().create(DependencyPackage(name="lib", version="1.0.0.0"))
    place = record_resource("dependency_package_config", package.serial)
    for server in (lab.server(), lab.server(bearer), lab.server(lab.leased(lab.job()).server_auth)):
        assert server.file_token([Scope("read", place)]).token
    with pytest.raises(PermissionDenied):
        lab.server(bearer).file_token([Scope("write", place)])


@pytest.mark.parametrize(("stated", "kept"), [(b"complete", 0), (b"some", 4), (None, 4)])
def test_what_arrived_of_a_part_that_broke_off_stays_only_where_it_is_what_was_sent(lab, stated, kept):
    place = userdata_resource("scan.raw")
    token = lab.server().file_token([Scope("write", place)])
    name = base64.b64encode(str(place).encode()).decode()
    creation = {**TUS, "upload-length": "8", "upload-metadata": f"resource {name}"}
    created = asyncio.run(lab.ask("POST", "uploads", token, headers=creation))
    upload = f"uploads/{created.headers['location'].rpartition('/')[2]}"
    checksum = {}
    if stated is not None:
        digest = base64.b64encode(hashlib.sha256(stated).digest()).decode()
        checksum = {"upload-checksum": f"sha256 {digest}"}
    asyncio.run(lab.ask("PATCH", upload, token, b"some", None, headers={**PATCH, **checksum}))
    answer = asyncio.run(lab.ask("HEAD", upload, token, headers=TUS))
    assert answer.headers["upload-offset"] == str(kept)
