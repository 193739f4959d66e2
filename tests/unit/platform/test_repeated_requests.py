"""Requests that come twice, or at the same time as another's: each does what it says once, for who sent it."""

import pytest

from tests.unit.platform.small_workflow import SmallWorkflow
from tests.unit.platform.test_file_rights import Lab
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.errors import RecordConflict
from xfworker.domain.records import Job, Project, TaskType
from xfworker.services.platform.control import PlatformControl
from xfworker.services.platform.server import PlatformServer


@pytest.fixture
def lab(tmp_path):
    return Lab.at(tmp_path)


def test_two_callers_with_one_key_do_not_meet(lab):
    (_, anna), (_, berta) = lab.person("anna"), lab.person("berta")
    annas, bertas = (lab.server(who).create(Project(name="bones"), idempotency_key="k") for who in (anna, berta))
    assert annas.serial != bertas.serial
    assert lab.server(anna).create(Project(name="bones"), idempotency_key="k") == annas
    assert lab.server(berta).create(Project(name="bones"), idempotency_key="k") == bertas


def test_a_key_is_kept_for_as_long_as_it_is_said_and_then_a_new_one(lab):
    first = lab.server().create(Project(name="bones"), idempotency_key="k")
    lab.clock.advance(lab.platform.options.idempotency_key_seconds)
    lab.platform.maintain()
    assert lab.server().create(Project(name="bones"), idempotency_key="k") == first
    lab.clock.advance(lab.platform.options.idempotency_key_seconds)
    lab.platform.maintain()
    assert lab.server().create(Project(name="bones"), idempotency_key="k").serial != first.serial


class Overtaken(PlatformServer):
    """A server to whom something happens between two questions."""

    def happens(self):
        """Do nothing unless a test says what."""

    def get(self, kind, serial):
        record = super().get(kind, serial)
        if kind is TaskType:
            self.happens()
        return record


def test_a_job_that_others_restarted_meanwhile_is_not_restarted_once_more():
    small = SmallWorkflow(MemoryRecordStore())
    small.task("Scan")
    small.start()
    small.control.start_run(small.workflow)
    job = small.fail()
    platform = small.world.platform
    admin = platform.authenticate(platform.admin_token())
    server = Overtaken(
        admin, records=platform.records, clock=platform.clock, signer=platform.signer, options=platform.options
    )

    def others():
        small.control.restart_job(job.serial)
        assert small.fail().attempt == 2

    server.happens = others
    with pytest.raises(RecordConflict):
        PlatformControl(admin, server, clock=platform.clock).restart_job(job.serial)
    assert small.server.get(Job, job.serial).state.value == "Failed"
