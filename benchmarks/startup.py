"""
What a script waits for before it can begin: ``python -m benchmarks.startup [--quick] [--json]``.

Every figure is the CPU time of fresh processes, one after the other and in turns, so that what disturbs one disturbs
all. The best of them is what the code costs, the median what it costs on this machine today; goals are held against the
best.
A job's start is everything that the worker's runner, the process that is forked and the script spend on a script that
finishes at once, held against a process that imports the libraries.
Each is measured without settings and with a settings file: of a worker, whose scripts get what it says as variables,
and of a script that is started by hand, which reads it.
Byte code is where an installed package has it: the first round writes it to a folder of the benchmark's own and is not
counted, whatever ``PYTHONDONTWRITEBYTECODE`` says and whenever the sources changed.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from attrs import define

from benchmarks.goals import Goal, benchmark_parser, conclude, with_byte_code
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.process.runner import ProcessRunner
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.module_folders import MODULE_FOLDERS
from xfworker.api.composition.script_preload import PRELOAD
from xfworker.api.composition.script_settings import script_settings
from xfworker.api.settings.file import CONFIG_VARIABLE, load_settings
from xfworker.api.settings.model import LoadedSettings, Settings
from xfworker.domain.job_arguments import read_job_arguments
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Task, TaskType, Worker, Workflow, WorkflowState
from xfworker.ports.job_runner import ScriptCall
from xfworker.services.worker.script_environment import allowed_variables, script_environment

IMPORT_GOAL = 0.2
READY_GOAL = 1.25
FORKED_GOAL = 0.5
SPAWNED_GOAL = 1.8
REQUESTS_GOAL = 6
IMPORTED = "import xfworkerutil"
READY_NAME = "XFWorkerJob() ready"
WITH_SETTINGS = ", with a settings file"

_TIMED = "import time as _t; _s = _t.process_time(); {code}; print((_t.process_time() - _s) * 1000)"
IMPORT = _TIMED.format(code="import xfworkerutil")
READY = _TIMED.format(code="import xfworkerutil; xfworkerutil.XFWorkerJob()")
NUMPY = _TIMED.format(code="import numpy")
PARTS = _TIMED.format(code="import urllib3, attrs, cattrs")
WHOLE_JOB = """
import xfworkerutil
from xfworker.adapters.http import transport
sent = []
once = transport.HttpTransport._send
def counted(self, *args, **kwargs):
    sent.append(args[:2])
    return once(self, *args, **kwargs)
transport.HttpTransport._send = counted
worker = xfworkerutil.XFWorkerJob()
for percentage in range(100):
    worker.progress(percentage)
worker.finish({})
print(len(sent), worker.session.server._transport._pool.num_connections)
"""


SETTINGS = """
[server]
url = "https://xf.example.org"
[http]
read_seconds = 30
attempts = 6
[transfers]
attempts = 8
[disk.path_map]
'//server/share' = "/mnt/share"
[logging]
level = "warning"
"""
EMPTY_JOB = "import xfworkerutil\nxfworkerutil.XFWorkerJob().finish({})\n"
IMPORTS = "import urllib3, attrs, cattrs"


@define(frozen=True)
class Figure:
    name: str
    values: list[float]

    @property
    def best(self) -> float:
        return min(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def run(code: str, environment: Mapping[str, str]) -> list[float]:
    """Run code in a fresh interpreter and give the numbers that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=with_byte_code(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"the measured script failed:\n{done.stderr}")
    return [float(text) for text in done.stdout.split()]


@contextmanager
def running_jobs() -> Iterator[Any]:
    """Give a function that makes the environment of a new running job on a server of its own."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder), database="memory:") as embedded:
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        server, queue = HttpXFServer(transport), HttpJobQueue(transport)
        project = server.create(Project(name="benchmark"))
        workflow = server.create(Workflow(project_serial=project.serial, state=WorkflowState.ACTIVE))
        task_type = server.create(TaskType(name="Benchmark.Empty"))
        task = server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial))
        worker = queue.register(Worker(name="benchmark"))

        byte_code = {"PYTHONPYCACHEPREFIX": str(Path(folder, "byte-code"))}

        def environment() -> dict[str, str]:
            job = server.create(Job(task_serial=task.serial, state=JobState.READY))
            lease = queue.claim(worker.serial, job_serial=job.serial)
            assert lease is not None
            return {
                "XF_JOB_SERIAL": str(job.serial),
                "XF_SERVER_HOST": embedded.host,
                "XF_SERVER_PORT": str(embedded.port),
                "XF_SERVER_AUTH": lease.server_auth,
                "XFTEMP": folder,
                **byte_code,
            }

        yield environment
        transport.close()


def job_starts(rounds: int, environment: Callable[[], dict[str, str]], settings_file: Path) -> dict[str, float]:
    """
    Give what a start costs, in milliseconds: a job's by a fork, a job's anew, and the imports in a process.

    Those of jobs are measured also with what a worker's settings file has in store for its scripts.
    """
    chosen = load_settings({CONFIG_VARIABLE: str(settings_file)})
    cases = {
        f"{name}{suffix}": (preload, loaded)
        for suffix, loaded in (("", LoadedSettings(settings=Settings())), (WITH_SETTINGS, chosen))
        for name, preload in (("forked", [PRELOAD]), ("spawned", []))
    }
    values: dict[str, list[float]] = {name: [] for name in (*cases, "imports")}
    with tempfile.TemporaryDirectory() as path, ExitStack() as stack:
        folder = Path(path)
        script = folder / "main.py"
        script.write_text(EMPTY_JOB)
        runners = {name: ProcessRunner(preload=preload) for name, (preload, _) in cases.items()}
        for runner in runners.values():
            stack.callback(runner.close)

        def start(name: str) -> float:
            runner, (_, loaded) = runners[name], cases[name]
            variables = environment()
            # As a worker does it.
            own = script_environment(
                allowed_variables(os.environ),
                read_job_arguments(variables),
                temporary_folder=folder,
                module_folders=MODULE_FOLDERS,
                settings=script_settings(loaded),
            )
            byte_code = {"PYTHONPYCACHEPREFIX": variables["PYTHONPYCACHEPREFIX"]}
            call = ScriptCall(
                command=(sys.executable, str(script)),
                environment={**own, **byte_code},
                working_directory=folder,
                log_path=folder / "log.txt",
            )
            before = _cpu_ms()
            end = runner.start(call).wait()
            if end is None or end.exit_code != 0:
                sys.exit(f"the measured job failed:\n{call.log_path.read_text()}")
            return _cpu_ms() - before

        def imports() -> float:
            command, variables = [sys.executable, "-c", IMPORTS], with_byte_code(**environment())
            before = _cpu_ms()
            subprocess.run(command, env=variables, check=True)
            return _cpu_ms() - before

        for counted in range(rounds + 1):
            taken = {**{name: start(name) for name in cases}, "imports": imports()}
            for name, value in taken.items():
                values[name] += [value] if counted else []
    return {name: min(costs) for name, costs in values.items()}


def _cpu_ms() -> float:
    """Give the CPU time of this process, of its children that ended, and of those that live."""
    if sys.platform == "win32":
        raise OSError("what processes used is counted on POSIX only")
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ended = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    living = 0
    for child in psutil.Process().children():
        # The built-in server is one of them; what its main thread does for a job makes the figures a little larger.
        with suppress(OSError):
            living += int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[0])
    return ended * 1000 + living / 1e6


def measure(rounds: int) -> tuple[list[Figure], list[Goal]]:
    """Take all figures."""
    values: dict[str, list[float]] = {IMPORTED: [], READY_NAME: [], f"{READY_NAME}{WITH_SETTINGS}": []}
    values |= {"of that urllib3, attrs, cattrs": [], "import numpy (for comparison)": []}
    with running_jobs() as environment, tempfile.TemporaryDirectory() as folder:
        settings_file = Path(folder, "xfworker.toml")
        settings_file.write_text(SETTINGS)
        codes = dict(zip(values, (IMPORT, READY, READY, PARTS, NUMPY), strict=True))
        for counted in range(rounds + 1):
            for name, code in codes.items():
                chosen = {CONFIG_VARIABLE: str(settings_file) if name.endswith(WITH_SETTINGS) else ""}
                taken = run(code, {**environment(), **chosen})
                values[name] += taken if counted else []
        requests, connections = run(WHOLE_JOB, environment())
        starts = job_starts(rounds, environment, settings_file) if sys.platform == "linux" else {}
    figures = [Figure(name, times) for name, times in values.items()]
    best = {figure.name: figure.best for figure in figures}
    figures += [Figure(f"start of a job or process: {name}", [value]) for name, value in starts.items()]
    imports = best["of that urllib3, attrs, cattrs"]
    goals = [Goal("import xfworkerutil over importing urllib3, attrs, cattrs", best[IMPORTED] / imports, IMPORT_GOAL)]
    reason = "" if starts else "CPU time of processes is read on Linux only"
    process = "over a process that imports urllib3, attrs, cattrs"
    for suffix in ("", WITH_SETTINGS):
        ready = best[f"{READY_NAME}{suffix}"] / imports
        goals.append(Goal(f"{READY_NAME}{suffix} over importing urllib3, attrs, cattrs", ready, READY_GOAL))
        for name, way, limit in (("forked", "by", FORKED_GOAL), ("spawned", "without", SPAWNED_GOAL)):
            figure = starts[f"{name}{suffix}"] / starts["imports"] if starts else None
            goals.append(
                Goal(f"start of a job {way} the fork server{suffix}, CPU, {process}", figure, limit, reason=reason)
            )
    goals += [
        Goal("requests of a job (load, 100 x progress, finish)", requests, REQUESTS_GOAL),
        Goal("connections of that job", connections, 1),
    ]
    return figures, goals


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    figures, goals = measure(15 if options.quick else 25)
    if not options.json:
        print(f"{'milliseconds of CPU, fresh processes':45} {'best':>8} {'median':>8}")
        for item in figures:
            print(f"{item.name:45} {item.best:8.1f} {item.median:8.1f}")
    document = {item.name: {"best": item.best, "median": item.median} for item in figures}
    return conclude("startup", goals, options, document)


if __name__ == "__main__":
    raise SystemExit(main())
