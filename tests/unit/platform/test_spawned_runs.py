"""Runs that scripts spawn: they begin with what was spawned, and do not repeat what led to it."""

from typing import Any

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from xfworker.adapters.memory.records import MemoryRecordStore
from xfworker.domain.change import Change
from xfworker.domain.errors import InvalidRecord
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType, TaskTypeKind
from xfworker.ports.job_queue import Lease
from xfworker.ports.xf_server import XFServer
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.script.spawning import job_spawn_key

FILES = ("a.isq", "b.isq", "c.isq")


@pytest.fixture
def lab() -> SmallWorkflow:
    return SmallWorkflow(MemoryRecordStore())


class Scripts:
    """Works on every job: the tasks that are named here spawn a done job for each file, all others give a number."""

    def __init__(self, lab: SmallWorkflow, spawning: dict[int, int]) -> None:
        self.lab = lab
        self.spawning = spawning

    def run(self, most: int = 60) -> int:
        for count in range(most):
            lease = self.lab.queue.claim(self.lab.worker)
            if lease is None:
                return count
            script = self.lab.world.as_bearer(lease.server_auth)
            target = self.spawning.get(lease.job.task_serial)
            for name in FILES if target else ():
                spawn(script, Job(task_serial=target or 0, state=JobState.DONE, outputs={"out": name}))
            done(self.lab, lease, script)
        raise AssertionError(f"still spawning after {most} jobs")


def spawn(script: XFServer, job: Job) -> Job:
    return script.create(Job(**{**fields(job), "spawn_key": job_spawn_key(job, 0)}))


def fields(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in ("task_serial", "source_job_serial", "state", "inputs", "outputs")}


def done(lab: SmallWorkflow, lease: Lease, script: XFServer) -> None:
    script.update(Job, lease.job.serial, Change(values={"/outputs": {"out": 1}, "/state": "Done"}))
    lab.queue.end(lease, ENDED)


def found_task(lab: SmallWorkflow, key: str = "found") -> int:
    kind = lab.server.create(TaskType(name=f"Lab.{key}", kind=TaskTypeKind.SOURCE))
    task = Task(workflow_serial=lab.workflow, task_type_serial=kind.serial, spawn_key=key)
    return lab.server.create(task).serial


def test_a_search_that_spawns_runs_is_not_begun_again_by_them(lab):
    search = lab.task("search")
    found = found_task(lab)
    mask = lab.task("mask", types={"image": "String"}, image=output(found))
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert lab.states(search, found, mask) == [["Done"], ["Done"] * 3, ["Done"] * 3]
    assert [job.inputs["image"] for job in lab.jobs(mask)] == list(FILES)
    assert len(lab.server.find(Run)) == 4


def test_two_searches_do_not_begin_each_other(lab):
    searches = [lab.task(f"search{n}") for n in range(2)]
    found = [found_task(lab, f"found{n}") for n in range(2)]
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, dict(zip(searches, found, strict=True))).run()
    assert lab.states(*searches, *found) == [["Done"], ["Done"], ["Done"] * 3, ["Done"] * 3]


def test_what_leads_to_the_search_is_not_begun_again_either(lab):
    first = lab.task("first")
    search = lab.task("search", a=output(first))
    found = found_task(lab)
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert lab.states(first, search, found) == [["Done"], ["Done"], ["Done"] * 3]


def test_a_first_task_that_followers_of_the_spawned_job_need_begins_in_each_run(lab):
    search, low = lab.task("search"), lab.task("low")
    found = found_task(lab)
    mask = lab.task("mask", types={"image": "String"}, image=output(found), low=output(low))
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert lab.states(search, low, mask) == [["Done"], ["Done"] * 4, ["Done"] * 3]


def test_a_search_that_runs_again_finds_what_it_spawned(lab):
    search = lab.task("search")
    found = found_task(lab)
    lab.start()
    for _ in range(2):
        lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert lab.states(search, found) == [["Done"] * 2, ["Done"] * 3]


def test_what_is_in_an_obsolete_run_is_spawned_anew(lab):
    search = lab.task("search")
    found = found_task(lab)
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    lab.server.update(Run, lab.jobs(found)[0].run_serial or 0, Change(values={"/obsolete": True}))
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert len(lab.jobs(found)) == 4


def test_a_task_that_spawns_itself_comes_to_an_end(lab):
    task = lab.task("again", "Source")
    lab.start()
    lab.control.start_run(lab.workflow)
    for depth in range(20):
        lease = lab.queue.claim(lab.worker)
        script = lab.world.as_bearer(lease.server_auth)
        script.create(Job(task_serial=task, state=JobState.READY, outputs={"depth": depth}))
        done(lab, lease, script)
    script = lab.world.as_bearer(lab.queue.claim(lab.worker).server_auth)
    with pytest.raises(InvalidRecord, match="looks like a loop"):
        script.create(Job(task_serial=task, state=JobState.READY))


def spawning_loop(lab: SmallWorkflow) -> int:
    """Make a workflow in which every job spawns three jobs of its own task, which are ready to run."""
    found = found_task(lab)
    lab.start()
    lab.server.create(Job(task_serial=found, state=JobState.READY))
    return found


def refusals(lab: SmallWorkflow, found: int, most: int) -> list[str]:
    """Work until nothing is ready, and give why jobs were not spawned."""
    reasons: list[str] = []
    for _ in range(most):
        lease = lab.queue.claim(lab.worker)
        if lease is None:
            return reasons
        script = lab.world.as_bearer(lease.server_auth)
        for name in FILES:
            fresh = Job(task_serial=found, state=JobState.READY, inputs={"by": f"{lease.job.serial} {name}"})
            try:
                spawn(script, fresh)
                assert spawn(script, fresh).serial  # what is there is given again, and not counted
            except InvalidRecord as error:
                reasons.append(str(error))
        done(lab, lease, script)
    raise AssertionError(f"still spawning after {most} jobs")


def test_jobs_that_spawn_several_of_their_own_kind_come_to_an_end_before_they_are_many():
    lab = SmallWorkflow(MemoryRecordStore(), PlatformOptions(most_spawned_jobs=12))
    found = spawning_loop(lab)
    reasons = refusals(lab, found, most=40)
    assert len(lab.jobs(found)) == 1 + 3 + 12
    assert reasons
    assert all("12 jobs that go back to job 1" in reason and "looks like a loop" in reason for reason in reasons)


def test_what_one_job_spawns_itself_is_as_much_as_it_likes():
    lab = SmallWorkflow(MemoryRecordStore(), PlatformOptions(most_spawned_jobs=1))
    search, found = lab.task("search"), found_task(lab)
    lab.start()
    lab.control.start_run(lab.workflow)
    Scripts(lab, {search: found}).run()
    assert lab.states(found) == [["Done"] * 3]
