"""The facade over a platform in memory."""

import pytest

from tests.contract.suites.facade_files import FacadeFilesContract
from tests.contract.suites.facade_job import FacadeJobContract
from tests.contract.suites.facade_project import ScriptProject, memory_place
from tests.contract.suites.facade_records import FacadeRecordsContract


@pytest.fixture
def script_project(tmp_path):
    return ScriptProject.make(memory_place(), tmp_path)


class TestMemoryFacadeRecords(FacadeRecordsContract):
    pass


class TestMemoryFacadeJob(FacadeJobContract):
    pass


class TestMemoryFacadeFiles(FacadeFilesContract):
    pass
