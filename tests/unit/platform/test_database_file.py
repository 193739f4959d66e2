"""A database that is taken away: noticed while the server runs, and not begun anew beside the files of its records."""

import sqlite3
from contextlib import closing, nullcontext

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from xfworker.adapters.sql.engine import open_engine, sqlite_url
from xfworker.adapters.sql.records import SqlRecordStore, _own_errors
from xfworker.adapters.sql.schema import upgrade
from xfworker.adapters.wire.problem import problem_headers
from xfworker.api.composition.platform import PlatformStorage, opened_platform
from xfworker.domain.errors import ConfigurationError, ServerBusy, ServerFault
from xfworker.domain.records import Project


@pytest.fixture
def records(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "records.sqlite"))
    upgrade(engine, lambda _: tmp_path)
    store = SqlRecordStore(engine)
    yield store
    store.close()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_a_change_waits_for_the_disk_where_it_is_to_outlive_a_power_cut(tmp_path, durable, level):
    engine = open_engine(sqlite_url(tmp_path / "records.sqlite"), durable=durable)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == level
    engine.dispose()


@pytest.mark.parametrize("write", [True, False])
def test_a_writer_keeps_other_processes_from_writing_before_it_has_read_anything(records, tmp_path, write):
    # Else what it read may have changed by the time it writes, and it is refused in the middle of its work.
    with (
        closing(sqlite3.connect(tmp_path / "records.sqlite", timeout=0.0)) as another,
        records.transaction(write=write),
        pytest.raises(sqlite3.OperationalError, match="locked") if write else nullcontext(),
    ):
        another.execute("BEGIN IMMEDIATE")


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("replaced", [True, False])
def test_a_database_file_that_was_taken_away_is_noticed(records, tmp_path, write, replaced):
    with records.transaction() as transaction:
        transaction.insert(Project(name="bones"))
    path = tmp_path / "records.sqlite"
    path.rename(tmp_path / "moved")
    if replaced:
        path.touch()
    with pytest.raises(ServerFault, match="replaced" if replaced else "removed"), records.transaction(write=write):
        pass
    path.unlink(missing_ok=True)
    (tmp_path / "moved").rename(path)
    with records.transaction(write=False) as transaction:
        assert len(transaction.find(Project)) == 1


def test_no_empty_database_is_begun_beside_the_files_of_records(tmp_path):
    storage = PlatformStorage(data=tmp_path, durable=False)
    with opened_platform(storage):
        pass
    (tmp_path / "files" / "userdata").mkdir(parents=True)
    (tmp_path / "records.sqlite").unlink()
    with opened_platform(storage):
        pass
    (tmp_path / "files" / "job_result" / "1").mkdir(parents=True)
    (tmp_path / "records.sqlite").unlink()
    with pytest.raises(ConfigurationError, match="restore a backup"), opened_platform(storage):
        pass
    assert not (tmp_path / "records.sqlite").exists()


class _Terminated(psycopg.OperationalError):
    sqlstate = "57P01"


class _OutOfMemory(psycopg.OperationalError):
    sqlstate = "53200"


@pytest.mark.parametrize("cause", [psycopg.OperationalError("connection refused"), _Terminated("terminating")])
def test_a_database_that_is_away_is_something_to_wait_for(cause):
    with pytest.raises(ServerBusy, match="cannot be reached") as caught, _own_errors():
        raise OperationalError("SELECT 1", {}, cause)
    assert caught.value.status == 503
    assert problem_headers(caught.value, "GET")["Retry-After"] == "2"


def test_a_database_that_refuses_a_statement_is_not_waited_for():
    with pytest.raises(ServerFault), _own_errors():
        raise OperationalError("SELECT 1", {}, _OutOfMemory("out of memory"))


def test_a_part_of_a_transaction_whose_end_fails_hinders_no_later_transaction(records):
    def fails(_connection, _cursor, statement, *_):
        if statement.startswith("RELEASE"):
            raise OperationalError(statement, {}, Exception("disk I/O error"))

    event.listen(records.engine, "before_cursor_execute", fails)
    with pytest.raises(ServerBusy), records.transaction() as transaction, transaction.savepoint():
        transaction.insert(Project(name="lost"))
    event.remove(records.engine, "before_cursor_execute", fails)
    with records.transaction() as transaction, transaction.savepoint():
        transaction.insert(Project(name="kept"))
    with records.transaction(write=False) as transaction:
        assert [project.name for project in transaction.find(Project)] == ["kept"]
