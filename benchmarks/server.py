"""
The server at growing numbers of jobs: ``python -m benchmarks.server [--quick] [--json]``.

One server per size, all running at once and asked in turns, so that what disturbs one disturbs all. Each holds
workflows of 1,000 jobs in every state, and beside them one task with 10,000 finished jobs, whose sequence is asked for.
Times are those of a client over loopback, one connection, in milliseconds; the CPU time is the server's.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field
from sqlalchemy import insert

from benchmarks.goals import Goal, benchmark_parser, conclude, with_byte_code
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.sql.rows import to_row
from xfworker.adapters.sql.tables import TABLES
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.platform import PlatformStorage, opened_records
from xfworker.domain.change import Change
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery, Sequence
from xfworker.domain.records import Job, Project, Task, TaskType, TaskTypeKind, Worker, Workflow, WorkflowState
from xfworker.services.packages.checkin import check_in

FLAT_GOAL = 1.2
QUICK_SIZES = (1_000, 100_000)
FULL_SIZES = (1_000, 100_000, 1_000_000)
SEQUENCE = 10_000
PER_WORKFLOW = 1_000
WARM_UP = 3
_STATES = (JobState.DONE, JobState.DONE, JobState.DONE, JobState.FAILED, JobState.WAITING)


@define
class FilledServer:
    """A server with a number of jobs, and the records that are asked for."""

    size: int
    embedded: EmbeddedServer
    server: HttpXFServer
    queue: HttpJobQueue
    control: HttpWorkflowControl
    job: int
    sequence_task: int
    flow: int
    group_flow: int
    worker: int
    milliseconds: dict[str, list[float]] = field(factory=dict)
    server_cpu: dict[str, list[float]] = field(factory=dict)

    def once(self, name: str) -> None:
        """Do one thing and record how long it took."""
        prepared = _PREPARE.get(name, lambda _: None)(self)
        before = psutil.Process(self.embedded.pid).cpu_times()
        started = time.perf_counter()
        _WORK[name](self, prepared)
        self.milliseconds.setdefault(name, []).append((time.perf_counter() - started) * 1000)
        after = psutil.Process(self.embedded.pid).cpu_times()
        # The system counts in ticks of some milliseconds; their mean is right all the same.
        spent = after.user + after.system - before.user - before.system
        self.server_cpu.setdefault(name, []).append(spent * 1000)
        _AFTERWARDS.get(name, lambda _, __: None)(self, prepared)


def fill(data: Path, size: int) -> dict[str, int]:
    """Write jobs straight into the database; a server would take minutes for them."""
    records = opened_records(PlatformStorage(data=data, durable=False))
    engine = records.engine  # type: ignore[attr-defined]  # storage without an address has SQLite
    now = datetime.now(UTC)
    times: dict[str, Any] = {"created_at": now, "modified_at": now}
    with records.transaction() as transaction:
        project = transaction.insert(Project(name="bench", **times)).serial
        kind = transaction.insert(TaskType(name="Bench.Empty", version="1.0.0.0", **times)).serial
        sequence_task = _task(transaction, project, kind, times)
        worker = transaction.insert(Worker(name="bench", last_seen_at=now, **times)).serial

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(SEQUENCE):
            yield _row(number, sequence_task, project, JobState.DONE, now)
        for start in range(0, size, PER_WORKFLOW):
            with records.transaction() as transaction:
                task = _task(transaction, project, kind, times)
            for number in range(min(PER_WORKFLOW, size - start)):
                yield _row(number, task, project, _STATES[number % len(_STATES)], now)

    batch: list[dict[str, Any]] = []
    for row in rows():
        batch.append(row)
        if len(batch) >= 20_000:
            _write(engine, batch)
            batch = []
    _write(engine, batch)
    records.close()
    return {"project": project, "sequence_task": sequence_task, "worker": worker}


def _task(transaction: Any, project: int, kind: int, times: dict[str, Any]) -> int:
    workflow = transaction.insert(
        Workflow(project_serial=project, name="bench", state=WorkflowState.ACTIVE, **times)
    ).serial
    return int(transaction.insert(Task(workflow_serial=workflow, task_type_serial=kind, name="bench", **times)).serial)


def _row(number: int, task: int, project: int, state: JobState, now: datetime) -> dict[str, Any]:
    image = {"type": "Image", "source": "job_result", "job_serial": 1, "filename": "scan.omni", "size": [512, 512, 900]}
    return to_row(
        Job(
            task_serial=task,
            workflow_serial=task,
            project_serial=project,
            state=state,
            inputs={"image": image, "threshold": 220},
            outputs={"mean": number * 0.5, "segments": image} if state is JobState.DONE else {},
            sort_order=f"c{number:06d}",
            name=f"specimen {number}",
            created_at=now,
            modified_at=now,
        )
    )


def _write(engine: Any, batch: list[dict[str, Any]]) -> None:
    if batch:
        with engine.connect() as connection, connection.begin():
            connection.execute(insert(TABLES[Job.collection]), batch)


def open_filled(stack: ExitStack, folder: Path, size: int) -> FilledServer:
    """Fill a database and start a server on it."""
    data = folder / str(size)
    serials = fill(data, size)
    embedded = stack.enter_context(EmbeddedServer(data))
    transport = HttpTransport(embedded.url, token=embedded.admin_token)
    stack.callback(transport.close)
    server = HttpXFServer(transport)
    flows = [_flow(server, serials["project"], group=group) for group in (False, True)]
    return FilledServer(
        size=size,
        embedded=embedded,
        server=server,
        queue=HttpJobQueue(transport),
        control=HttpWorkflowControl(transport),
        job=SEQUENCE + size // 2,
        sequence_task=serials["sequence_task"],
        flow=flows[0],
        group_flow=flows[1],
        worker=serials["worker"],
    )


def _flow(server: HttpXFServer, project: int, *, group: bool) -> int:
    """Make a workflow of a source, three steps one after the other, and maybe a task that waits for all runs."""
    workflow = server.create(Workflow(project_serial=project, name="flow", state=WorkflowState.ACTIVE)).serial
    source = server.create(TaskType(name="Bench.Source", kind=TaskTypeKind.SOURCE)).serial
    last = server.create(Task(workflow_serial=workflow, task_type_serial=source, name="source")).serial
    for of in ("Float", "Float", "Float", *(["Sequence"] if group else [])):
        kind = server.create(TaskType(name=f"Bench.{of}", interface={"inputs": [{"key": "a", "type": of}]})).serial
        inputs = [{"key": "a", "mode": "output", "task_serial": last, "output_key": "a"}]
        last = server.create(Task(workflow_serial=workflow, task_type_serial=kind, name="step", inputs=inputs)).serial
    return workflow


def _leased(filled: FilledServer, flow: int) -> Any:
    run = filled.control.start_run(flow, outputs={"a": 1.0})
    [job] = filled.server.find(Job, {"run_serial": run.serial, "state": JobState.READY})
    lease = filled.queue.claim(filled.worker, job_serial=job.serial)
    assert lease is not None
    return lease, HttpXFServer(HttpTransport(filled.embedded.url, token=lease.server_auth))


def _finish(_: FilledServer, prepared: Any) -> None:
    lease, script = prepared
    values = {"/outputs": {"a": 2.0}, "/state": JobState.DONE.value}
    script.update(Job, lease.job.serial, Change(values=values, expected_version=lease.job.occ_lock_version))


def _end(filled: FilledServer, prepared: Any) -> None:
    lease, script = prepared
    script.close()
    filled.queue.end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))
    # What follows would be claimed by the next measurement's worker.
    for job in filled.server.find(Job, {"run_serial": lease.job.run_serial, "state": JobState.READY}):
        filled.control.abort_job(job.serial)


def _claim(filled: FilledServer, flow: int) -> None:
    run = filled.control.start_run(flow, outputs={"a": 1.0})
    lease = filled.queue.claim(filled.worker)
    assert lease is not None
    assert lease.job.run_serial == run.serial
    filled.queue.end(lease, Outcome(ending=Ending.CRASHED, message="bench"))


_FINISH, _FINISH_GROUP = "finish", "finish, group task"
_PREPARE: dict[str, Callable[[FilledServer], Any]] = {
    _FINISH: lambda filled: _leased(filled, filled.flow),
    _FINISH_GROUP: lambda filled: _leased(filled, filled.group_flow),
}
_AFTERWARDS: dict[str, Callable[[FilledServer, Any], None]] = {_FINISH: _end, _FINISH_GROUP: _end}
_WORK: dict[str, Callable[[FilledServer, Any], Any]] = {
    "get job": lambda filled, _: filled.server.get(Job, filled.job),
    "update job": lambda filled, _: filled.server.update(
        Job, filled.job, Change(values={"/metadata/estimated_duration_seconds": time.time()}, bump=False)
    ),
    _FINISH: _finish,
    _FINISH_GROUP: _finish,
    "run, claim, end": lambda filled, _: _claim(filled, filled.flow),
    "run, claim, end, group task": lambda filled, _: _claim(filled, filled.group_flow),
    f"sequence of {SEQUENCE}": lambda filled, _: filled.server.output_values(
        Sequence(task_serial=filled.sequence_task, key="mean")
    ),
    "combined query": lambda filled, _: filled.server.combined_query(
        CombinedQuery(
            parts=dict.fromkeys(("projects", "workflows", "tasks", "jobs", "task_types"), "narrowed"),
            job_serial=filled.job,
        )
    ),
}
_ROUNDS = {f"sequence of {SEQUENCE}": 0.2}


def job_starts(filled: FilledServer, folder: Path, jobs: int) -> float:
    """Give how many jobs a second a worker on this computer starts and ends whose script finishes at once."""
    package = folder / "package"
    package.mkdir()
    metadata = {"package_format": "XFP-TT1.0", "name": "Bench.Nothing", "version": "1.0.0.0"}
    (package / "metadata.json").write_text(json.dumps(metadata))
    (package / "interface.json").write_text(json.dumps({"inputs": [], "outputs": []}))
    (package / "main.py").write_text("import xfworkerutil\nxfworkerutil.XFWorkerJob().finish({})\n")
    files = HttpFileStore()
    record = check_in(filled.server, files, package).record
    files.close()
    workflow = filled.server.create(
        Workflow(project_serial=filled.server.find(Project)[0].serial, name="starts", state=WorkflowState.ACTIVE)
    )
    task = filled.server.create(
        Task(workflow_serial=workflow.serial, task_type_serial=record.serial, name="nothing", spawn_key="bench")
    )
    for _ in range(jobs):
        filled.server.create(Job(task_serial=task.serial, state=JobState.READY))
    command = [sys.executable, "-m", "xfworker", "worker", "--server", str(filled.embedded.data), "--until-idle"]
    command += ["--concurrency", "2", "--data", str(folder / "worker")]
    subprocess.run(command, check=True, capture_output=True, env=with_byte_code())
    done = filled.server.find(Job, {"task_serial": task.serial, "state": JobState.DONE})
    assert len(done) == jobs, "some jobs failed"
    begun = sorted(job.started_at for job in done if job.started_at)
    ended = sorted(job.finished_at for job in done if job.finished_at)
    return (jobs - 1) / (ended[-1] - begun[0]).total_seconds()


def measure(sizes: tuple[int, ...], rounds: int, *, jobs: int) -> dict[str, Any]:
    """Fill, ask in turns, and give all figures."""
    with tempfile.TemporaryDirectory(prefix="xfworker-bench-") as folder, ExitStack() as stack:
        servers = []
        for size in sizes:
            started = time.perf_counter()
            servers.append(open_filled(stack, Path(folder), size))
            print(f"{size} jobs filled in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        for name in _WORK:
            turns = max(5, int(rounds * _ROUNDS.get(name, 1)))
            for turn in range(turns + WARM_UP):
                for filled in servers if turn % 2 else servers[::-1]:
                    filled.once(name)
                    if turn < WARM_UP:
                        filled.milliseconds[name].clear()
                        filled.server_cpu[name].clear()
        figures = {
            name: {
                str(filled.size): {
                    **_summary(filled.milliseconds[name]),
                    "server_cpu_ms": statistics.mean(filled.server_cpu[name]),
                }
                for filled in servers
            }
            for name in _WORK
        }
        memory = {str(filled.size): psutil.Process(filled.embedded.pid).memory_info().rss / 2**20 for filled in servers}
        starts = job_starts(servers[0], Path(folder), jobs)
    return {"figures": figures, "memory_mib": memory, "job_starts_per_second": starts}


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50_ms": statistics.median(ordered),
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "requests_per_second": 1000 / statistics.mean(ordered),
    }


def goals(result: dict[str, Any]) -> list[Goal]:
    """Hold the largest size against the smallest."""
    compared = []
    for name, sizes in result["figures"].items():
        smallest, *_, largest = sizes
        figure = sizes[largest]["p50_ms"] / sizes[smallest]["p50_ms"]
        compared.append(Goal(f"{name}: p50 at {int(largest):,} jobs over that at {int(smallest):,}", figure, FLAT_GOAL))
    return compared


def show(result: dict[str, Any]) -> None:
    print(f"{'':28}{'jobs':>10}{'p50 ms':>9}{'p99 ms':>9}{'1/s':>8}{'CPU ms':>9}")
    for name, sizes in result["figures"].items():
        for size, figures in sizes.items():
            print(
                f"{name:28}{int(size):>10,}{figures['p50_ms']:>9.2f}{figures['p99_ms']:>9.2f}"
                f"{figures['requests_per_second']:>8.0f}{figures['server_cpu_ms']:>9.2f}"
            )
    for size, memory in result["memory_mib"].items():
        print(f"{'memory of the server':28}{int(size):>10,}{memory:>9.0f} MiB")
    print(f"{'job starts, empty script':28}{result['job_starts_per_second']:>19.1f} /s")


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    result = measure(QUICK_SIZES, 60, jobs=5) if options.quick else measure(FULL_SIZES, 400, jobs=30)
    if not options.json:
        show(result)
    return conclude("server", goals(result), options, result)


if __name__ == "__main__":
    sys.exit(main())
