"""A server that is killed without warning loses nothing that it answered; backups bring back what was."""

import gzip
import json
import random
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime

import attrs
import psutil
import pytest

from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.jwt.secret_file import rotate
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_records
from xfworker.domain.change import Change
from xfworker.domain.errors import ChecksumMismatch, ConfigurationError, RecordConflict, ServerError, UsageError
from xfworker.domain.files import AuthorizationToken, Scope, record_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.parameters import create_parameter
from xfworker.domain.records import ActivityEvent, Entity, Job, Project
from xfworker.services.platform.checkup import FindingKind, check_up
from xfworker.testing.contracts.worlds import HttpWorld, Setting, heartbeat

QUICK = HttpLimits(attempts=1, patience_seconds=0.0, connect_seconds=2.0)


def connect(embedded: EmbeddedServer, limits: HttpLimits | None = None) -> HttpWorld:
    transport = HttpTransport(embedded.url, token=embedded.admin_token, limits=limits)
    return HttpWorld(
        admin=HttpXFServer(transport),
        queue=HttpJobQueue(transport),
        url=embedded.url,
        control=HttpWorkflowControl(transport),
    )


def checked(data) -> list[str]:
    place = PlatformStorage(data=data)
    records = opened_records(place)
    try:
        return [
            f"{item.kind}: {item.place}: {item.message}" for item in check_up(records, file_store(place), deep=True)
        ]
    finally:
        records.close()


def test_what_was_answered_outlives_kill_9(tmp_path):
    pick = random.Random(7)
    answered: dict[int, int] = {}
    for _ in range(3):
        with EmbeddedServer(tmp_path) as embedded:
            server = connect(embedded, QUICK).admin
            kept = {entity.serial: entity.metadata["n"] for entity in server.find(Entity)}
            for serial, n in answered.items():
                assert kept[serial] >= n
            timer = threading.Timer(pick.uniform(0.3, 0.9), embedded.kill)
            timer.start()
            try:
                for n in range(100_000):
                    if not answered or pick.random() < 0.2:
                        made = server.create(Entity(uuid="", metadata={"n": n}))
                        answered[made.serial] = n
                    else:
                        serial = pick.choice(list(answered))
                        changed = server.update(Entity, serial, Change(values={"/metadata/n": answered[serial] + 1}))
                        answered[serial] = changed.metadata["n"]
            except ServerError:
                pass
            timer.join()
            assert embedded.ended() is not None
    with EmbeddedServer(tmp_path) as embedded:
        world = connect(embedded)
        events = [event.payload["serial"] for event in world.admin.find(ActivityEvent)]
        entities = world.admin.find(Entity)
        assert {entity.serial for entity in entities} <= set(events)
        assert len(entities) - len(answered) <= 3  # at most the one whose answer was on its way, each time
    assert checked(tmp_path) == []


def test_32_clients_that_change_the_same_records_lose_nothing(tmp_path):
    with EmbeddedServer(tmp_path) as embedded:
        jobs = [Setting.make(connect(embedded)).job(metadata={"n": 0}).serial for _ in range(2)]
        faults: list[BaseException] = []

        def count(number: int) -> None:
            server = connect(embedded).admin
            try:
                for serial in jobs:
                    while True:
                        seen = server.get(Job, serial)
                        values = {"/metadata/n": seen.metadata["n"] + 1, f"/metadata/by_{number}": True}
                        change = Change(values=values, expected_version=seen.occ_lock_version)
                        try:
                            server.update(Job, serial, change)
                            break
                        except RecordConflict:
                            continue
            except BaseException as error:  # noqa: BLE001  shown by the test
                faults.append(error)

        threads = [threading.Thread(target=count, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        for serial in jobs:
            job = connect(embedded).admin.get(Job, serial)
            assert job.metadata == {"n": 32} | {f"by_{number}": True for number in range(32)}
            assert job.occ_lock_version == 33


@pytest.fixture
def filled(tmp_path):
    """A running server with a done job that has a file."""
    data = tmp_path / "data"
    with EmbeddedServer(data) as embedded:
        world = connect(embedded)
        setting = Setting.make(world)
        lease = setting.leased()
        script = setting.script(lease)
        source = tmp_path / "report.csv"
        source.write_text("a,b\n1,2\n")
        place = record_resource("job_result", lease.job.serial, "report.csv")
        store = HttpFileStore()
        store.upload(script.file_token([Scope("write", place)]), source, place)
        store.close()
        table = create_parameter("CSV", source="job_result", job_serial=lease.job.serial, filename="report.csv")
        script.update(Job, lease.job.serial, Change(values={"/outputs": {"table": table}, "/state": "Done"}))
        setting.world.admin.update(Job, setting.job().serial, Change(values={"/state": "Aborted"}))
        yield embedded, world, data, lease.job.serial


def test_a_backup_of_a_running_server_brings_everything_back(filled, tmp_path):
    _, world, data, job = filled
    before = world.admin.get(Job, job)
    made = make_backup(PlatformStorage(data=data), tmp_path / "backup")
    assert made.files == 1
    world.admin.update(Job, job, Change(values={"/name": "later"}))
    late = world.admin.create(Project(name="later"))
    (data / "files" / "job_result" / str(job) / "report.csv").write_text("spoilt")
    extra = data / "files" / "job_result" / "99"
    extra.mkdir()
    (extra / "late.txt").write_text("late")
    restore_backup(PlatformStorage(data=data), tmp_path / "backup")
    assert as_version(before, world.admin.get(Job, job)) == before
    assert late not in world.admin.find(Project)
    assert (data / "files" / "job_result" / str(job) / "report.csv").read_text() == "a,b\n1,2\n"
    assert [path.read_text() for path in (data / "replaced").rglob("late.txt")] == ["late"]
    assert world.admin.create(Project(name="after")).serial > 0


def test_every_file_that_is_stored_before_the_records_are_written_is_in_the_backup(filled, tmp_path, monkeypatch):
    # Else records could name files that came after the copies of all files had been made.
    _, _, data, job = filled
    opening = gzip.open

    def store_and_open(*arguments):
        (data / "files" / "job_result" / str(job) / "late.csv").write_bytes(b"1,2")
        return opening(*arguments)

    monkeypatch.setattr(gzip, "open", store_and_open)
    make_backup(PlatformStorage(data=data), tmp_path / "backup")
    assert (tmp_path / "backup" / "files" / "job_result" / str(job) / "late.csv").read_bytes() == b"1,2"


def as_version(before, record):
    """Give a restored record as it would be if its lock version had not gone on."""
    return attrs.evolve(record, occ_lock_version=before.occ_lock_version)


def test_a_change_of_what_was_lost_undoes_nothing_that_others_did_since_a_restore(filled, tmp_path):
    _, world, data, _ = filled
    project = world.admin.create(Project(name="as it was backed up"))
    make_backup(PlatformStorage(data=data), tmp_path / "backup")
    seen = []
    for number in range(3):
        for name in ("one", "two"):
            seen.append(world.admin.update(Project, project.serial, Change(values={"/name": f"{name} {number}"})))
            for version in {record.occ_lock_version for record in seen[:-1]}:
                late = Change(values={"/name": "undone"}, expected_version=version)
                with pytest.raises(RecordConflict):
                    world.admin.update(Project, project.serial, late)
        restore_backup(PlatformStorage(data=data), tmp_path / "backup")
    assert world.admin.get(Project, project.serial).name == "as it was backed up"


def test_a_backup_starts_a_server_elsewhere(filled, tmp_path):
    _, world, data, job = filled
    make_backup(PlatformStorage(data=data), tmp_path / "backup")
    restore_backup(PlatformStorage(data=tmp_path / "other"), tmp_path / "backup")
    with EmbeddedServer(tmp_path / "other") as embedded:
        before = world.admin.get(Job, job)
        assert as_version(before, connect(embedded).admin.get(Job, job)) == before
        assert (tmp_path / "other" / "secret").read_text() == (data / "secret").read_text()


def test_a_restore_leaves_a_server_the_secret_that_it_has(filled, tmp_path):
    _, _, data, _ = filled
    make_backup(PlatformStorage(data=data), tmp_path / "backup")
    now = datetime.now(UTC)
    rotate(data / "secret", now=now, former_until=now)
    rotated = (data / "secret").read_text()
    restore_backup(PlatformStorage(data=data), tmp_path / "backup")
    assert (data / "secret").read_text() == rotated != (tmp_path / "backup" / "secret").read_text()


@pytest.mark.parametrize("damage", ["records", "file", "manifest", "missing"])
def test_a_damaged_backup_changes_nothing(filled, tmp_path, damage):
    _, world, data, job = filled
    backup = tmp_path / "backup"
    make_backup(PlatformStorage(data=data), backup)
    before = world.admin.get(Job, job)
    if damage == "records":
        (backup / "records.jsonl.gz").write_bytes((backup / "records.jsonl.gz").read_bytes()[:-9])
    elif damage == "file":
        (backup / "files" / "job_result" / str(job) / "report.csv").write_text("x")
    elif damage == "manifest":
        (backup / "manifest.json").write_text("{")
    else:
        shutil.rmtree(backup / "files")
    with pytest.raises((ChecksumMismatch, UsageError)):
        restore_backup(PlatformStorage(data=data), backup)
    assert world.admin.get(Job, job) == before


def test_a_backup_of_another_schema_changes_nothing_not_even_where_there_was_no_secret(filled, tmp_path):
    _, _, data, _ = filled
    backup, other = tmp_path / "backup", tmp_path / "other"
    make_backup(PlatformStorage(data=data), backup)
    manifest = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps({**manifest, "schema": "9999"}))
    with pytest.raises(ConfigurationError, match="the backup has schema 9999"):
        restore_backup(PlatformStorage(data=other), backup)
    assert not (other / "secret").exists()


def _reading(job: int) -> AuthorizationToken:
    return AuthorizationToken(url="", token="", scopes=(Scope("read", record_resource("job_result", job)),))


def test_the_doctor_finds_what_is_missing_orphaned_and_damaged(filled):
    embedded, _, data, job = filled
    assert checked(data) == []
    place = PlatformStorage(data=data)
    orphan = data / "files" / "job_result" / "4711"
    orphan.mkdir()
    (orphan / "x.txt").write_text("x")
    report = data / "files" / "job_result" / str(job) / "report.csv"
    report.write_text("a,b\n9,9\n")
    records = opened_records(place)
    # Somebody asks for the changed file before the doctor comes: what was stored must not be forgotten over that.
    file_store(place).stat(_reading(job), record_resource("job_result", job, "report.csv"))
    found = {(item.kind, item.place) for item in check_up(records, file_store(place), deep=True)}
    assert (FindingKind.ORPHANED, "job_result/4711/x.txt") in found
    assert (FindingKind.DAMAGED, f"job_result/{job}/report.csv") in found
    report.unlink()
    found = list(check_up(records, file_store(place)))
    records.close()
    assert [item.kind for item in found] == [FindingKind.MISSING, FindingKind.ORPHANED]
    assert found[0].place == f"job {job}"
    assert embedded.ended() is None


def test_a_server_goes_on_where_it_stopped(tmp_path):
    with EmbeddedServer(tmp_path) as embedded:
        setting = Setting.make(connect(embedded))
        lease = setting.leased()
        token = embedded.admin_token
    with EmbeddedServer(tmp_path) as embedded:
        world = connect(embedded)
        assert embedded.admin_token == token
        assert heartbeat(world.queue, lease).abort_requested is False
        script = world.as_bearer(lease.server_auth)
        assert script.update(Job, lease.job.serial, Change(values={"/state": "Done"})).state is JobState.DONE


def test_the_server_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import sys; from xfworker.api.composition.embedded_server import EmbeddedServer; "
        "print(EmbeddedServer(sys.argv[1]).start().pid, flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        server = psutil.Process(int(owner.stdout.readline()))
        assert server.is_running()
        owner.kill()
    server.wait(120)
