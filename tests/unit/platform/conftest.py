"""The small workflow that tests of the flow of jobs begin from."""

import pytest

from tests.unit.platform.small_workflow import SmallWorkflow
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.api.composition.platform import PlatformStorage, opened_records


@pytest.fixture(params=["memory", "sqlite"])
def flow(request, tmp_path):
    if request.param == "memory":
        yield SmallWorkflow(MemoryRecordStore())
        return
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield SmallWorkflow(records)
    records.close()
