"""Moving a server to another database and another store of files."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import nullcontext

import pytest

from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from tests.contract.suites.postgresql import postgresql_server
from xfworker.adapters.sql.moving import contents
from xfworker.api.cli.main import main
from xfworker.api.composition.migration import migrate
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform, opened_records
from xfworker.domain.errors import ChecksumMismatch, ConfigurationError, UsageError
from xfworker.domain.files import AuthorizationToken, Scope, parse_resource
from xfworker.domain.records import Project, Workflow
from xfworker.services.platform.principal import ADMIN
from xfworker.testing.contracts.served_files import digests_of

FILES = {
    "workflow_config/1/small.csv": b"1,2\n",
    "workflow_config/1/empty.raw": b"",
    "workflow_config/1/Ümläut 🦴 +%.raw": b"bone",
    "userdata/scans/large.raw": os.urandom((9 << 20) + 5),
}


def reading(place):
    return AuthorizationToken(url="", token="", scopes=(Scope("read", parse_resource(place)),))


@pytest.fixture
def old(tmp_path):
    storage = PlatformStorage(data=tmp_path / "old", durable=False)
    with opened_platform(storage) as platform:
        server = platform.server_for(ADMIN)
        project = server.create(Project(name="p"))
        server.create(Workflow(name="w", project_serial=project.serial, metadata={"a": "ü🦴", "b": [1, None]}))
        with platform.records.transaction() as transaction:
            for number in range(1199):
                last = transaction.insert(Project(name=f"p{number}"))
            transaction.delete(Project, {"serial": last.serial})
    files = file_store(storage)
    for name, content in FILES.items():
        incoming = files.receive(parse_resource(name))
        incoming.write(content)
        incoming.publish(nullcontext)
    return storage


def state(storage):
    """Give the content and the times of everything in a data folder but for the lock and SQLite's own notes."""
    skipped = ("server.lock", "records.sqlite-shm")
    return {
        str(path.relative_to(storage.data)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in storage.data.rglob("*")
        if path.is_file() and path.name not in skipped
    }


def require_same(old, new):
    for name, content in FILES.items():
        stat, opened = file_store(new).open_file(reading(name), parse_resource(name))
        assert b"".join(opened.blocks(offset=0, length=stat.size)) == content
        opened.close()
        assert digests_of(content).xxh3 == stat.xxh3
    before, after = opened_records(old), opened_records(new)
    assert contents(before.engine) == contents(after.engine)
    before.close()
    after.close()
    with opened_platform(old) as one, opened_platform(new) as other:
        token = one.admin_token()
        assert other.authenticate(token).name == one.authenticate(token).name
        made = [platform.server_for(ADMIN).create(Project(name="next")).serial for platform in (one, other)]
        assert made == [1201, 1201]  # that of the deleted one is not given again


def test_a_data_folder_moves_to_another_and_stays_as_it_is(old, tmp_path):
    before = state(old)
    command = [sys.executable, "-m", "xfworker", "migrate", "--from", str(old.data), "--data", str(tmp_path / "new")]
    report = json.loads(subprocess.check_output([*command, "--json", "--read-back"]))
    assert (report["files"], report["copied_files"], report["records"]["projects"]) == (4, 4, 1199)
    assert state(old) == before
    require_same(old, PlatformStorage(data=tmp_path / "new", durable=False))


def test_a_target_that_holds_something_else_is_refused_and_not_changed(old, tmp_path):
    new = PlatformStorage(data=tmp_path / "new", durable=False)
    migrate(old, new, print)
    before = state(new)
    with pytest.raises(UsageError, match="holds records already"):
        migrate(old, new, print)
    files = tmp_path / "full"
    (files / "job_result" / "7").mkdir(parents=True)
    (files / "job_result" / "7" / "a").write_text("x")
    with pytest.raises(UsageError, match="holds files already"):
        migrate(old, PlatformStorage(data=tmp_path / "third", files=files, durable=False), print)
    with pytest.raises(UsageError, match="is the old one"):
        migrate(old, old, print)
    assert {path: value for path, value in state(new).items() if "sqlite" not in path} == {
        path: value for path, value in before.items() if "sqlite" not in path
    }


def test_a_migration_that_was_killed_goes_on_and_nobody_serves_half_of_it(old, tmp_path):
    new = PlatformStorage(data=tmp_path / "new", durable=False)
    command = [sys.executable, "-m", "xfworker", "migrate", "--from", str(old.data), "--data", str(new.data)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("projects: 500"):
            process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
            break
    process.communicate()
    with sqlite3.connect(new.data / "records.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM projects").fetchone()[0] >= 500
    with pytest.raises(ConfigurationError, match="has not ended"), opened_platform(new):
        pass
    with pytest.raises(UsageError, match="another migration"):
        migrate(old, PlatformStorage(data=new.data, files=tmp_path / "elsewhere", durable=False), print)
    assert migrate(old, new, print).files == 4
    require_same(old, new)


def test_a_running_server_is_not_moved_and_nothing_is_moved_into_one(old, tmp_path):
    from xfworker.api.composition.endpoint_file import server_lock

    new = PlatformStorage(data=tmp_path / "new")
    new.data.mkdir()
    for storage in (old, new):
        with server_lock(storage.data), pytest.raises(UsageError, match="a server runs"):
            migrate(old, new, print)


def test_a_file_that_is_not_what_was_stored_ends_the_migration(old, tmp_path):
    place = old.data / "files" / "workflow_config" / "1" / "small.csv"
    status = place.stat()
    with place.open("r+b") as file:
        file.write(b"9")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChecksumMismatch, match=r"small.csv did not arrive as it was sent"):
        migrate(old, PlatformStorage(data=tmp_path / "new", durable=False), print)


def test_a_database_of_another_version_is_not_moved(old, tmp_path):
    with sqlite3.connect(old.data / "records.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    with pytest.raises(ConfigurationError, match="has schema older, this version"):
        migrate(old, PlatformStorage(data=tmp_path / "new", durable=False), print)


def test_the_secret_of_another_server_stays(old, tmp_path):
    new = PlatformStorage(data=tmp_path / "new", durable=False)
    new.data.mkdir()
    new.secret_path.write_text("00" * 32)
    with pytest.raises(UsageError, match="is another server's secret"):
        migrate(old, new, print)
    assert new.secret_path.read_text() == "00" * 32


def change_a_record(new):
    with sqlite3.connect(new.data / "records.sqlite") as connection:
        connection.execute("DELETE FROM projects WHERE serial = 7")


def add_a_file(new):
    (new.data / "files" / "workflow_config" / "1" / "more.csv").write_bytes(b"3\n")


@pytest.mark.parametrize(
    ("change", "says"), [(change_a_record, "records of projects are not the same"), (add_a_file, "there are 5 files")]
)
def test_what_was_changed_meanwhile_is_found_and_nobody_serves_it(old, tmp_path, change, says):
    new = PlatformStorage(data=tmp_path / "new", durable=False)

    def progress(step):
        if step == "comparing all records":
            change(new)

    with pytest.raises(ChecksumMismatch, match=says):
        migrate(old, new, progress)
    with pytest.raises(ConfigurationError, match="has not ended"), opened_platform(new):
        pass


def test_a_data_folder_moves_to_postgresql_and_a_bucket_and_back(old, tmp_path, monkeypatch):
    pytest.importorskip("obstore")
    weed = tmp_path / "weed"
    weed.mkdir()
    with postgresql_server() as server, object_server(weed) as endpoint:
        make_bucket(endpoint)
        (tmp_path / "xfworker.toml").write_text(
            f'[files]\nendpoint = "{endpoint}"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
        )
        monkeypatch.setenv("XFWORKER_CONFIG", str(tmp_path / "xfworker.toml"))
        address, bucket = server.get_uri(), "s3://test/lab"
        assert main(["migrate", "--from", str(old.data), "--to", address, "--files", bucket]) == 0
        middle = tmp_path / "old-migrated"
        back = ["--from", str(middle), "--from-database", address, "--from-files", bucket]
        assert main(["migrate", *back, "--data", str(tmp_path / "third")]) == 0
        require_same(old, PlatformStorage(data=tmp_path / "third", durable=False))
