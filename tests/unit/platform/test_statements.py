"""How often the store is asked for what every job needs: each question is a round trip where the store is a server."""

import pytest

from tests.unit.platform.small_workflow import ENDED, SmallWorkflow, output
from tests.unit.platform.statements import counted
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.records import Job
from xfworker.testing.contracts.worlds import heartbeat

_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


@pytest.fixture
def bench(tmp_path):
    records = opened_records(PlatformStorage(data=tmp_path, durable=False))
    yield SmallWorkflow(records)
    records.close()


def asked(statements: list[str]) -> int:
    return len([statement for statement in statements if not statement.startswith(_CONTROL)])


def chain(bench: SmallWorkflow, *, group: bool) -> None:
    source = bench.task("Source", "Source")
    first = bench.task("First", a=output(source))
    second = bench.task("Second", a=output(first))
    if group:
        bench.task("Group", types={"a": "Sequence"}, a=output(second))
    bench.start()


def finished(bench: SmallWorkflow) -> list[str]:
    lease = bench.queue.claim(bench.worker)
    script = bench.world.as_bearer(lease.server_auth)
    with counted(bench.world) as statements:
        change = Change(values={"/outputs": {"out": 1.0}, "/state": "Done"})
        script.update(Job, lease.job.serial, change, idempotency_key=f"finish {lease.job.serial}")
    bench.queue.end(lease, ENDED)
    return statements


def test_a_job_from_its_run_to_its_end_asks_the_store_little(bench):
    chain(bench, group=False)
    bench.control.start_run(bench.workflow, outputs={"out": 1.0})
    with counted(bench.world) as starting:
        bench.control.start_run(bench.workflow, outputs={"out": 1.0}, idempotency_key="start")
    with counted(bench.world) as claiming:
        lease = bench.queue.claim(bench.worker, claim_key="claim")
    script = bench.world.as_bearer(lease.server_auth)
    with counted(bench.world) as getting:
        script.get(Job, lease.job.serial + 1)
    with counted(bench.world) as beating:
        heartbeat(bench.queue, lease)
    bench.queue.end(lease, ENDED)
    finishing = finished(bench)
    figures = [asked(statements) for statements in (starting, claiming, getting, beating, finishing)]
    assert all(0 < figure <= most for figure, most in zip(figures, (20, 9, 2, 4, 12), strict=True)), figures


def test_the_end_of_a_job_asks_as_little_at_many_open_runs_as_at_few(bench):
    chain(bench, group=True)
    counts = []
    for runs in (2, 40):
        for _ in range(runs):
            bench.control.start_run(bench.workflow, outputs={"out": 1.0})
        counts.append([len(finished(bench)) for _ in ("first", "second")])
    assert counts[0] == counts[1]
