"""The platform's rules over SQLite."""

import pytest

from tests.contract.suites.job_queue import JobQueueContract
from tests.contract.suites.record_store import RecordStoreContract
from tests.contract.suites.worlds import DirectWorld, http_world
from tests.contract.suites.xf_server import XFServerContract
from xfworker.api.platform_bootstrap import PlatformPlace, opened_records


@pytest.fixture
def sqlite_records(tmp_path):
    records = opened_records(PlatformPlace(data=tmp_path))
    yield records
    records.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sqlite")
    with http_world(folder, f"sqlite:///{folder / 'records.sqlite'}") as world:
        yield world


class TestSqliteRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self, sqlite_records):
        return sqlite_records


class TestSqliteJobQueue(JobQueueContract):
    @pytest.fixture
    def world(self, sqlite_records):
        return DirectWorld.over(sqlite_records)


class TestHttpXFServerOverSqlite(XFServerContract):
    @pytest.fixture
    def world(self, served):
        return served


class TestHttpJobQueueOverSqlite(JobQueueContract):
    @pytest.fixture
    def world(self, served):
        return served
