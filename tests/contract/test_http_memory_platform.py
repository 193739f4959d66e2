"""The same rules over real HTTP, records in memory."""

import pytest

from tests.contract.suites.job_queue import JobQueueContract
from tests.contract.suites.worlds import http_world
from tests.contract.suites.xf_server import XFServerContract


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with http_world(tmp_path_factory.mktemp("memory"), "memory:") as world:
        yield world


class TestHttpXFServerOverMemory(XFServerContract):
    @pytest.fixture
    def world(self, served):
        return served


class TestHttpJobQueueOverMemory(JobQueueContract):
    @pytest.fixture
    def world(self, served):
        return served
