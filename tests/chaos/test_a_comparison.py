"""What the comparison of two servers notices, and what it leaves out."""

import pytest

from tests.chaos.comparison import Content, attempt_violations, differences
from xfworker.adapters.memory.files import MemoryFileStore
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job
from xfworker.testing.contracts.worlds import DirectWorld, Setting


class Site:
    """A platform with one job, and its files."""

    def __init__(self, folder, *, earlier=0):
        self.world, self.files, self.folder = DirectWorld.over(MemoryRecordStore()), MemoryFileStore(), folder
        self.stored = []
        self.setting = Setting.make(self.world)
        for _ in range(earlier):
            self.world.admin.create(Job(task_serial=self.setting.task.serial, run_serial=self.setting.run.serial))
        self.job = self.setting.job()

    def store(self, content, name="result.raw", job=None):
        resource = record_resource("job_result", job or self.job.serial, name)
        source = self.folder / "source"
        source.write_bytes(content)
        self.files.upload(self.world.admin.file_token([Scope("write", resource)]), source, resource)
        self.stored.append(str(resource))

    def run(self, *endings, mean=1.5, content=b"pixels"):
        """Let attempts end in these ways, the last of them well."""
        for ending in endings:
            lease = self.setting.leased(self.job)
            self.world.queue.end(lease, Outcome(ending=ending, message="it stops"))
        lease = self.setting.leased(self.job)
        self.store(content)
        named = {"type": "ForeignFile", "source": "job_result", "job_serial": self.job.serial, "filename": "result.raw"}
        outputs = {"/outputs": {"mean": mean, "image": named}, "/state": JobState.DONE.value}
        self.setting.script(lease).update(Job, self.job.serial, Change(values=outputs))
        self.world.queue.end(lease, Outcome(ending=Ending.FINISHED))
        return self

    def content(self):
        return Content(self.world.admin, self.files, self.stored)


@pytest.fixture
def expected(tmp_path):
    return Site(tmp_path).run().content()


def test_what_was_given_back_and_has_other_serials_is_equal(tmp_path, expected):
    site = Site(tmp_path).run(Ending.PREEMPTED, Ending.HANDED_BACK)
    assert differences(site.content(), expected) == []
    assert attempt_violations(site.content(), may_lose=0) == []


@pytest.mark.parametrize(
    ("otherwise", "noticed"),
    [
        ({"mean": 1.6}, "job task look of run mouse 1 differs: outputs: mean: 1.6 and not 1.5"),
        ({"content": b"Pixels"}, "job_result/job task look of run mouse 1/result.raw differs"),
    ],
)
def test_another_output_and_another_digest_are_noticed(tmp_path, expected, otherwise, noticed):
    [found] = differences(Site(tmp_path).run(**otherwise).content(), expected)
    assert found.startswith(noticed)


def test_files_beyond_those_of_one_machine_are_noticed(tmp_path, expected):
    site = Site(tmp_path).run()
    site.store(b"half", name="left.raw")
    site.store(b"nobody's", job=99)
    found = differences(site.content(), expected)
    assert "job_result/99/result.raw belongs to no record" in found
    assert "job_result/job task look of run mouse 1/left.raw is there beyond what one machine made" in found


def test_a_job_that_is_there_twice_and_one_that_is_not_there_are_noticed(tmp_path, expected):
    found = differences(Site(tmp_path, earlier=1).run().content(), expected)
    assert "2 are called job task look of run mouse 1" in found
    found = differences(expected, Site(tmp_path, earlier=1).content())
    assert any(violation.endswith("state: Done and not Ready") for violation in found)


def test_an_attempt_that_is_counted_needs_a_disturbance_that_cost_one(tmp_path):
    site = Site(tmp_path)
    site.setting.leased(site.job)
    for _ in range(70):
        site.world.clock.advance(1.0)
        site.world.platform.maintain()
    content = site.run().content()
    assert attempt_violations(content, may_lose=1) == []
    assert attempt_violations(content, may_lose=0) == ["1 attempts are counted as lost, but only 0 can have been"]
