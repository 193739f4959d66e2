"""The schema that migrations make is the one that the code works with."""

import io
import json
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from tests.contract.suites.postgresql import make_databases, postgresql_server
from xfworker.adapters.sql.export import read_rows, write_rows
from xfworker.adapters.sql.tables import METADATA
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.errors import ConfigurationError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Worker


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture
def records(request, kind, tmp_path):
    with opened(request, kind, tmp_path, "lab") as records:
        yield records


@pytest.fixture
def new_records(request, kind, tmp_path):
    with opened(request, kind, tmp_path, "new") as records:
        yield records


@contextmanager
def opened(request, kind, folder, name):
    address = None if kind == "sqlite" else request.getfixturevalue("postgresql")[name]
    records = opened_records(PlatformStorage(data=folder / name, database=address))
    try:
        yield records
    finally:
        records.close()


@pytest.fixture(scope="module")
def postgresql():
    with postgresql_server() as server:
        yield make_databases(server, "lab", "new")


def test_the_migrations_make_the_tables_that_the_code_knows(records):
    with records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, METADATA) == []


def test_an_export_brings_everything_back_and_serials_go_on(records):
    with records.transaction() as transaction:
        for number in range(1200):
            transaction.insert(Project(name=f"p{number}", metadata={"é": [1, None]}))
        transaction.insert(Job(task_serial=1, state=JobState.WAITING, sort_order="a"))
        transaction.put_entry("k", {"n": 1})
    written = io.BytesIO()
    count = write_rows(records.engine, written)
    with records.transaction() as transaction:
        transaction.delete(Project, {"name": "p7"})
        later = transaction.insert(Project(name="later")).serial
    written.seek(0)
    assert read_rows(records.engine, written) == count == 1202
    with records.transaction() as transaction:
        found = transaction.find(Project)
        assert [project.name for project in found] == [f"p{number}" for number in range(1200)]
        assert found[0].metadata == {"é": [1, None]}
        assert transaction.entry("k") == {"n": 1}
        assert transaction.insert(Project()).serial == later + 1  # a script may still go on with what was "later"


def test_what_may_have_been_given_since_an_export_is_not_given_again(records, new_records):
    with records.transaction() as transaction:
        known = transaction.insert(Project(name="known", occ_lock_version=3))
    written = io.BytesIO()
    write_rows(records.engine, written)
    for restored, is_new in ((records, False), (new_records, True)):
        written.seek(0)
        read_rows(restored.engine, written, skipped=500)
        with restored.transaction() as transaction:
            assert transaction.get(Project, known.serial).occ_lock_version == 503
            # The counters of a new database do not say what the other one gave.
            skipped = 500 if is_new else 0
            assert transaction.insert(Project()).serial == known.serial + skipped + 1
            assert transaction.insert(Worker(name="first")).serial == skipped + 1


@pytest.mark.parametrize("line", [b"{", b'["jobs"]', b'["colours", {}]', b'["jobs", {"colour": 1}]', b"[1, 2]"])
def test_an_export_that_is_damaged_changes_nothing(records, line):
    with records.transaction() as transaction:
        kept = transaction.insert(Project(name="kept")).serial
    good = json.dumps(["projects", {"serial": 1, "name": "other"}]).encode()
    with pytest.raises(ConfigurationError):
        read_rows(records.engine, io.BytesIO(good + b"\n" + line + b"\n"))
    with records.transaction(write=False) as transaction:
        assert transaction.get(Project, kept).name == "kept"


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    opened_records(PlatformStorage(data=tmp_path)).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'records.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    engine.dispose()
    with pytest.raises(ConfigurationError, match="newer version"):
        opened_records(PlatformStorage(data=tmp_path))
    assert not (tmp_path / "backups").exists()


def test_a_database_that_cannot_be_opened_is_one_sentence_without_its_password(tmp_path):
    (tmp_path / "records.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigurationError, match="not a database"):
        opened_records(PlatformStorage(data=tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        opened_records(PlatformStorage(data=tmp_path, database="postgresql://xf:hush@127.0.0.1:1/lab"))
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="SQLite or PostgreSQL"):
        opened_records(PlatformStorage(data=tmp_path, database="mysql://localhost/x"))
