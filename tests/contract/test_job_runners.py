"""The suites for job runners: processes of this computer, and scripts inside the test's own process."""

import sys

import pytest

from tests.contract.suites.facade_project import ScriptProject, memory_place
from tests.contract.suites.forking_runner import ForkingRunner
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.testing.contracts.job_runner import ConcurrentJobRunnerContract, JobRunnerContract
from xfworker.testing.in_process_runner import InProcessRunner


class TestProcessRunner(ConcurrentJobRunnerContract):
    @pytest.fixture
    def runner(self):
        runner = ProcessRunner(grace_seconds=0.3)
        yield runner
        runner.close()


@pytest.fixture(scope="module")
def forking():
    runner = ForkingRunner(grace_seconds=0.3)
    yield runner
    runner.close()


@pytest.mark.skipif(sys.platform != "linux", reason="scripts are forked on Linux only")
class TestForkingRunner(ConcurrentJobRunnerContract):
    @pytest.fixture
    def runner(self, forking):
        return forking


class TestInProcessRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, tmp_path_factory):
        place = memory_place()
        lease = ScriptProject.make(place, tmp_path_factory.mktemp("lab")).lease()
        return InProcessRunner(lambda _arguments, folder: place.session_of(lease, folder))
