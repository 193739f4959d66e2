"""The platform's rules over records in memory."""

import pytest

from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.testing.contracts.job_queue import JobQueueContract
from xfworker.testing.contracts.record_store import RecordStoreContract
from xfworker.testing.contracts.workflow_control import WorkflowControlContract
from xfworker.testing.contracts.worlds import DirectWorld
from xfworker.testing.contracts.xf_server import XFServerContract


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


class TestMemoryWorkflowControl(WorkflowControlContract):
    @pytest.fixture
    def world(self):
        return DirectWorld.over(MemoryRecordStore())

    @pytest.fixture
    def control(self, world):
        return world.control
