"""The platform's rules over records in memory."""

import pytest

from tests.contract.suites.job_queue import JobQueueContract
from tests.contract.suites.record_store import RecordStoreContract
from tests.contract.suites.worlds import DirectWorld
from tests.contract.suites.xf_server import XFServerContract
from xfworker.adapters.memory.records import MemoryRecordStore


class TestMemoryRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryRecordStore()


class TestMemoryXFServer(XFServerContract):
    @pytest.fixture
    def world(self):
        return DirectWorld.over(MemoryRecordStore())


class TestMemoryJobQueue(JobQueueContract):
    @pytest.fixture
    def world(self):
        return DirectWorld.over(MemoryRecordStore())
