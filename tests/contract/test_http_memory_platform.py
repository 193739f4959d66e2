"""The same rules over real HTTP, records in memory."""

import pytest

from xfworker.testing.contracts.job_queue import JobQueueContract
from xfworker.testing.contracts.workflow_control import WorkflowControlContract
from xfworker.testing.contracts.worlds import http_world
from xfworker.testing.contracts.xf_server import XFServerContract


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


class TestHttpWorkflowControlOverMemory(WorkflowControlContract):
    @pytest.fixture
    def world(self, served):
        return served

    @pytest.fixture
    def control(self, world):
        return world.control
