"""The platform's rules over SQLite."""

import pytest

from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.testing.contracts.job_queue import JobQueueContract
from xfworker.testing.contracts.record_store import RecordStoreContract
from xfworker.testing.contracts.workflow_control import WorkflowControlContract
from xfworker.testing.contracts.worlds import DirectWorld, http_world
from xfworker.testing.contracts.xf_server import XFServerContract


@pytest.fixture
def sqlite_records(tmp_path):
    records = opened_records(PlatformStorage(data=tmp_path))
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


class TestSqliteWorkflowControl(WorkflowControlContract):
    @pytest.fixture
    def world(self, sqlite_records):
        return DirectWorld.over(sqlite_records)

    @pytest.fixture
    def control(self, world):
        return world.control


class TestHttpWorkflowControlOverSqlite(WorkflowControlContract):
    @pytest.fixture
    def world(self, served):
        return served

    @pytest.fixture
    def control(self, world):
        return world.control
