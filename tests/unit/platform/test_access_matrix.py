"""Every end point of the wire against every kind of caller: nothing of another's leaks, nothing of it changes."""

import base64
import json
from hashlib import sha256
from urllib.parse import urlencode

import numpy as np
import pyotp
import pytest
from attrs import define
from litestar.testing import TestClient

from xfworker.adapters.argon2.password_hasher import Argon2PasswordHasher
from xfworker.adapters.authenticator.sealed_secrets import SealedAuthenticatorSecrets
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.images.registry import image_formats
from xfworker.adapters.jwt.token_signer import JwtTokenSigner
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.adapters.web.app import create_app
from xfworker.adapters.web.fss.service import MOUNT, FileStorageService, fss_handler
from xfworker.adapters.web.image_routes import image_api
from xfworker.adapters.web.openapi import document
from xfworker.adapters.web.sns_routes import sns_router
from xfworker.api.composition.measurements import folder_catalogue
from xfworker.api.composition.viewed_images import viewed_images
from xfworker.domain.bookkeeping import Account, PersonalToken, ProjectMember, SecondFactor
from xfworker.domain.change import Change
from xfworker.domain.files import VERBS, Scope, parse_resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import (
    ActivityEvent,
    DependencyPackage,
    Entity,
    Job,
    Project,
    Run,
    Task,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN
from xfworker.testing.contracts.sns_server import isq_file

CANARY = "canary"
CONTENT = f"{CANARY} in a file".encode()
SHUT = ("nobody", "nonsense", "forged", "expired", "revoked", "disabled")
OUTSIDERS = ("stranger", "member", "other script", "ended script", "other worker")
"""The member had the owner's project until it was unshared."""
PUBLIC = {("get", "/health"), ("get", "/metrics"), ("get", "/xf/v1/openapi.json"), ("post", "/xf/v1/login")}
MEASUREMENTS = {("get", "/sns/v1/measurements"), ("get", "/sns/v1/measurements/{index}/file")}
"""For everybody whom the server knows."""
IMAGES = {("get", "/images/v1/{path}"), ("post", "/images/v1/{path}")}
"""For whoever may read the file."""

# Who can do it with the objects of the owner's project, and with which body: one caller for each request.
BY = {
    **{(verb, path): ("owner", body) for verb, path, body in [
        ("get", "/xf/v1/output-values", None),
        ("post", "/xf/v1/combined-query", {"parts": dict.fromkeys(("projects", "workflows", "tasks", "jobs"), "all")}),
        ("post", "/xf/v1/fss-tokens", {"scopes": [["read", "{file}"]]}),
        ("get", "/xf/v1/config", None),
        ("post", "/xf/v1/workflows/{serial}/runs", {}),
        ("post", "/xf/v1/runs/{serial}/copies", {}),
        ("get", "/xf/v1/workflows/{serial}/board", None),
        ("post", "/xf/v1/file-deletions", {"runs": ["{run}"], "make_obsolete": True}),
        ("post", "/xf/v1/jobs/{serial}/tasks", {"task_type_serial": "{task_type}", "inputs": [
            {"key": "in", "mode": "output", "task_serial": "{task}", "output_key": "out"}]}),
        ("post", "/xf/v1/jobs/{serial}/restart", None),
        ("post", "/xf/v1/jobs/{serial}/abort", None),
        ("get", "/xf/v1/projects/{serial}/members", None),
        ("post", "/xf/v1/projects/{serial}/members", {"name": "stranger"}),
        ("put", "/xf/v1/projects/{serial}/members/{account}", None),
        ("delete", "/xf/v1/projects/{serial}/members/{account}", None),
        ("post", "/xf/v1/accounts/{serial}/tokens", {"name": "t"}),
        ("get", "/xf/v1/accounts/{serial}/sign-ins", None),
        ("delete", "/xf/v1/accounts/{serial}/sessions", None),
        ("get", "/xf/v1/accounts/{serial}/second-factor", None),
        ("post", "/xf/v1/accounts/{serial}/second-factor", {"password": "owner-password"}),
        ("post", "/xf/v1/accounts/{serial}/second-factor/confirmation", {"code": "{code}"}),
        ("get", "/xf/v1/tokens", None),
        ("delete", "/xf/v1/tokens/{serial}", None),
        ("post", "/xf/v1/page-links", None),
    ]},
    **{(verb, path): ("admin", body) for verb, path, body in [
        ("get", "/xf/v1/accounts", None),
        ("get", "/xf/v1/disk-space", None),
        ("post", "/xf/v1/accounts", {"name": "new", "password": "a-new-password"}),
        ("patch", "/xf/v1/accounts/{serial}", {"disabled": True}),
        ("post", "/xf/v1/accounts/{serial}/second-factor/removal", {}),
        ("post", "/xf/v1/worker-tokens", {"name": "w"}),
    ]},
    **{(verb, path): ("worker", body) for verb, path, body in [
        ("post", "/xf/v1/queue/workers", {"name": "worker"}),
        ("post", "/xf/v1/queue/claims", {"worker_serial": "{worker}"}),
        ("post", "/xf/v1/queue/heartbeats",
         {"worker_serial": "{worker}", "leases": [{"job_serial": "{job}", "attempt": 1}]}),
        ("post", "/xf/v1/queue/ends", {"job_serial": "{job}", "attempt": 1, "outcome": {"ending": "crashed"}}),
    ]},
}  # fmt: skip
RECORDS = {
    "projects": {"name": "p"},
    "workflows": {"project_serial": "{project}", "name": "w"},
    "tasks": {"workflow_serial": "{workflow}", "task_type_serial": "{task_type}", "name": "t"},
    "jobs": {"task_serial": "{task}", "run_serial": "{run}"},
    "runs": {"workflow_serial": "{workflow}"},
    "task-types": {"name": "Own.Type", "version": "1.0.0.0"},
    "dependency-packages": {"name": "P", "version": "1.0.0.0"},
    "workers": {"name": "w"},
    "entities": {"uuid": "", "name": "e"},
    "activity-events": {"title": "t", "job_serial": "{job}"},
}
FILE_RULES = {
    f"{MOUNT}/files/{{source}}/{{serial}}/{{filename}}",
    f"{MOUNT}/files/userdata/{{virtualpath}}",
    f"{MOUNT}/folders/{{source}}/{{serial}}",
    f"{MOUNT}/folders/userdata",
    f"{MOUNT}/registrations",
    f"{MOUNT}/uploads",
    f"{MOUNT}/uploads/{{upload}}",
    f"{MOUNT}/uploads/{{upload}}/{{offset}}",
}


def end_points():
    return [(verb, path) for path, verbs in document()["paths"].items() for verb in verbs]


def records_path(path):
    parts = path.removeprefix("/xf/v1/").split("/")
    return parts[0] in RECORDS and (len(parts) == 1 or parts[1:] == ["{serial}"])


XF = [pair for pair in end_points() if pair not in PUBLIC and (pair in BY or records_path(pair[1]))]


@define
class Site:
    """A server with the owner's project, full of canaries, and everybody who may come to it."""

    platform: Platform
    client: TestClient
    bearers: dict
    serials: dict
    accounts: dict
    files: FolderFileStore
    code: str

    def ask(self, who, verb, path, body=None, query=""):
        bearer = self.bearers.get(who)
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        content = {} if body is None else {"json": json.loads(self.filled(json.dumps(body)))}
        if body is None and verb in {"post", "put", "patch"} and "runs" in path:
            content = {"json": {}}
        return self.client.request(verb, self.filled(path, path=path) + query, headers=headers, **content)

    def filled(self, text, *, path=""):
        kind = path.removeprefix("/xf/v1/").split("/")[0]
        own = {"accounts": self.accounts["owner"], "tokens": self.serials["token"]}
        text = text.replace("{serial}", str(own.get(kind) or self.serials.get(kind, 0)))
        text = text.replace("{account}", str(self.accounts["member"])).replace("{code}", self.code)
        numbers = {
            "project": "projects", "workflow": "workflows", "task": "tasks", "run": "runs", "job": "jobs",
            "task_type": "task-types", "worker": "workers",
        }  # fmt: skip
        for name, of in numbers.items():
            text = text.replace(f'"{{{name}}}"', str(self.serials[of])).replace(f"{{{name}}}", str(self.serials[of]))
        return text.replace("{file}", f"job_result/{self.serials['jobs']}/a.bin")

    def request_for(self, verb, path):
        """Give body and query of a request that one caller at least may make."""
        query = f"?task_serial={self.serials['tasks']}&key=out" if path.endswith("output-values") else ""
        if (verb, path) in BY:
            return BY[verb, path][1], query
        if verb == "post":
            return RECORDS[path.removeprefix("/xf/v1/")], query
        return ({"values": {"/metadata": {"note": "x"}}} if verb == "patch" else None), query

    def snapshot(self):
        """Give all that is the owner's, as it is."""
        project = self.serials["projects"]
        with self.platform.records.transaction(write=False) as transaction:
            records = [transaction.get(Project, project)]
            for kind in (Workflow, Job):
                records += transaction.find(kind, {"project_serial": project})
            workflow = {"workflow_serial": self.serials["workflows"]}
            records += [*transaction.find(Task, workflow), *transaction.find(Run, workflow)]
            records += transaction.find(ProjectMember, {"project_serial": project})
            records += [account for account in transaction.find(Account) if account.name in {"owner", "member"}]
            for kind in (PersonalToken, SecondFactor):
                records += transaction.find(kind, {"account_serial": self.accounts["owner"]})
            records += [event for event in transaction.find(ActivityEvent) if event.job_serial == self.serials["jobs"]]
        return records, self.file("a.bin")

    def file(self, name):
        resource = parse_resource(f"job_result/{self.serials['jobs']}/{name}")
        token = self.platform.server_for(ADMIN).file_token([Scope("read", resource)])
        return b"".join(self.files.open_read(token, resource))


def write_image(folder, name):
    info = ImageInfo(
        path=folder / name,
        format="OMNI",
        size=(4, 3, 2),
        pixel_type=PixelType("int16"),
        pixels_path=folder / name,
    )
    with image_formats().writer(folder / name, info) as writer:
        writer.write(np.zeros((2, 3, 4), np.int16))


def make_site(folder):  # noqa: PLR0915  everybody who may come to it, one after the other
    clock = ManualClock()
    signer = JwtTokenSigner(b"s" * 32, clock)
    hasher = Argon2PasswordHasher(memory_kib=64, rounds=1)
    files = FolderFileStore(folder)
    authenticators = SealedAuthenticatorSecrets(b"s" * 32)
    platform = Platform(MemoryRecordStore(), clock, signer, hasher=hasher, authenticators=authenticators, files=files)
    accounts = platform.accounts_for(ADMIN)
    names = ("stranger", "owner", "member", "disabled", "revoked")
    account = {name: accounts.add(name, f"{name}-password").serial for name in names}
    logins = {name: accounts.log_in(name, f"{name}-password") for name in names}
    bearers = {name: login.text for name, login in logins.items()}
    bearers |= {name: accounts.add_worker_token(name).text for name in ("worker", "other worker")}

    def server(name):
        return platform.server_for(platform.authenticate(bearers[name]))

    def project(name, jobs, word):
        own = server(name)
        made = own.create(Project(name=f"{word} bones"))
        workflow = own.create(Workflow(project_serial=made.serial, name=f"{word} mice", state=WorkflowState.ACTIVE))
        interface = {"inputs": [{"key": "in", "type": "String"}], "outputs": [{"key": "out", "type": "String"}]}
        described = {"version": "1.0.0.0", "kind": TaskTypeKind.PROCESSING, "interface": interface}
        task_type = own.create(TaskType(name=f"Type.{made.serial}", **described))
        task = own.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name=f"{word} look"))
        # Entities are for all who have an account, and a run that names none has one of its own name.
        entity = {"uuid": f"5645b5b2-b962-4b67-a6e9-22{made.serial:010}", "name": "sample"}
        run = own.create(Run(workflow_serial=workflow.serial, name=f"{word} run", entity=entity))
        described = {"task_serial": task.serial, "run_serial": run.serial, "state": JobState.READY}
        made_jobs = [
            own.create(Job(**described, name=f"{word} job", inputs={"in": word}, metadata={"note": word}))
            for _ in range(jobs)
        ]
        own.create(ActivityEvent(title=f"{word} event", job_serial=made_jobs[-1].serial))
        return {
            "projects": made.serial,
            "workflows": workflow.serial,
            "tasks": task.serial,
            "runs": run.serial,
            "jobs": made_jobs[-1].serial,
            "task-types": task_type.serial,
        }, made_jobs

    # The stranger's job is 1, and the owner's begins with that digit.
    _, others = project("stranger", 8, "plain")
    serials, jobs = project("owner", 2, CANARY)
    assert str(serials["jobs"]).startswith(str(others[0].serial))
    queues = {name: platform.queue_for(platform.authenticate(bearers[name])) for name in ("worker", "other worker")}
    workers = {name: queues[name].register(Worker(name=name)).serial for name in queues}
    ended = queues["worker"].claim(workers["worker"], job_serial=jobs[0].serial)
    lease = queues["worker"].claim(workers["worker"], job_serial=serials["jobs"])
    bearers["script"] = lease.server_auth
    bearers["ended script"] = ended.server_auth
    bearers["other script"] = queues["other worker"].claim(workers["other worker"], job_serial=1).server_auth
    ended_folder = Scope("write", parse_resource(f"job_result/{ended.job.serial}"))
    ended_files = server("ended script").file_token([ended_folder, Scope("read", ended_folder.resource)])
    queues["worker"].end(ended, Outcome(ending=Ending.CRASHED))
    server("owner").update(Job, serials["jobs"], Change(values={"/metadata/error_message": CANARY}))
    serials["workers"] = workers["worker"]
    serials["token"] = accounts.add_token(account["owner"], CANARY).record.serial
    admin = platform.server_for(ADMIN)
    serials["dependency-packages"] = admin.create(DependencyPackage(name="Core.IPL")).serial
    serials["entities"] = admin.create(Entity(uuid="")).serial
    serials["activity-events"] = admin.find(ActivityEvent, {"job_serial": serials["jobs"]})[-1].serial
    bearers |= {"admin": platform.admin_token(), "nonsense": "x.y.z"}
    bearers["forged"] = JwtTokenSigner(b"t" * 32, clock).sign({"kind": "admin", "sub": "admin"})
    bearers["expired"] = signer.sign({"kind": "admin", "sub": "admin", "exp": int(clock.now().timestamp()) - 1})
    admin = platform.server_for(ADMIN)
    for name in ("disabled", "revoked"):
        accounts.share(serials["projects"], name)
    # They had the owner's project, and files of it, until now.
    gone = {}
    for name in ("member", "disabled", "revoked"):
        accounts.share(serials["projects"], name)
        gone[name] = server(name)
    resource = parse_resource(f"job_result/{serials['jobs']}/a.bin")
    source = folder / "source"
    source.write_bytes(CONTENT)
    files.upload(admin.file_token([Scope("write", resource)]), source, resource)
    write_image(folder / "job_result" / str(serials["jobs"]), "a.omni")
    scopes = [Scope(verb, parse_resource(f"job_result/{serials['jobs']}")) for verb in ("read", "list", "write")]
    of_file = {name: one.file_token(scopes).token for name, one in gone.items()}
    of_file["unshared"] = of_file.pop("member")
    own = [Scope(verb, parse_resource("job_result/1")) for verb in VERBS]
    of_file["stranger"] = server("stranger").file_token([*own, Scope("read", parse_resource("userdata"))]).token
    of_file |= {name: bearers[name] for name in ("forged", "expired", "nonsense")}
    of_file["of an ended attempt"] = ended_files.token
    accounts.unshare(serials["projects"], account["member"])
    accounts.change(account["disabled"], disabled=True)
    accounts.revoke(logins["revoked"].record.serial)
    bearers |= {f"file: {name}": token for name, token in of_file.items()}
    owner = platform.second_factors_for(platform.authenticate(bearers["owner"]))
    begun = owner.begin(account["owner"], "owner-password")
    code = pyotp.TOTP(begun.secret).at(clock.now())
    return Site(platform, None, bearers, serials, account, files, code)


FILE_CALLERS = ("unshared", "disabled", "revoked", "stranger", "forged", "expired", "nonsense", "of an ended attempt")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    yield from served(tmp_path_factory.mktemp("matrix"))


@pytest.fixture
def fresh(tmp_path):
    yield from served(tmp_path)


def served(folder):
    site = make_site(folder)
    service = fss_handler(FileStorageService(site.files, PartialUploads(site.files), site.platform))
    scans = folder / "scans"
    scans.mkdir()
    (scans / "a.isq").write_bytes(isq_file(patient=1, measurement=10))
    measurements = sns_router(folder_catalogue(scans), site.platform)
    with viewed_images(site.files, folder / "cache") as images:
        routes = [service, measurements, image_api(images, site.platform)]
        with TestClient(create_app(site.platform, routes=routes)) as client:
            site.client = client
            yield site


def test_every_end_point_is_in_the_matrix():
    files = {path for _, path in end_points() if path.startswith(MOUNT)}
    assert files == FILE_RULES, "a new end point of files needs its requests in the matrix"
    of_files = {pair for pair in end_points() if pair[1].startswith(MOUNT)}
    ruled = {*XF, *PUBLIC, *of_files, *MEASUREMENTS, *IMAGES}
    assert set(end_points()) == ruled, "a new end point needs a rule in the matrix"


@pytest.mark.parametrize(("verb", "path"), XF)
def test_whoever_is_not_let_in_gets_and_changes_nothing(site, verb, path):
    before = site.snapshot()
    body, query = site.request_for(verb, path)
    for who in SHUT:
        answer = site.ask(who, verb, path, body, query)
        assert answer.status_code == 401, who
        assert CANARY not in answer.text, who
    assert site.snapshot() == before


@pytest.mark.parametrize(("verb", "path"), XF)
@pytest.mark.parametrize("who", OUTSIDERS)
def test_nothing_of_another_project_leaks_or_changes(site, verb, path, who):
    before = site.snapshot()
    answer = site.ask(who, verb, path, *site.request_for(verb, path))
    assert answer.status_code < 500
    assert CANARY not in answer.text
    assert site.snapshot() == before


def searches():
    """Give every search by a field, of the records that belong to a project."""
    of_everybody = {"entities", "task-types", "dependency-packages", "workers"}
    for path, verbs in document()["paths"].items():
        kind = path.removeprefix("/xf/v1/")
        if kind in RECORDS and kind not in of_everybody:
            yield from ((kind, parameter["name"]) for parameter in verbs["get"]["parameters"])


@pytest.mark.parametrize("who", OUTSIDERS)
def test_no_search_by_what_a_record_of_another_project_holds_finds_it(site, who):
    asked = 0
    for kind, field in searches():
        serial = site.serials[kind]
        record = site.ask("admin", "get", f"/xf/v1/{kind}/{serial}").json()
        if (value := record.get(field)) is None or not isinstance(value, str | int):
            continue
        query = f"?{urlencode({field: str(value).lower() if isinstance(value, bool) else value})}"
        assert serial in serials_in(site.ask("admin", "get", f"/xf/v1/{kind}", query=query))
        answer = site.ask(who, "get", f"/xf/v1/{kind}", query=query)
        assert serial not in serials_in(answer), (kind, field)
        assert CANARY not in answer.text
        asked += 1
    assert asked > 30
    named = {kind: str(site.serials[kind]) for kind in ("projects", "workflows", "tasks", "jobs")}
    answer = site.ask(who, "post", "/xf/v1/combined-query", {"parts": named})
    assert CANARY not in answer.text
    assert CANARY in site.ask("owner", "post", "/xf/v1/combined-query", {"parts": named}).text


def serials_in(answer):
    return [record["serial"] for record in answer.json()["items"]] if answer.status_code == 200 else []


@pytest.mark.parametrize(("verb", "path"), XF)
def test_the_same_request_is_answered_to_whoever_may(fresh, verb, path):
    if path.startswith("/xf/v1/activity-events") and verb == "patch":
        pytest.skip("nobody changes what was logged")
    if path.endswith("/restart"):
        fresh.ask("owner", "post", "/xf/v1/jobs/{serial}/abort")
        fresh.ask("worker", "post", "/xf/v1/queue/ends", BY["post", "/xf/v1/queue/ends"][1])
    who = BY[verb, path][0] if (verb, path) in BY else "admin"
    answer = fresh.ask(who, verb, path, *fresh.request_for(verb, path))
    assert answer.status_code < 400, answer.text


def spellings(job):
    """Give ways of naming the file of a job, of which some go through the folder that the stranger may use."""
    own = f"{MOUNT}/files/job_result"
    return [
        f"{own}/{job}/a.bin",
        f"{own}/1/../{job}/a.bin",
        f"{own}/1/%2e%2e/{job}/a.bin",
        f"{own}/1/..%2F{job}%2Fa.bin",
        f"{own}/1%2F..%2F{job}/a.bin",
        f"{own}/1/..%5C{job}%5Ca.bin",
        f"{own}//{job}/a.bin",
        f"{own}/0{job}/a.bin",
        f"{own}/{job}/a.bin%00",
        f"{own}/{job}/A.BIN",
        f"{own}/%EF%BC%91%EF%BC%90/a.bin",
    ]


@pytest.mark.parametrize("who", FILE_CALLERS)
@pytest.mark.parametrize("verb", ["get", "head", "put", "delete"])
def test_files_are_shut_to_tokens_that_have_ended_or_are_for_others(site, who, verb):
    for path in spellings(site.serials["jobs"]):
        content = {"content": b"overwritten"} if verb == "put" else {}
        headers = {"Authorization": f"Bearer {site.bearers[f'file: {who}']}"}
        answer = site.client.request(verb, path, headers=headers, **content)
        assert 400 <= answer.status_code < 500, path
        assert CANARY not in answer.text
    assert site.file("a.bin") == CONTENT


@pytest.mark.parametrize("who", FILE_CALLERS)
def test_folders_and_uploads_are_shut_to_tokens_that_have_ended_or_are_for_others(site, who):
    job = site.serials["jobs"]
    headers = {"Authorization": f"Bearer {site.bearers[f'file: {who}']}", "Tus-Resumable": "1.0.0"}
    resource = f"job_result/{job}/b.bin"
    named = base64.b64encode(resource.encode()).decode()
    registration = {"resource": f"job_result/{job}/a.bin", "size": 1, "sha256": sha256(b"x").hexdigest()}
    admin = site.platform.server_for(ADMIN).file_token([Scope("write", parse_resource(resource))]).token
    of_tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": f"resource {named}"}
    begun = site.client.post(f"{MOUNT}/uploads", headers={"Authorization": f"Bearer {admin}", **of_tus})
    assert begun.status_code == 201, begun.text
    upload = f"{MOUNT}/uploads/{begun.headers['Location'].rsplit('/', 1)[-1]}"
    to_upload = {**headers, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    answers = [
        site.client.get(f"{MOUNT}/folders/job_result/{job}", headers=headers),
        site.client.post(f"{MOUNT}/registrations", headers=headers, json=registration),
        site.client.post(f"{MOUNT}/uploads", headers={**headers, **of_tus}),
        site.client.head(upload, headers=headers),
        site.client.patch(upload, headers=to_upload, content=b"wrong"),
        site.client.put(f"{upload}/0", headers={**headers, "XF-Takes-Redirects": "?1", "Content-MD5": "x"}),
        site.client.delete(upload, headers=headers),
    ]
    assert all(answer.status_code in {401, 403, 404, 409} for answer in answers), answers
    assert not any("a.bin" in answer.text and who == "nonsense" for answer in answers)
    still = site.client.head(upload, headers={"Authorization": f"Bearer {admin}", "Tus-Resumable": "1.0.0"})
    assert still.headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(("verb", "path"), sorted(MEASUREMENTS))
def test_measurements_are_for_everybody_whom_the_server_knows_and_nobody_else(site, verb, path):
    address = path.format(index=10)
    for who in SHUT:
        assert site.ask(who, verb, address).status_code == 401, who
    assert 400 <= site.ask("ended script", verb, address).status_code < 500
    for who in ("admin", "owner", "stranger", "script"):
        assert site.ask(who, verb, address).status_code == 200, who


@pytest.mark.parametrize(("verb", "path"), sorted(IMAGES))
def test_images_are_for_those_who_may_read_the_file(site, verb, path):
    job = site.serials["jobs"]
    own = f"job_result/{job}/a.omni"
    addresses = [
        own,
        f"{own}?tile={'0' * 32}.bricks.z.0.0.0.0",
        f"{own}.ome.zarr/zarr.json",
        f"job_result/1/../{job}/a.omni",
        f"job_result/1/%2e%2e/{job}/a.omni",
        f"job_result/1/..%2F{job}%2Fa.omni",
        f"job_result/0{job}/a.omni",
    ]
    links = [f"link/{site.bearers[f'file: {who}']}/{own}.ome.zarr/zarr.json" for who in FILE_CALLERS]
    for who in ("admin", "owner", "script"):
        answer = site.ask(who, verb, path.replace("{path}", own))
        assert answer.status_code in {200, 201}, (who, answer.text)
    for who in (*SHUT, *OUTSIDERS, *(f"file: {name}" for name in FILE_CALLERS)):
        for address in (*addresses, *links):
            answer = site.ask(who, verb, path.replace("{path}", address))
            assert 400 <= answer.status_code < 500, (who, address)
            assert CANARY not in answer.text
            assert "spacing_mm" not in answer.text


def test_an_idempotency_key_of_another_gives_nothing_of_theirs(site):
    path, key = f"/xf/v1/workflows/{site.serials['workflows']}/runs", {"Idempotency-Key": "the-owners"}
    owner = {"Authorization": f"Bearer {site.bearers['owner']}", **key}
    assert site.client.post(path, headers=owner, json={}).status_code < 400
    for who in OUTSIDERS:
        answer = site.client.post(path, headers={"Authorization": f"Bearer {site.bearers[who]}", **key}, json={})
        assert answer.status_code in {401, 403, 404, 409}, who
        assert CANARY not in answer.text
