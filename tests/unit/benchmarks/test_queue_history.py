"""What a history of a queue is held against can be violated, and each violation is named."""

import attrs
import pytest

from benchmarks.queue_history import Flow, Held, History, violations
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Workflow

FLOW = Flow(workflow=1, source=1, step=2)
DONE = Job(serial=1, task_serial=1, run_serial=1, state=JobState.DONE, attempt=2, metadata={"seen": [1, 2]})
STEP = Job(serial=2, task_serial=2, run_serial=1, state=JobState.FAILED, attempt=1, metadata={"seen": [1]})
HELD = (
    Held(job=1, attempt=1, had_at=1.0, ended_at=2.0, finished=False),
    Held(job=1, attempt=2, had_at=3.0, ended_at=4.0, finished=True),
    Held(job=2, attempt=1, had_at=5.0, ended_at=6.0, finished=False),
)


def found(*, held=HELD, jobs=(DONE, STEP), count=3, **history):
    seen = History(held=list(held), **{"counted": 3, **history})
    return violations(seen, jobs, [FLOW], Workflow(project_serial=1, metadata={"count": count}))


def test_what_a_queue_gives_is_no_violation():
    assert found() == []
    assert found(held=HELD[:2], unanswered=1) == []
    assert found(count=4, unsure=1) == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("given to two clients", {"held": (*HELD, HELD[1])}),
        ("began before", {"held": (HELD[0], attrs.evolve(HELD[1], had_at=1.5), HELD[2])}),
        ("attempts were counted", {"held": HELD[:2]}),
        ("is at attempt 1", {"jobs": (attrs.evolve(DONE, attempt=1), STEP)}),
        ("wrote", {"jobs": (attrs.evolve(DONE, metadata={"seen": [2]}), STEP)}),
        ("do not explain", {"held": (HELD[0], attrs.evolve(HELD[1], finished=False), HELD[2])}),
        ("its step was made in", {"jobs": (DONE,)}),
        ("changes of the counter", {"count": 2}),
        ("a client failed", {"errors": [ValueError("x")]}),
    ],
)
def test_what_no_queue_gives_is_named(what, change):
    assert [violation for violation in found(**change) if what in violation]
