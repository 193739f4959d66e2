"""The facade over HTTP, against a server in another process."""

import pytest

from tests.contract.suites.facade_files import FacadeFilesContract
from tests.contract.suites.facade_job import FacadeJobContract
from tests.contract.suites.facade_project import ScriptProject, http_place
from tests.contract.suites.facade_records import FacadeRecordsContract


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with http_place(tmp_path_factory.mktemp("facade"), database="memory:") as made:
        yield made


@pytest.fixture
def script_project(place, tmp_path):
    return ScriptProject.make(place, tmp_path)


class TestHttpFacadeRecords(FacadeRecordsContract):
    pass


class TestHttpFacadeJob(FacadeJobContract):
    pass


class TestHttpFacadeFiles(FacadeFilesContract):
    pass
