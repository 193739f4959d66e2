"""The platform's rules over PostgreSQL, which runs from a wheel."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import attrs
import pytest
from sqlalchemy import event, insert, text

from tests.contract.suites.postgresql import make_databases, postgresql_server
from tests.unit.platform.small_workflow import SmallWorkflow, output
from tests.unit.platform.test_statements import asked, chain
from xfworker.adapters.sql.derivations import KeptDerivations
from xfworker.adapters.sql.export import read_rows, write_rows
from xfworker.adapters.sql.prepared import Runner
from xfworker.adapters.sql.rows import to_row
from xfworker.adapters.sql.tables import CLAIM_RANK, CLAIMABLE_BY_TASK, METADATA, TABLES
from xfworker.adapters.sql.transaction import SqlTransaction
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.errors import LeaseLost, ServerFault
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Job, Project, Run, Worker
from xfworker.ports.record_store import Locking
from xfworker.testing.contracts.job_queue import JobQueueContract
from xfworker.testing.contracts.record_store import RecordStoreContract
from xfworker.testing.contracts.workflow_control import WorkflowControlContract
from xfworker.testing.contracts.worlds import DirectWorld, Setting, heartbeat, http_world
from xfworker.testing.contracts.xf_server import XFServerContract


@pytest.fixture(scope="module")
def databases():
    with postgresql_server() as server:
        yield make_databases(server, "emptied", "shared")


@pytest.fixture
def postgresql_records(databases, tmp_path):
    records = opened_records(PlatformStorage(data=tmp_path, database=databases["emptied"]))
    yield records
    with records.engine.begin() as connection:
        connection.execute(
            text(f"TRUNCATE {', '.join(table.name for table in METADATA.sorted_tables)} RESTART IDENTITY")
        )
    records.close()


@pytest.fixture(scope="module")
def served(databases, tmp_path_factory):
    with http_world(tmp_path_factory.mktemp("data"), databases["shared"]) as world:
        yield world


@pytest.fixture
def world(postgresql_records):
    return DirectWorld.over(postgresql_records)


@pytest.fixture
def setting(world):
    return Setting.make(world)


@pytest.fixture
def threads():
    with ThreadPoolExecutor() as threads:
        yield threads


def until_waiting(world, count, *, unless=None):
    """Come back when so many transactions wait for others, or when what should wait has not."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while unless is None or not unless.done():
        with world.platform.records.engine.connect() as connection:
            if connection.execute(waiting).scalar_one() >= count:
                return


def test_a_claim_takes_at_most_five_statements_and_a_heartbeat_two_however_many_leases_it_renews(world, setting):
    jobs = [setting.job() for _ in range(4)]
    worker = world.queue.register(Worker(name="bench")).serial
    leases = [world.queue.claim(worker) for _ in jobs[:3]]
    while world.platform.records.ready_count() is None:
        pass  # it begins to listen
    statements = []
    engine = world.platform.records.engine

    def count(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    assert world.queue.claim(worker, claim_key="one").job.serial == jobs[3].serial
    claiming, statements[:] = list(statements), []
    world.queue.heartbeat(leases)
    event.remove(engine, "before_cursor_execute", count)
    assert 0 < len(claiming) <= 5, claiming
    assert 0 < len(statements) <= 2, statements


def test_a_claim_that_is_sent_again_while_the_first_is_under_way_gets_the_same_lease(world, setting, threads):
    jobs = [setting.job() for _ in range(3)]
    worker = world.queue.register(Worker(name="bench")).serial
    with world.platform.records.engine.connect() as blocking:
        # What hands out the job waits where the lease is to be stored, so that the second comes meanwhile.
        blocking.execute(text("LOCK TABLE job_leases IN SHARE MODE"))
        claims = [threads.submit(world.queue.claim, worker, claim_key="one") for _ in range(2)]
        until_waiting(world, 2)
        blocking.rollback()
    leases = [claim.result() for claim in claims]
    assert {lease.job.serial for lease in leases} == {jobs[0].serial}
    assert world.queue.claim(worker, claim_key="two").job.serial == jobs[1].serial


def test_a_job_from_its_run_to_its_end_asks_the_server_as_little_as_a_file(postgresql_records):
    bench = SmallWorkflow(postgresql_records)
    chain(bench, group=False)
    bench.control.start_run(bench.workflow, outputs={"out": 1.0})
    statements, counts = [], []

    def count(_connection, _cursor, statement, *_):
        # The lock of a workflow and the announcement are what BEGIN IMMEDIATE and COMMIT are to a file.
        if "pg_advisory_xact_lock(%(workflows)s" not in statement and not statement.startswith("NOTIFY"):
            statements.append(statement)

    def counted(work):
        statements.clear()
        result = work()
        counts.append(asked(statements))
        return result

    event.listen(postgresql_records.engine, "before_cursor_execute", count)
    counted(lambda: bench.control.start_run(bench.workflow, outputs={"out": 1.0}, idempotency_key="start"))
    lease = counted(lambda: bench.queue.claim(bench.worker, claim_key="claim"))
    script = bench.world.as_bearer(lease.server_auth)
    counted(lambda: script.get(Job, lease.job.serial + 1))
    change = Change(values={"/outputs": {"out": 1.0}, "/state": "Done"})
    counted(lambda: script.update(Job, lease.job.serial, change, idempotency_key="finish"))
    event.remove(postgresql_records.engine, "before_cursor_execute", count)
    assert all(0 < figure <= most for figure, most in zip(counts, (20, 9, 2, 12), strict=True)), counts


def test_what_fails_while_it_waits_fails_the_transaction_and_nothing_of_it_is_kept(postgresql_records):
    def work():
        with postgresql_records.transaction() as transaction:
            transaction.insert(Project(name="lost"))
            transaction.put_entry("one", {"n": 1})
            transaction.log(ActivityEvent(title="NUL \x00 is in no database"))
            transaction.put_entry("two", {"n": 2})

    with pytest.raises(ServerFault, match="failed"):
        work()
    with postgresql_records.transaction() as transaction:
        assert transaction.find(Project) == []
        assert (transaction.entry("one"), transaction.entry("two")) == (None, None)


def test_a_part_that_is_undone_takes_what_waits_in_it_and_nothing_else(postgresql_records):
    with postgresql_records.transaction() as transaction:
        transaction.put_entry("before", {"n": 1})
        for reads in (False, True):
            with suppress(ZeroDivisionError), transaction.savepoint():
                transaction.put_entry("within", {"n": 2})
                assert not reads or transaction.entry("within") == {"n": 2}
                transaction.log(ActivityEvent(title="within"))
                raise ZeroDivisionError
        transaction.put_entry("after", {"n": 3})
    with postgresql_records.transaction(write=False) as transaction:
        assert [transaction.entry(key) for key in ("before", "within", "after")] == [{"n": 1}, None, {"n": 3}]
        assert transaction.count(ActivityEvent) == 0


def test_claims_and_heartbeats_wait_for_no_writer(world, setting, threads):
    job, other = setting.job(), setting.job()
    worker = world.queue.register(Worker(name="bench")).serial
    lease = world.queue.claim(worker)
    assert lease.job.serial == job.serial
    with world.platform.records.transaction(of=(Job, job.serial)) as transaction:
        transaction.get(Job, job.serial)
        assert threads.submit(heartbeat, world.queue, lease).result(60).expires_at is not None
        assert threads.submit(world.queue.claim, worker).result(60).job.serial == other.serial


def test_a_job_that_is_being_claimed_is_passed_over_and_one_that_comes_free_again_is_not_missed(
    world, setting, threads
):
    first, second = setting.job(), setting.job()
    worker = world.queue.register(Worker(name="bench")).serial
    with suppress(ZeroDivisionError), world.platform.records.transaction(locking=Locking.ROWS) as transaction:
        assert transaction.first_claimable_job({setting.task.serial}).serial == first.serial
        assert threads.submit(world.queue.claim, worker).result(60).job.serial == second.serial
        last = threads.submit(world.queue.claim, worker)
        until_waiting(world, 1)
        raise ZeroDivisionError  # whoever was claiming it does not take it
    assert last.result(60).job.serial == first.serial
    assert world.queue.claim(worker) is None


def test_what_can_be_claimed_is_read_where_no_ended_job_stands(world, setting):
    job = setting.job()
    rows = [{**to_row(attrs.evolve(job, serial=0, sort_order=f"b{number}")), CLAIM_RANK: 1} for number in range(2_000)]
    statements = []
    with world.platform.records.engine.begin() as connection:
        connection.execute(insert(TABLES[Job.collection]), rows)
        connection.execute(text("ANALYZE"))
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        assert [task.serial for task in SqlTransaction(Runner(connection), KeptDerivations()).claimable_tasks()] == [
            setting.task.serial
        ]
        [statement] = statements
        plan = "\n".join(connection.execute(text(f"EXPLAIN {statement}")).scalars())
    assert set(re.findall(r"Scan using (\w+) on jobs", plan)) == {CLAIMABLE_BY_TASK}, plan


def test_no_statement_of_claims_heartbeats_and_ends_is_planned_anew_each_time(world, setting):
    for _ in range(20):
        setting.job()
    worker = world.queue.register(Worker(name="bench")).serial
    for _ in range(20):
        lease = world.queue.claim(worker)
        heartbeat(world.queue, lease)
        world.queue.end(lease, Outcome(ending=Ending.CRASHED))
    planned = text("SELECT custom_plans, generic_plans, statement FROM pg_prepared_statements")
    with world.platform.records.engine.connect() as connection:  # the one that all of them had
        rows = connection.execute(planned).all()
    assert max(generic for _, generic, _ in rows) >= 10
    # PostgreSQL makes five plans for their values before it may keep one for all.
    assert [row for row in rows if row[0] > 5] == []


def test_progress_waits_for_no_writer_and_sends_nothing_but_itself(world, setting, threads):
    lease = setting.leased(setting.job(inputs={"large": "x" * 10_000}))
    script = setting.script(lease)
    statements = []
    engine = world.platform.records.engine

    def keep(_connection, _cursor, statement, parameters, *_):
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        with world.platform.records.transaction(of=(Run, setting.run.serial)):
            change = Change(values={"/metadata/progress_percentage": 40.0}, bump=False)
            threads.submit(script.update, Job, lease.job.serial, change).result(60)
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    [(written, values)] = [pair for pair in statements if pair[0].startswith("UPDATE")]
    assert "metadata" in written
    assert "x" * 100 not in str(values)
    job = world.admin.get(Job, lease.job.serial)
    assert (job.metadata["progress_percentage"], len(job.inputs["large"])) == (40.0, 10_000)


def test_a_backup_holds_every_row_as_it_is_and_no_snapshot_while_it_is_written(world, setting):
    awkward = 'a "quoted" \\ back\\n line\nend \t tab é \u0001'
    setting.job(name=awkward, inputs={"text": awkward, "number": 2**62})
    engine = world.platform.records.engine
    before = [repr(record) for kind in (Job, Run, Project) for record in world.admin.find(kind)]
    held = text("SELECT count(*) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()")
    lines, snapshots = [], []

    class Target:
        def write(self, line):
            with engine.connect() as connection:
                snapshots.append(connection.execute(held).scalar_one())
            lines.append(line)

    assert write_rows(engine, Target()) == len(lines) > 5
    assert set(snapshots) == {0}
    read_rows(engine, io.BytesIO(b"".join(lines)))
    assert [repr(record) for kind in (Job, Run, Project) for record in world.admin.find(kind)] == before


def test_a_job_that_one_server_makes_ready_is_announced_to_all_and_nothing_else_is(world, setting, databases, tmp_path):
    other = opened_records(PlatformStorage(data=tmp_path / "other", database=databases["emptied"]))
    try:
        while (before := other.ready_count()) is None:
            pass
        lease = setting.leased(setting.job(state=JobState.READY_FOR_INTERACTIVE))
        heartbeat(world.queue, lease)
        world.queue.end(lease, Outcome(ending=Ending.CRASHED))
        with world.platform.records.transaction() as transaction:
            transaction.put_entry("x", {})
        setting.job()
        # The new worker and the job are announced one after the other.
        while (after := other.ready_count()) < before + 2:
            pass
        # Announcements come in the order of the commits, so the one of the ready job would not have been the first.
        assert after == before + 2  # the worker is new, and the job is ready
    finally:
        other.close()


def test_writers_wait_for_those_of_their_workflow_and_for_no_others(world, setting, threads):
    other = Setting.make(world)
    with world.platform.records.transaction(of=(Run, setting.run.serial)):
        assert threads.submit(other.job).result(60).serial
        same, of_all = threads.submit(setting.job), threads.submit(world.admin.create, Project(name="new"))
        until_waiting(world, 2)
    assert same.result(60).serial
    assert of_all.result(60).serial


def test_files_of_a_job_arrive_side_by_side_and_its_end_waits_for_them(world, setting, threads):
    lease = setting.leased()
    script = world.platform.authenticate(lease.server_auth)
    scope = Scope("write", record_resource("job_result", lease.job.serial))
    token = world.platform.server_for(script).file_token([scope])
    with world.platform.held_file_rights(token), world.platform.held_file_rights(token):
        ended = threads.submit(world.queue.end, lease, Outcome(ending=Ending.CRASHED))
        until_waiting(world, 1)
    assert ended.result(60).state is JobState.FAILED
    with pytest.raises(LeaseLost), world.platform.held_file_rights(token):
        pass


def test_no_file_is_published_while_a_restore_puts_others_back(world, setting, threads):
    engine, written, order = world.platform.records.engine, io.BytesIO(), []
    lease = setting.leased()
    script = world.platform.server_for(world.platform.authenticate(lease.server_auth))
    token = script.file_token([Scope("write", record_resource("job_result", lease.job.serial))])
    write_rows(engine, written)
    written.seek(0)

    def publish(name):
        with world.platform.held_file_rights(token):
            order.append(name)

    def put_back():
        late.append(threads.submit(publish, "published after"))
        until_waiting(world, 1, unless=late[0])
        order.append("put back")

    late = []
    with world.platform.held_file_rights(token):
        restoring = threads.submit(read_rows, engine, written, meanwhile=put_back)
        until_waiting(world, 1, unless=restoring)
        order.append("published before")
    restoring.result(60)
    late[0].result(60)
    assert order == ["published before", "put back", "published after"]


class TestPostgresqlRecordStore(RecordStoreContract):
    @pytest.fixture
    def store(self, postgresql_records):
        return postgresql_records


class TestPostgresqlJobQueue(JobQueueContract):
    @pytest.fixture
    def world(self, postgresql_records):
        return DirectWorld.over(postgresql_records)


class TestHttpXFServerOverPostgresql(XFServerContract):
    listed = 50

    @pytest.fixture
    def world(self, served):
        return served


class TestHttpJobQueueOverPostgresql(JobQueueContract):
    @pytest.fixture
    def world(self, served):
        return served


class TestPostgresqlWorkflowControl(WorkflowControlContract):
    @pytest.fixture
    def world(self, postgresql_records):
        return DirectWorld.over(postgresql_records)

    @pytest.fixture
    def control(self, world):
        return world.control


class TestHttpWorkflowControlOverPostgresql(WorkflowControlContract):
    @pytest.fixture
    def world(self, served):
        return served

    @pytest.fixture
    def control(self, world):
        return world.control


def plans(engine, statements):
    """Give the plan of each statement that names jobs, as PostgreSQL would run it."""
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for statement, parameters in statements:
            if " jobs" in statement and statement.split()[0] in {"SELECT", "UPDATE", "WITH"}:
                cursor.execute(f"EXPLAIN {statement}", parameters)
                yield statement, "\n".join(row[0] for row in cursor.fetchall())


def test_no_claim_finish_or_listing_reads_through_all_jobs(postgresql_records):
    bench = SmallWorkflow(postgresql_records)
    source = bench.task("Source", "Source")
    first = bench.task("First", a=output(source))
    bench.task("Group", types={"a": "Sequence"}, a=output(bench.task("Second", a=output(first))))
    bench.start()
    bench.control.start_run(bench.workflow, outputs={"out": 1.0})
    engine, statements = postgresql_records.engine, []
    [job] = bench.jobs(first)
    with engine.begin() as connection:
        # Of other workflows, as most jobs are: done long ago.
        columns = ", ".join(column.name for column in TABLES["jobs"].c if column.name not in {"serial", "state"})
        others = columns.replace("workflow_serial", "1000 + n % 50").replace("task_serial", "2000 + n % 200")
        others = others.replace("run_serial", "3000 + n / 4").replace("claim_rank", "NULL")
        connection.execute(
            text(
                f"INSERT INTO jobs ({columns}, state) SELECT {others}, 'Done' FROM jobs, generate_series(1, 20000) n "
                "WHERE serial = :serial"
            ),
            {"serial": job.serial},
        )
        connection.execute(text("ANALYZE"))

    def keep(_connection, _cursor, statement, parameters, *_):
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    bench.control.start_run(bench.workflow, outputs={"out": 1.0})
    bench.work({"out": 1.0})
    bench.work({"out": 1.0})
    bench.server.page(Job, {"task_serial": 2007}, limit=100)
    bench.server.page(Job, {"workflow_serial": 1007}, after=("a", 1), limit=100)
    event.remove(engine, "before_cursor_execute", keep)
    found = list(plans(engine, statements))
    assert len(found) > 10
    assert [(statement, plan) for statement, plan in found if "Seq Scan on jobs" in plan] == []
